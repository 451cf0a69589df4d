"""The grid: every picture once, in order, eight to a line."""

import numpy as np
import pytest

from pulse_jax.reports.picture_grid import picture_grid


def flats(count, side=16):
    return [np.full((side, side, 3), 100 + i, np.uint8) for i in range(count)]


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (8, 8), (9, 8), (20, 8)])
def test_pictures_stand_in_order_with_eight_to_a_line(count, columns):
    grid = picture_grid(flats(count))
    lines = -(-count // 8)
    assert grid.shape == (lines * 136 + 8, columns * 136 + 8, 3)
    for i in range(count):
        top, left = (8 + 136 * place for place in divmod(i, 8))
        assert (grid[top : top + 128, left : left + 128] == 100 + i).all()
    assert all((grid == 100 + i).all(axis=-1).sum() == 128**2 for i in range(count))


@pytest.mark.parametrize(("side", "shown"), [(16, 128), (128, 128), (129, 256), (1024, 256)])
def test_large_pictures_are_shown_larger(side, shown):
    assert picture_grid(flats(1, side)).shape == (shown + 16, shown + 16, 3)


def test_at_their_own_side_pictures_keep_their_pixels():
    pictures = np.random.default_rng(0).random((3, 16, 16, 3)).astype(np.float32)
    grid = picture_grid(pictures, columns=2, side=16)
    assert grid.shape == (56, 56, 3)
    np.testing.assert_allclose(grid[32:48, 8:24], pictures[2] * 255, atol=0.51)
