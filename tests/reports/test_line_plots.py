"""Plots: every point at its place, nothing on the edge, any numbers."""

import numpy as np
import pytest

from pulse_jax.reports.canvas import PALETTE
from pulse_jax.reports.line_plots import Line, Panel, draw_panels


def plot(*lines, panels=1):
    return draw_panels([Panel("Speed", lines)] * panels, title="T", subtitle="S", x_label="lanes", footer="")


def dots(picture, colour):
    """The middles (x, y) of the dots of a colour above the legend, from left to right: where 5×5 pixels have it."""
    # Reducing a picture lets colours ring a little near edges.
    same = (np.abs(picture[:-100].astype(int) - colour) < 40).all(axis=-1)
    rows, columns = np.nonzero(np.lib.stride_tricks.sliding_window_view(same, (5, 5)).all(axis=(2, 3)))
    order = np.argsort(columns)
    groups = np.split(order, np.flatnonzero(np.diff(columns[order]) > 10) + 1)
    return [(columns[group].mean() + 2, rows[group].mean() + 2) for group in groups]


def test_points_are_evenly_apart_along_a_logarithm_and_their_heights_are_proportional():
    points = dots(plot(Line("a", [(2, 25.0), (8, 50.0), (32, 100.0)], 3)), PALETTE[3])
    (x1, y1), (x2, y2), (x3, y3) = points
    assert x2 - x1 == pytest.approx(x3 - x2, abs=1)
    assert y2 - y3 == pytest.approx(2 * (y1 - y2), abs=1) and y1 > y2 > y3
    # Both axes are shared by all lines of a panel.
    shared = dots(plot(Line("a", [(2, 25.0), (8, 50.0)], 3), Line("b", [(32, 100.0)], 0)), PALETTE[3])
    np.testing.assert_allclose(shared, points[:2], atol=1)


def test_a_plot_has_room_for_everything_and_marks_what_is_missing():
    def drawn(last):
        lines = [Line("float32", [(1, 10.0), (8, last)], 0), Line("plain", [(1, 9.0), (8, None)], 1, dashed=True)]
        return plot(*lines, panels=2)

    whole, marked = drawn(80.0), drawn(None)
    assert whole.dtype == np.uint8
    assert whole.shape == marked.shape
    assert (whole != marked).any()
    assert (whole[0] == whole[0, 0]).all(), "nothing touches the edge"


@pytest.mark.parametrize("points", [[(4, 0.003)], [(1, None)], [(1, 1e7), (2, 1e-3)]])
def test_a_plot_takes_any_numbers(points):
    assert draw_panels([Panel("P", [Line("a", points, 0)])], title="", subtitle="", x_label="", footer="f").size
