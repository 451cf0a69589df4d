"""`demo`: solves, verifies from the files alone, and finds false claims."""

import json

import numpy as np
import pytest
from PIL import Image

from pulse_jax.cli.demo import verify
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import save_png
from pulse_jax.images.rounding import from_uint8
from pulse_jax.runs import writer
from tests.cli import fake_engine
from tests.cli.fake_engine import draw, run, summary_of


def test_demo_solves_verifies_and_can_be_repeated(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        draw(tmp_path / "package" / "data" / "demo" / f"head_{i}.png", 4, i)
        draw(tmp_path / "package" / "data" / "demo" / "truth" / f"head_{i}.png", 16, i)
    for _ in range(2):
        assert run("demo", "--restarts", 2) == 0
        out = capsys.readouterr().out
        assert "Verified: 4 pictures were read back" in out and "Look at pulse-demo/sheet.png" in out
        assert "head_0" in out and "0 of 2" in out
    assert summary_of(tmp_path / "pulse-demo")["command"] == "demo"
    assert run("upsample", "package/data/demo/head_0.png", "--output", "other") == 0
    assert run("demo", "--output", "other") == 2
    assert run("demo", "--output", "other", "--overwrite") == 0


def test_demo_finds_out_what_is_not_as_claimed(fake, tmp_path, monkeypatch, capsys):
    draw(tmp_path / "package" / "data" / "demo" / "head.png")
    real = writer.save_picture

    def spoil(path, image, kind, level=None):
        real(path, 255 - image if path.name == "solution_01.png" else image, kind, level)

    monkeypatch.setattr(writer, "save_picture", spoil)
    assert run("demo", "--output", tmp_path / "out", "--restarts", 2) == 1
    err = capsys.readouterr().err
    assert "head/solution_01.png: claimed an error of" in err and "1 of 2 solutions are not what was claimed" in err


def test_verify_checks_verdict_and_downscaled_picture(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    run("upsample", inputs, "--output", out, "--restarts", 2)
    summary = summary_of(out)
    summary["inputs"][0]["solutions"][0]["feasible"] = True
    (out / "summary.json").write_text(json.dumps(summary))
    faults = [check.fault for check in verify(out)[0]]
    assert faults[0].startswith("claimed feasible at an error of") and faults[1] == ""
    save_png(out / "a" / "downscaled_02.png", np.ones((4, 4, 3)))
    assert verify(out)[0][1].fault == "its downscaled picture is another"


def test_verify_takes_roundings_for_none(fake, inputs, tmp_path, monkeypatch):
    """An error of zero but for roundings: claimed and found may differ by any factor."""
    Image.new("RGB", (4, 4), (77, 77, 77)).save(inputs / "a.png")
    monkeypatch.setattr(fake_engine, "levels", lambda *_: np.full((16, 16, 3), 77 / 255, np.float32))
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 2) == 0
    solution = summary_of(tmp_path / "out")["inputs"][0]["solutions"][0]
    assert solution["feasible"] and solution["downscaling_error"] < 1e-12
    ((best, _),) = verify(tmp_path / "out")
    assert best.fault == ""


def test_verify_reads_the_target_as_the_search_was_given_it(inputs, tmp_path):
    """An error large enough for its float32 rounding to be told from that of float64."""
    levels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3))
    target, picture = from_uint8(levels[0, :4, :4].astype(np.uint8)), levels[1] / 255
    claimed = np.mean(np.square(Bicubic(4).apply_float64(picture) - target.astype(np.float64)))
    save_png(tmp_path / "a.png", target)
    save_png(tmp_path / "s.png", picture)
    save_png(tmp_path / "d.png", Bicubic(4).apply_float64(picture))
    solution = {"image": "s.png", "downscaled": "d.png", "downscaling_error": claimed, "feasible": False}
    entry = {"input": str(tmp_path / "a.png"), "notes": [], "factor": 4, "solutions": [solution]}
    config = {"eps": 1e-3, "blur_at_factor_one": False}
    (tmp_path / "summary.json").write_text(json.dumps({"config": config, "inputs": [entry]}))
    ((check,),) = verify(tmp_path)
    assert check.fault == "" and check.error == pytest.approx(claimed, rel=1e-12)


def test_demo_without_its_pictures(fake, tmp_path, capsys):
    assert run("demo", "--output", tmp_path / "out") == 1
    assert "the demo's pictures are missing" in capsys.readouterr().err
