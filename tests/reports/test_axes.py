"""Axes: round ticks, labels that tell them apart, and places on the canvas."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_jax.reports.axes import Axes, draw_legend, number, round_ticks, tick_label
from pulse_jax.reports.canvas import PALETTE, Canvas


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (0, 1.1, 5, [0, 0.25, 0.5, 0.75, 1]),
        (-30, 70, 6, [-20, 0, 20, 40, 60]),
        (150, 410, 6, [150, 200, 250, 300, 350, 400]),
        (1e-6, 5e-6, 5, [1e-6, 2e-6, 3e-6, 4e-6, 5e-6]),
    ],
)
def test_ticks_are_round_and_all_within(low, high, most, expected):
    np.testing.assert_allclose(round_ticks(low, high, most), expected, rtol=1e-12, atol=1e-12)


@given(st.floats(-100, 100), st.floats(1e-3, 1e6), st.integers(2, 10))
def test_ticks_are_multiples_of_a_round_step_and_their_labels_say_all_of_them(lengths, length, most):
    low = lengths * length
    ticks = round_ticks(low, low + length, most)
    assert 1 <= len(ticks) <= most + 1
    assert low - 1e-6 * length <= ticks[0] and ticks[-1] <= low + length * (1 + 1e-6)
    if len(ticks) > 1:
        step = ticks[1] - ticks[0]
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(mantissa - one) for one in (1, 2, 2.5, 5)) < 1e-3
    for tick in ticks:
        assert float(Fraction(tick_label(tick).replace(",", ""))) == pytest.approx(tick, abs=1e-6 * length)


@pytest.mark.parametrize(
    ("value", "label", "measured"),
    [(0, "0", "0"), (0.25, "0.25", "0.25"), (137.5, "137.5", "138"), (1240, "1,240", "1,240"), (3.14159, None, "3.14")],
)
def test_labels(value, label, measured):
    assert number(value) == measured
    assert label is None or tick_label(value) == label


def test_places_are_linear_and_upwards():
    axes = Axes(10, 20, 100, 50, (0, 4), (-1, 1))
    assert axes.at(0, -1) == (10, 70)
    assert axes.at(4, 1) == (110, 20)
    assert axes.at(2, 0) == (60, 45)
    assert axes.at(5, -2) == (135, 95)


def test_a_legend_has_a_line_and_a_sample_for_each_entry():
    canvas, drawn = Canvas(200, 100), []
    draw_legend(
        canvas, 10, 20, [("a", lambda *sample: drawn.append(sample)), ("b", lambda *sample: drawn.append(sample))]
    )
    (one, start, end), (other, lower, _) = drawn
    assert one is other is canvas
    assert start[1] == end[1] == 20 and lower[1] > start[1] and end[0] > start[0] == 10
    pixels = canvas.pixels()
    assert (pixels[:, int(end[0]) + 1 :] != pixels[0, 0]).any(), "labels beside the samples"
    assert len(set(PALETTE)) == len(PALETTE)
