"""Formats of delivered pictures: every level of compression holds the same pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.formats import as_read, encoded

# A slope with a little noise, which compresses as pictures do.
PICTURE = (
    np.add.outer(np.arange(64), np.arange(64))[..., None] + np.random.default_rng(0).integers(0, 3, (64, 64, 3))
).astype(np.uint8)


@pytest.mark.parametrize("level", [None, *range(10)])
@pytest.mark.parametrize("kind", ["png", "webp"])
def test_pixels_are_the_same_at_every_level(kind, level):
    with Image.open(io.BytesIO(encoded(PICTURE, kind, level))) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), PICTURE)


def test_levels_are_honoured():
    sizes = [len(encoded(PICTURE, "png", level)) for level in (0, 1, 9)]
    assert sizes[0] > PICTURE.nbytes > sizes[1] > sizes[2]
    assert len(encoded(PICTURE, "png")) == sizes[1]
    assert len(encoded(PICTURE, "webp", 9)) < len(encoded(PICTURE, "webp", 0)) == len(encoded(PICTURE, "webp"))


def test_jpeg_does_not_hold_every_pixel_and_what_it_holds_is_told():
    with Image.open(io.BytesIO(encoded(PICTURE, "jpeg"))) as image:
        np.testing.assert_array_equal(np.asarray(image), as_read(PICTURE, "jpeg"))
    assert (as_read(PICTURE, "jpeg") != PICTURE).any()
