"""Disturbances: drawn by seed and picture alone, of the strengths that they say."""

import io

import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.disturbances import disturbed
from pulse_jax.images.rounding import to_uint8

GREY = np.full((128, 128, 3), 0.5)
PICTURE = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)


def test_the_clean_one_is_what_pulse_downscales_to():
    found = disturbed(PICTURE, "motion(100)|bicubic(8)|gaussian(25)")
    np.testing.assert_array_equal(found.clean, to_uint8(Bicubic(8).apply_float64(PICTURE)) / 255)
    assert found.disturbed.shape == (8, 8, 3) and np.abs(found.disturbed - found.clean).max() > 0.02


@pytest.mark.parametrize("text", ["bicubic(4)|gaussian(25)", "motion(300)|area(4)", "salt_pepper(0.05)|bicubic(4)"])
def test_what_is_drawn_depends_on_seed_and_picture_alone(text):
    one = disturbed(PICTURE, text, seed=3)
    disturbed(GREY, text)
    again = disturbed(PICTURE.astype(np.float64), text, seed=3)
    np.testing.assert_array_equal(one.disturbed, again.disturbed)
    assert (disturbed(PICTURE, text, seed=4).disturbed != one.disturbed).any()


@pytest.mark.parametrize("sigma", [12, 25])
def test_noise_has_its_deviation_in_levels(sigma):
    found = 255 * disturbed(GREY, f"bicubic(1)|gaussian({sigma})").disturbed - 127.5
    # Of 49,152 numbers, rounded to levels, to four standard errors.
    np.testing.assert_allclose(found.std(), (sigma**2 + 1 / 12) ** 0.5, rtol=4 / (2 * found.size) ** 0.5)
    assert abs(found.mean()) < 4 * sigma / found.size**0.5


def test_salt_and_pepper_are_whole_pixels_of_their_share_and_as_often_white_as_black():
    found = disturbed(GREY, "bicubic(1)|salt_pepper(0.05)").disturbed
    assert (np.ptp(found, axis=-1) == 0).all()
    salt, pepper = (found[..., 0] == 1).mean(), (found[..., 0] == 0).mean()
    # Binomial, of 16,384 pixels, to four standard errors.
    np.testing.assert_allclose((salt, pepper), 0.025, atol=4 * (0.025 / 128**2) ** 0.5)


def test_jpeg_is_pillows():
    file = io.BytesIO()
    Image.fromarray(to_uint8(PICTURE)).save(file, "JPEG", quality=30)
    with Image.open(file) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(to_uint8(disturbed(PICTURE, "jpeg(30)|bicubic(1)").disturbed), expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gaussian(25)", r"expected one downscaling with its factor, such as bicubic\(8\)"),
        ("bicubic|gaussian(25)", "with its factor"),
        ("bicubic(2)|salt_pepper(2)", "share in"),
        ("bicubic(2)|jpeg(0)", "whole quality from 1 to 95"),
        ("bicubic(2)|gaussian(-1)", "sigma"),
        ("bicubic(5)", "expected"),
        ("bicubic(0)", "whole factor"),
    ],
)
def test_what_is_no_such_chain_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        disturbed(PICTURE, text)
