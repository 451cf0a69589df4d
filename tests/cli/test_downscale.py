"""`downscale`: the exact operator."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.disturbances import disturbed
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from tests.cli.fake_engine import draw, listing, run, summary_of


@pytest.mark.parametrize(("flag", "side", "factor"), [(("--size", 4), 16, 4), (("--factor", 3), 15, 3)])
def test_downscale_is_the_exact_operator(inputs, tmp_path, capsys, flag, side, factor):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    Image.fromarray(pixels).save(inputs / "a.jpg", "PNG")
    (inputs / "b.png").write_bytes(b"")
    assert run("downscale", inputs, "--output", tmp_path / "out", *flag) == 1
    cut = pixels[:side, (20 - side) // 2 :][:, :side].astype(np.float32) / np.float32(255)
    expected = to_uint8(np.asarray(Bicubic(factor).apply(jnp.asarray(cut))))
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "out" / "a.png").pixels), expected)
    screen = capsys.readouterr()
    assert f"a.jpg: cropped from 20x16 to its centre {side}x{side}, factor {factor}" in screen.err
    assert "1 of 2 inputs failed:" in screen.err and "1 picture in" in screen.out
    assert listing(tmp_path / "out") == ["a.png", "summary.json"]
    summary = summary_of(tmp_path / "out")
    assert summary["finished"] and summary["files"] == ["a.png"]
    assert [Path(failure["input"]).name for failure in summary["failed"]] == ["b.png"]
    assert run("downscale", inputs / "a.jpg", "--output", tmp_path / "out", *flag) == 2
    assert run("downscale", inputs / "a.jpg", "--output", tmp_path / "out", *flag, "--overwrite") == 0


def test_pictures_too_small_to_downscale(inputs, tmp_path, capsys):
    draw(inputs / "a.png", 3)
    assert run("downscale", inputs, "--output", tmp_path / "out", "--size", 4) == 1
    assert "the picture is 3x3, smaller than 4x4" in capsys.readouterr().err
    assert run("downscale", inputs, "--output", tmp_path / "out", "--factor", 3) == 1
    assert "3x3 is too small to be downscaled by 3" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_disturbed_inputs_are_those_of_the_language(inputs, tmp_path, capsys):
    for i in range(2):
        draw(inputs / f"{i}.png", 16, i)
    words = ["--size", 4, "--degradation", "motion(300)|bicubic|gaussian(25)", "--seed", 5]
    assert run("downscale", inputs, "--output", tmp_path / "out", *words) == 0
    for i in range(2):
        truth = read_image(inputs / f"{i}.png").pixels
        made = disturbed(truth, "motion(300)|bicubic(4)|gaussian(25)", seed=5)
        found = read_image(tmp_path / "out" / f"{i}.png").pixels
        np.testing.assert_allclose(found, made.disturbed, atol=1e-6)
        assert np.abs(found - made.clean).max() > 0.05
    assert summary_of(tmp_path / "out")["degradation"] == "motion(300)|bicubic|gaussian(25)"
    for chain, message in (("gaussian(25)", "expected one downscaling"), ("bicubik", "expected one of")):
        assert run("downscale", inputs, "--output", tmp_path / "no", "--size", 4, "--degradation", chain) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "no").exists()
