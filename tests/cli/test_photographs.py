"""Photographs as inputs: reduced first, where that is asked for; never brought to the generator's own size."""

import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.images.inputs import fit_low_res
from pulse_jax.images.rounding import to_uint8
from tests.cli.fake_engine import draw, run, summary_of


@pytest.fixture
def photograph(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (75, 100, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_photograph_is_refused_with_advice_that_helps(fake, photograph, tmp_path, capsys):
    assert run("upsample", photograph, "--output", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert "100x75, larger than an input for a generator of 16x16 (2x2, 4x4, 8x8); --input-size 2 downscales it" in err
    assert "--fit" not in err and not (tmp_path / "out").exists()
    assert run("upsample", photograph, "--output", tmp_path / "out", "--input-size", 2) == 0


@pytest.mark.parametrize("words", [("--input-size", 4), ("--factor", 4)])
def test_it_is_reduced_by_the_downscaling_that_solutions_are_held_against(fake, photograph, tmp_path, words):
    assert run("upsample", photograph, "--output", tmp_path / "out", *words) == 0
    record = summary_of(tmp_path / "out")["inputs"][0]
    assert record["size"] == 4 and record["factor"] == 4
    assert record["notes"] == ["cropped from 100x75 to its centre 72x72", "downscaled by 18 to 4x4"]
    square = read_image(photograph).pixels[1:73, 14:86]
    expected = to_uint8(Bicubic(18).apply_float64(square))
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "out" / "photo" / "input.png").pixels), expected)


def test_an_input_that_fits_stays_as_it_is(fake, inputs, tmp_path):
    draw(inputs / "a.png", side=4)
    assert run("upsample", inputs, "--output", tmp_path / "out", "--input-size", 4) == 0
    assert summary_of(tmp_path / "out")["inputs"][0]["notes"] == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--input-size", 3), 2, "--input-size: expected one of 2, 4, 8, 16 for pictures of 16x16, got 3"),
        (("--factor", 3), 2, "--factor: expected one of 1, 2, 4, 8 for pictures of 16x16, got 3"),
        (("--factor", 2, "--input-size", 4), 2, "--factor: has no meaning with --input-size, which says the same"),
        (("--fit", "pad", "--input-size", 4), 2, "--fit: has no meaning with --input-size or --factor"),
        (("--factor", 1), 0, "--factor 1: inputs as large as their solutions; nothing is enlarged"),
    ],
)
def test_sizes_that_are_none(fake, photograph, tmp_path, capsys, words, code, told):
    assert run("upsample", photograph, "--output", tmp_path / "out", *words) == code
    assert told in capsys.readouterr().err


def test_a_picture_that_is_too_small_costs_only_itself(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png", side=2)
    draw(inputs / "b.png", side=8)
    assert run("upsample", inputs, "--output", tmp_path / "out", "--input-size", 4) == 1
    assert "the picture is 2x2, smaller than 4x4; choose a smaller size" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["crop", "resize", "pad"])
@pytest.mark.parametrize("size", [(768, 1024), (160, 160), (63, 63), (65, 64), (40, 50)])
def test_no_way_to_fit_leads_to_the_generators_own_size(mode, size):
    pixels = np.zeros((*size, 3), np.float32)
    try:
        fitted, _ = fit_low_res(pixels, 64, mode, sizes=(2, 4, 8, 16, 32, 64))
    except ValueError:
        assert mode == "pad"
    else:
        assert len(fitted) <= 32


def test_the_generators_own_size_is_told():
    _, notes = fit_low_res(np.zeros((64, 64, 3)), 64, sizes=(32, 64))
    assert notes == ("as large as its solutions: nothing is enlarged",)
