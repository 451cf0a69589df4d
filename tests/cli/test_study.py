"""`study make` and `study analyse`: pictures lose what tells their method, and get it back in the analysis."""

import json
import os

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pulse_jax.images.files import read_image
from pulse_jax.runs.study_formats import KeyFile, OpinionsFile, OpinionsSummary, StudySummary
from tests.cli.fake_engine import draw, listing, run, summary_of
from tests.cli.test_page import page_of
from tests.runs.records_check import faults


@pytest.fixture
def folders(tmp_path):
    """Three methods with pictures of three inputs, and originals."""
    for seed, method in enumerate(("hr", "near<b>est", "pulse")):
        for number in range(3):
            draw(tmp_path / method / f"{number}.png", 16, (seed, number))
    for number in range(4):
        draw(tmp_path / "originals" / f"other_{number}.png", 16, (9, number))
    return [tmp_path / method for method in ("hr", "near<b>est", "pulse")]


def make(folders, out, *words):
    return run("study", "make", *folders, "--output", out, *words)


def key_of(out):
    return json.loads((out / "key.json").read_text())


def rate(out, path, score_of, rater, count=None):
    """Write the file of a rater, who gives each method its score."""
    ratings = [{"picture": name, "score": score_of[one["method"]]} for name, one in key_of(out)["pictures"].items()]
    told = {"program": "pulse-jax", "format": 1, "study": key_of(out)["study"], "rater": rater}
    path.write_text(json.dumps({**told, "ratings": ratings[:count]}))
    return path


def test_pictures_lose_what_tells_their_method_and_the_key_knows_it(folders, tmp_path, capsys):
    out = tmp_path / "study"
    told = PngImagePlugin.PngInfo()
    told.add_text("Software", "pulse")
    draw(tmp_path / "x.png", 16)
    Image.open(tmp_path / "x.png").save(folders[2] / "1.png", pnginfo=told)
    assert make(folders, out, "--anchors", tmp_path / "originals", "--examples", 2, "--factor", 4) == 0
    shown = capsys.readouterr()
    assert "9 pictures (3 inputs, 3 methods)" in shown.out and "keep key.json" in shown.out
    key, summary = key_of(out), summary_of(out)
    assert faults(key, KeyFile) == [] and faults(summary, StudySummary) == []
    assert summary["methods"] == ["hr", "near<b>est", "pulse"] and (summary["pictures"], summary["examples"]) == (9, 4)
    for name, picture in key["pictures"].items():
        original = tmp_path / picture["method"] / f"{picture['input']}.png"
        with Image.open(out / "rate" / name) as image:
            assert not image.info
        np.testing.assert_array_equal(read_image(out / "rate" / name).pixels, read_image(original).pixels)
    text, data = page_of(out / "rate")
    assert data["pictures"] == sorted(key["pictures"]) and data["study"] == key["study"] and len(data["pictures"]) == 9
    assert not any(word in text for word in ("hr.", "near", "pulse/", "originals", "other_", str(tmp_path)))
    assert {os.stat(file).st_mtime for file in (out / "rate").iterdir()} == {os.stat(out / "rate/index.html").st_mtime}
    examples = [f"rate/example_{score}_{number:02}.png" for score in (1, 5) for number in (1, 2)]
    pictures = [f"rate/{name}" for name in key["pictures"]]
    assert listing(out) == sorted(["key.json", "summary.json", "rate/index.html", *examples, *pictures])
    for number in (0, 1):
        worst, best = (np.asarray(Image.open(out / "rate" / f"example_{k}_0{number + 1}.png")) for k in (1, 5))
        np.testing.assert_array_equal(best, np.asarray(Image.open(tmp_path / "originals" / f"other_{number}.png")))
        blocks = worst.reshape(4, 4, 4, 4, 3)
        assert (blocks == blocks[:, :1, :, :1]).all() and len(np.unique(worst)) > 5


def test_names_and_order_follow_the_seed_and_tell_nothing(folders, tmp_path):
    keys = []
    for number, words in enumerate([(), (), ("--seed", 1)]):
        assert make(folders, tmp_path / f"s{number}", *words) == 0
        keys.append(key_of(tmp_path / f"s{number}"))
    assert keys[0] == keys[1] and keys[0]["study"] != keys[2]["study"]
    assert not keys[0]["pictures"].keys() & keys[2]["pictures"].keys()
    orders = [[(one["method"], one["input"]) for _, one in sorted(key["pictures"].items())] for key in keys]
    assert orders[0] != orders[2] and sorted(orders[0]) == sorted(orders[2]) != orders[0]
    draw(folders[0] / "0.png", 16, 99)  # another picture makes another study, whatever it is called
    assert make(folders, tmp_path / "s3") == 0
    assert key_of(tmp_path / "s3")["pictures"] == keys[0]["pictures"]
    assert key_of(tmp_path / "s3")["study"] != keys[0]["study"]


