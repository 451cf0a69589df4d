"""The same command on a finished run does only what is new; pictures may be added to a run."""

import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from tests.cli.fake_engine import draw, listing, run, summary_of


def contents(out):
    return {file: (out / file).read_bytes() for file in listing(out)}


def test_nothing_is_left_to_do(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out) == 0
    before, solved = contents(out), len(fake.calls)
    capsys.readouterr()
    assert run("upsample", inputs, "--output", out) == 0
    assert capsys.readouterr().out == f"Nothing left to do: 1 of 1 inputs are finished in {out}\n"
    assert contents(out) == before and len(fake.calls) == solved
    assert sorted(path.name for path in out.iterdir()) == ["a", "index.html", "run.toml", "sheet.png", "summary.json"]


def test_what_is_new_is_added(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--restarts", 2) == 0
    before = contents(out)
    draw(inputs / "b.png", seed=1)
    assert run("upsample", inputs, "--output", out, "--restarts", 2) == 0
    draw(tmp_path / "c.png", seed=2)
    assert run("upsample", tmp_path / "c.png", "--output", out, "--restarts", 2) == 0
    summary = summary_of(out)
    assert summary["finished"] and summary["solutions"] == 6
    assert sorted(entry["solved"] for entry in summary["inputs"]) == [f"{name}/input.png" for name in "abc"]
    assert {file for file in summary["files"] if "/" not in file} == {"index.html", "run.toml", "sheet.png"}
    after = contents(out)
    assert all(after[file] == before[file] for file in before if file.startswith("a/"))
    assert set(listing(out)) - {"summary.json"} == set(summary["files"])
    # All of it is one run, which another may replace.
    assert run("upsample", tmp_path / "c.png", "--output", out, "--overwrite", "--restarts", 1) == 0
    assert {file.split("/")[0] for file in listing(out)} == {"c", "index.html", "run.toml", "sheet.png", "summary.json"}


def test_a_picture_that_has_changed_is_solved_anew(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out) == 0
    draw(inputs / "a.png", seed=5)
    assert run("upsample", inputs, "--output", out) == 0
    assert "a.png: changed since this run began; it is solved anew" in capsys.readouterr().err
    np.testing.assert_array_equal(
        to_uint8(read_image(out / "a" / "input.png").pixels), np.asarray(Image.open(inputs / "a.png"))
    )


def test_a_run_without_sheets_draws_none(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--no-sheets") == 0
    assert not [file for file in listing(out) if "sheet" in file]
    assert summary_of(out)["inputs"][0]["sheet"] is None


@pytest.mark.parametrize(("kind", "suffix"), [("webp", "webp"), ("jpeg", "jpg")])
def test_what_is_judged_are_the_pixels_of_the_file(fake, inputs, tmp_path, kind, suffix):
    draw(inputs / "a.png")
    out = tmp_path / kind
    words = ["upsample", inputs, "--output", out, "--format", kind, "--restarts", 2, "--eps", 0.5, "--noise-samples", 2]
    assert run(*words) == 0
    solutions = summary_of(out)["inputs"][0]["solutions"]
    varied = [variation for solution in solutions for variation in solution["variations"]]
    assert varied
    for entry in (*solutions, *varied):
        assert entry["image"].endswith(f".{suffix}")
        picture, small = (read_image(out / entry[name]).pixels.astype(float) for name in ("image", "downscaled"))
        from pulse_jax.images.degradations.bicubic import Bicubic

        truth = read_image(out / "a" / "input.png").pixels.astype(float)
        again, error = Bicubic(len(picture) // len(truth)).compare(picture, truth)
        assert entry["downscaling_error"] == pytest.approx(error, rel=1e-6)
        assert entry["feasible"] == (error <= summary_of(out)["config"]["eps"])
        np.testing.assert_allclose(small, again, atol=0.5 / 255 + 1e-6)
    assert run(*words) == 0
