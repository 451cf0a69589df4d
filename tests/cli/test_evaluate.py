"""The command `evaluate`: what it writes, that it goes on, what it refuses, and that numbers are those of the files."""

import csv
import json
import re

import numpy as np
import pytest

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.disturbances import disturbed
from pulse_jax.images.files import read_image
from pulse_jax.reports import metrics
from tests.cli.fake_engine import draw, listing, run, summary_of

CHAIN = "motion(100)|bicubic|gaussian(25)"


@pytest.fixture
def data(tmp_path):
    for i in range(3):
        draw(tmp_path / "data" / f"face{i}.png", 16, i)
    return tmp_path / "data"


def evaluate(data, out, *words):
    return run("evaluate", "--data", data, "--output", out, "--factors", "4,8", "--presets", "fast,bicubic", *words)


def rows_of(out):
    with open(out / "results.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_files_and_their_numbers(fake, data, tmp_path, capsys):
    out = tmp_path / "out"
    (data / "bad.png").write_bytes(b"no picture")
    draw(data / "small.png", 8, 9)
    assert evaluate(data, out, "--degradations", "bicubic", CHAIN, "--restarts", 3) == 1
    told = capsys.readouterr()
    assert "bad.png" in told.err and "small.png: the picture is 8x8, smaller than 16x16" in told.err
    assert {"report.html", "results.json", "results.csv", "results.md", "results.tex"} <= {*listing(out)}
    summary = summary_of(out)
    assert summary["finished"] and [case["name"] for case in summary["cases"]] == [
        "4x", "4x-motion-100-gaussian-25", "8x", "8x-motion-100-gaussian-25"
    ]  # fmt: skip
    rows = rows_of(out)
    assert len(rows) == 4 * 3 * (3 + 1)
    for row in rows:
        image, truth = (read_image(out / path).pixels for path in (row["image"], f"truths/{row['picture']}.png"))
        assert float(row["psnr"]) == pytest.approx(float(metrics.psnr(image, truth)))
        factor = int(row["case"].partition("x")[0])
        clean = np.round(np.clip(Bicubic(factor).apply_float64(truth), 0, 1) * 255) / 255
        low_res = read_image(out / "inputs" / row["case"] / f"{row['picture']}_{row['case']}.png").pixels
        if "motion" in row["case"]:
            made = disturbed(truth, f"motion(100)|bicubic({factor})|gaussian(25)")
            np.testing.assert_allclose(low_res, made.disturbed, atol=1e-6)
            assert float(row["clean_error"]) == pytest.approx(float(Bicubic(factor).error(image, clean)), rel=1e-6)
        else:
            np.testing.assert_allclose(low_res, clean, atol=1e-6)
            assert not row["clean_error"]
        assert float(row["downscaling_error"]) == pytest.approx(float(Bicubic(factor).error(image, low_res)))
    results = json.loads((out / "results.json").read_text())
    assert [case["name"] for case in results["cases"]] == [case["name"] for case in summary["cases"]]
    first = results["cases"][0]["presets"]["fast"]
    best = [float(row["psnr"]) for row in rows if (row["case"], row["preset"], row["place"]) == ("4x", "fast", "1")]
    assert first["numbers"]["psnr"]["mean"] == pytest.approx(np.mean(best)) and first["inputs"] == 3
    assert first["numbers"]["psnr"]["low"] <= np.mean(best) <= first["numbers"]["psnr"]["high"]
    assert "psnr" in results["cases"][0]["presets"]["bicubic"]["tests"] and not first["tests"]
    assert "diversity" in first["numbers"] and "diversity" not in results["cases"][0]["presets"]["bicubic"]["numbers"]
    assert "lpips" not in first["numbers"] and "needs --perceptual" in results["missing"]["lpips"]


def test_it_goes_on_and_adds_presets(fake, data, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(data, out) == 0
    before = {name: (out / name).read_bytes() for name in listing(out) if name != "summary.json"}
    calls = len(fake.calls)
    assert evaluate(data, out) == 0 and "Nothing left to do" in capsys.readouterr().out
    unchanged = {name for name in before if (out / name).read_bytes() == before[name]}
    # Runs are opened again, and say so in their summaries alone.
    assert {name for name in before.keys() - unchanged if not name.endswith("summary.json")} == set()
    assert evaluate(data, out, "--presets", "fast,pulse,lanczos") == 0
    assert {row["preset"] for row in rows_of(out)} == {"fast", "pulse", "lanczos"}
    assert len(fake.calls) > calls and (out / "runs" / "bicubic").is_dir()
    assert evaluate(data, out, "--seed", 1) == 2
    assert "seed was 0, is 1" in capsys.readouterr().err
    assert evaluate(data, out, "--seed", 1, "--overwrite") == 0
    assert summary_of(out)["settings"]["seed"] == 1


def test_interrupted_it_keeps_what_it_has_and_the_same_command_goes_on(fake, data, tmp_path, capsys):
    out = tmp_path / "out"
    fake.interrupt_after = 2
    assert evaluate(data, out) == 130
    assert not (out / "report.html").exists() and not summary_of(out)["finished"]
    fake.interrupt_after = None
    assert evaluate(data, out) == 0
    whole = tmp_path / "whole"
    assert evaluate(data, whole) == 0
    for name in ("results.csv", "results.md", "results.tex"):
        assert (out / name).read_text() == (whole / name).read_text()


def test_known_degradations_are_told_to_the_searches(fake, data, tmp_path, capsys):
    out = tmp_path / "out"
    chains = ["bicubic|gaussian(25)", "blur(1)|bicubic"]
    assert evaluate(data, out, "--factors", 4, "--degradations", *chains, "--known") == 0
    for name, degradation in (("fast-4x-gaussian-25", "bicubic"), ("fast-4x-blur-1", "blur(1)|bicubic")):
        assert summary_of(out / "runs" / name)["config"]["degradation"] == degradation
    assert {row["case"] for row in rows_of(out)} == {"4x-gaussian-25", "4x-blur-1"}
    assert evaluate(data, tmp_path / "no", "--degradations", CHAIN, "--known") == 2
    assert "expected motion(length, degrees)" in capsys.readouterr().err and not (tmp_path / "no").exists()


def test_numbers_by_groups_of_people(fake, data, tmp_path, capsys):
    table = tmp_path / "people.csv"
    table.write_text("file,sex,note\nface0.png,f,\nface1.png,m,\nface2,f,\n", encoding="utf-8")
    out = tmp_path / "out"
    assert evaluate(data, out, "--attributes", table) == 0
    groups = json.loads((out / "results.json").read_text())["groups"]
    assert [(one["attribute"], one["preset"]) for one in groups] == [("sex", "fast"), ("sex", "bicubic")]
    assert groups[0]["groups"]["f"]["psnr"]["count"] == 2 and groups[0]["groups"]["m"]["psnr"]["count"] == 1
    assert "skin_lightness" in groups[0]["groups"]["f"] and "fast by sex" in (out / "results.md").read_text()
    table.write_text("file,sex\nother,f\n", encoding="utf-8")
    assert evaluate(data, out, "--attributes", table) == 1
    assert "names none of the pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--presets", "fast,plse"], "--presets: .*did you mean pulse"),
        (["--presets", ","], "--presets: expected one at least"),
        (["--factors", "8,x"], "--factors: expected whole numbers"),
        (["--factors", "3"], "--factors: fast takes one of"),
        (["--degradations", "gaussian(25)"], "expected one downscaling, without its factor"),
        (["--degradations", "bicubik"], "--degradations: expected one of"),
        (["--niqe-model", "no.npz"], "no.npz: not a model of NIQE"),
        (["--attributes", "no.csv"], "no.csv: cannot be read"),
    ],
)
def test_what_is_wrong_is_told_before_anything_begins(fake, data, tmp_path, capsys, words, message):
    assert evaluate(data, tmp_path / "out", *words) in (1, 2)
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and re.search(message, told)
    assert not fake.calls and not (tmp_path / "out").exists()


def test_hostile_names_stay_text(fake, tmp_path):
    name = "<img src=x onerror=alert(1)>|$&%_{}"
    draw(tmp_path / "data" / f"{name}.png", 16, 0)
    out = tmp_path / "out"
    assert evaluate(tmp_path / "data", out, "--factors", 4) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and rows_of(out)[0]["picture"] == name