def test_inputs_that_not_all_methods_have_alike_are_told_and_left_out(folders, tmp_path, capsys):
    out = tmp_path / "study"
    (folders[0] / "1.png").unlink()
    draw(folders[1] / "2.png", 8)
    (folders[2] / "2.webp").write_bytes((folders[2] / "2.png").read_bytes())
    draw(folders[1] / "<b>3.png", 16)
    assert make(folders, out) == 1
    error = capsys.readouterr().err
    assert "4 of 5 inputs failed:" in error
    assert "1: no picture of it in hr;" in error and "<b>3: no picture of it in hr, pulse;" in error
    assert "2.png: 8x8, and 16x16 in hr;" in error and "2.webp: 2.png has the same name" in error
    assert {one["input"] for one in key_of(out)["pictures"].values()} == {"0"} and len(summary_of(out)["failed"]) == 4
    (folders[1] / "0.png").write_bytes(b"")
    assert make(folders, tmp_path / "none") == 2
    assert "no input has usable pictures of every method" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_runs_best_solutions_are_its_pictures(fake, inputs, folders, tmp_path, capsys):
    for number in range(3):
        draw(inputs / f"{number}.png", seed=number)
    found = tmp_path / "found"
    assert run("upsample", inputs, "--output", found, "--restarts", 3) == 0
    assert make([found, folders[0]], tmp_path / "study") == 0
    pictures = key_of(tmp_path / "study")["pictures"]
    assert sorted((one["method"], one["input"]) for one in pictures.values()) == [
        (method, str(number)) for method in ("found", "hr") for number in range(3)
    ]
    for name, one in pictures.items():
        if one["method"] == "found":
            best = read_image(found / one["input"] / "solution_01.png").pixels
            np.testing.assert_array_equal(read_image(tmp_path / "study" / "rate" / name).pixels, best)
    # A stranger's run leads nowhere else.
    (found / "1" / "solution_01.png").unlink()
    (found / "1" / "solution_01.png").symlink_to(folders[0] / "1.png")
    assert make([found, folders[0]], tmp_path / "other") == 1 and "is a link" in capsys.readouterr().err
    (found / "1" / "solution_01.png").unlink()
    summary = summary_of(found)
    for image in ("../hr/0.png", "0/key.json", "hr/../../x/solution_01.png", 3):
        summary["inputs"][0]["solutions"][0]["image"] = image
        (found / "summary.json").write_text(json.dumps(summary))
        assert make([found, folders[0]], tmp_path / "other") == 1
        assert "found: its summary.json is damaged" in capsys.readouterr().err and not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "no folders: expected a folder of pictures for each method"),
        ("hr hr/../again/hr", "another folder is called hr too"),
        ("hr nothing", "expected a folder of pictures, or of a run of upsample"),
        ("hr empty", "holds no pictures"),
        ("hr originals", "no picture has the same name in every folder"),
        ("hr --anchors empty", "holds no pictures"),
        (
            "hr --anchors originals --factor 32",
            "other_3.png: 16x16 is too small to be downscaled by 32; lower --factor",
        ),
        ("hr --factor 1", "--factor: expected 2 to 1024"),
        ("hr --examples 0", "--examples: expected 1 to 100"),
        ("hr --seed -1", "--seed: expected 0"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_nothing_is_written(folders, tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    draw(tmp_path / "again" / "hr" / "0.png", 16)
    assert make(words.split(), "study") == 2
    error = capsys.readouterr().err
    assert error.startswith("pulse-jax: ") and told in error and error.count("\n") == 1
    assert not (tmp_path / "study").exists()


def test_a_study_is_replaced_whole_and_nobody_elses_files(folders, tmp_path, capsys):
    out = tmp_path / "study"
    assert make(folders, out) == 0
    before = listing(out)
    assert make(folders, out) == 2 and "--overwrite" in capsys.readouterr().err and listing(out) == before
    (out / "rate" / "mine.txt").write_text("mine")
    assert make(folders, out, "--overwrite", "--seed", 1) == 2
    assert "mine.txt: in the way" in capsys.readouterr().err and listing(out) == sorted([*before, "rate/mine.txt"])
    (out / "rate" / "mine.txt").unlink()
    assert make(folders, out, "--overwrite", "--seed", 1) == 0
    assert listing(out) != before and len(listing(out)) == len(before)
    assert make(folders, folders[0] / "study") == 2 and "lies inside the input folder" in capsys.readouterr().err
    before = listing(out)
    assert make([out / "rate"], out, "--overwrite") == 2
    assert "rate: lies inside the output folder" in capsys.readouterr().err and listing(out) == before


def test_examples_of_what_is_rated_or_of_another_size_are_told(folders, tmp_path, capsys):
    draw(tmp_path / "originals" / "0.png", 32)
    assert make(folders, tmp_path / "study", "--anchors", tmp_path / "originals", "--factor", 2) == 0
    error = capsys.readouterr().err
    assert "1 of 5 examples show inputs that are rated too" in error
    assert "examples are 16x16, 32x32, rated pictures 16x16" in error
    words = ("--anchors", tmp_path / "originals", "--factor", 2, "--examples", 4)
    assert make(folders, tmp_path / "fewer", *words) == 0  # those that are not rated come first
    assert "examples" not in capsys.readouterr().err


def test_the_analysis_gives_the_methods_their_names_back(folders, tmp_path, capsys):
    out, result = tmp_path / "study", tmp_path / "result"
    assert make(folders, out) == 0
    capsys.readouterr()
    files = [
        rate(out, tmp_path / "a.json", {"hr": 5, "near<b>est": 1, "pulse": 4}, "Ada"),
        rate(out, tmp_path / "b.json", {"hr": 4, "near<b>est": 1, "pulse": 4}, "Bob \x1b[31m"),
        rate(out, tmp_path / "c.json", {"hr": 3, "near<b>est": 1, "pulse": 2}, "Cy", count=8),
    ]
    double = rate(out, tmp_path / "d.json", {"hr": 1, "near<b>est": 1, "pulse": 1}, "Ada")
    (tmp_path / "e.json").write_text("{}")
    given = [*files, files[0], double, tmp_path / "e.json", tmp_path / "f.json"]
    assert run("study", "analyse", *given, "--key", out / "key.json", "--output", result) == 1
    shown = capsys.readouterr()
    assert "3 raters, 9 pictures" in shown.err and "Not all pictures were rated by: Cy 8" in shown.err
    assert "3 of 6 files could not be used:" in shown.err and "p-values are too small" in shown.err
    assert "d.json: the same rater, Ada, as" in shown.err and "e.json: expected a file that" in shown.err
    assert "f.json: cannot be read" in shown.err and "\x1b" not in shown.err
    report = json.loads((result / "study.json").read_text())
    assert faults(report, OpinionsFile) == [] and faults(summary_of(result), OpinionsSummary) == []
    assert [one["method"] for one in report["methods"]] == ["hr", "pulse", "near<b>est"]
    assert report["methods"][2] == {
        "method": "near<b>est",
        "mos": 1,
        "low": 1,
        "high": 1,
        "ratings": 9 - missing(out, "near<b>est"),
    }
    assert sum(one["ratings"] for one in report["methods"]) == 26 and len(report["pairs"]) == 3
    best, worst = report["pairs"][1], report["methods"][2]
    assert (best["first"], best["second"], best["share"]) == ("hr", worst["method"], 1.0)
    assert [one["rater"] for one in report["raters"]] == ["Ada", "Bob \x1b[31m", "Cy"]
    assert (result / "ratings.csv").read_text().count("\n") == 27
    assert listing(result) == ["ratings.csv", "study.csv", "study.json", "study.md", "summary.json"]
    for line in (result / "study.md").read_text().splitlines():
        if line.startswith("| hr | 4"):
            break
    else:
        raise AssertionError("no row of the best method")
    assert f"{report['methods'][0]['mos']:.2f}" in shown.out and "Mann–Whitney" in shown.out


def missing(out, method):
    """How many of a method's pictures the rater of the first 8 has not rated."""
    last = [*key_of(out)["pictures"].values()][8]
    return int(last["method"] == method)


def test_an_analysis_of_one_rater_says_what_it_cannot_know_and_writes_nothing_unasked(folders, tmp_path, capsys):
    out = tmp_path / "study"
    assert make(folders[:1], out) == 0
    file = rate(out, tmp_path / "a.json", {"hr": 4}, "Ada")
    before = listing(tmp_path)
    assert run("study", "analyse", file, "--key", out / "key.json") == 0
    shown = capsys.readouterr()
    assert "Of one rater" in shown.err and "4.00 – 4.00" in shown.out and "Mann" not in shown.out + shown.err
    assert "p-values" not in shown.err
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("--key study/key.json", 2, "no files: expected those that raters have saved"),
        ("a.json --key none.json", 1, "none.json: cannot be read"),
        ("a.json --key a.json", 1, "a.json: expected the key.json"),
        ("study/key.json --key study/key.json --output o", 1, "no file can be used; study/key.json: expected a file"),
        ("a.json --key study/key.json --output study", 2, "holds the results of an earlier run"),
        ("a.json --key study/key.json --output study --overwrite", 2, "study/key.json: lies inside the output folder"),
    ],
)
def test_what_cannot_be_analysed_is_one_line(folders, tmp_path, monkeypatch, capsys, words, code, told):
    monkeypatch.chdir(tmp_path)
    assert make(folders, "study") == 0
    rate(tmp_path / "study", tmp_path / "a.json", {"hr": 4, "near<b>est": 1, "pulse": 3}, "Ada")
    capsys.readouterr()
    assert run("study", "analyse", *words.split()) == code
    error = capsys.readouterr().err
    assert error.startswith("pulse-jax: ") and told in error and error.count("\n") == 1
    assert not (tmp_path / "o").exists() and (tmp_path / "study" / "key.json").exists()
