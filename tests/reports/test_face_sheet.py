"""The sheet of photographs: squares lie where the faces are."""

import numpy as np

from pulse_jax.reports.canvas import PALETTE, SOFT
from pulse_jax.reports.face_sheet import MAX_PHOTOGRAPHS, Outline, face_sheet, photograph_tile


def test_a_square_lies_around_its_face():
    pixels = np.zeros((120, 240, 3), np.uint8)
    pixels[40:80, 100:140] = 255
    quad = np.array([[99.5, 39.5], [99.5, 79.5], [139.5, 79.5], [139.5, 39.5]])
    tile = photograph_tile(pixels, [Outline("1", quad, np.zeros((0, 2)))])
    assert tile.shape == (480, 480, 3)
    # Twice as large, 120 pixels further down: the photograph is wide.
    drawn = np.argwhere(np.all(tile == PALETTE[1], axis=-1))
    rows, columns = drawn[:, 0], drawn[:, 1]
    assert np.quantile(columns, [0.1, 0.9]).round().tolist() == [200, 280] or (
        abs(np.median(columns[columns < 240]) - 200) <= 1 and abs(np.median(columns[columns > 240]) - 280) <= 1
    )
    assert abs(rows.max() - (120 + 160)) <= 2
    other = photograph_tile(pixels, [Outline("1", quad, np.zeros((0, 2)), taken=False)])
    assert not np.all(other == PALETTE[1], axis=-1).any() and np.all(other == SOFT, axis=-1).any()


def test_as_many_photographs_as_fit():
    tile = np.zeros((480, 480, 3), np.uint8)
    one = face_sheet([("a", tile)], 1, "1 face")
    many = face_sheet([("a", tile)] * MAX_PHOTOGRAPHS, 100, "100 faces")
    assert one.shape[1] < many.shape[1] and one.dtype == np.uint8
    assert max(many.shape) < 8192
