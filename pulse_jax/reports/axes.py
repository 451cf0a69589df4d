"""What plots share: axes with round ticks, their labels, and legends."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pulse_jax.reports.canvas import INK, SOFT, Canvas, Number, Point

__all__ = ["LEGEND_LINE", "Axes", "draw_legend", "number", "round_ticks", "tick_label"]

LEGEND_LINE = 26
"""Pixels from one line of a legend to the next."""
_SWATCH = 32


@dataclass(frozen=True)
class Axes:
    """A rectangle on a canvas, and the values that its edges stand for.

    Attributes:
        left: Its left edge in pixels.
        top: Its upper edge in pixels.
        width: Its width in pixels.
        height: Its height in pixels.
        x: Values at its left and right edge.
        y: Values at its lower and upper edge.
    """

    left: Number
    top: Number
    width: Number
    height: Number
    x: tuple[Number, Number]
    y: tuple[Number, Number]

    def at(self, x: Number, y: Number) -> Point:
        """Return where a point of the plot lies on the canvas; beyond the rectangle if its values are."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def write_x_tick(self, canvas: Canvas, x: Number, label: str) -> None:
        """Write the label of a tick below the axis."""
        canvas.write((self.at(x, 0)[0], self.top + self.height + 4), label, 13, SOFT, anchor="ma")

    def write_x_label(self, canvas: Canvas, label: str) -> None:
        """Write what the horizontal axis shows below the labels of its ticks."""
        canvas.write((self.left + self.width / 2, self.top + self.height + 25), label, 14, SOFT, anchor="ma")


def round_ticks(low: Number, high: Number, most: int) -> list[Number]:
    """Return the round values in an interval: multiples of 1, 2, 2.5 or 5 times a power of ten.

    Args:
        low: Lower end.
        high: Upper end, above the lower.
        most: How many steps there may be.
    """
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def tick_label(value: Number) -> str:
    """Return a round value as a label, with all the digits it has: 0.25, 137.5, 1,240."""
    return f"{value:,.10g}"


def number(value: Number) -> str:
    """Return a measured value in three digits or all that stand before the point: 0.25, 3.1, 1,240."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"


def draw_legend(
    canvas: Canvas, left: Number, top: Number, entries: Sequence[tuple[str, Callable[[Canvas, Point, Point], None]]]
) -> None:
    """Draw a legend, an entry to a line.

    Args:
        canvas: Canvas to draw on.
        left: Left edge in pixels.
        top: The middle of its first line in pixels.
        entries: Labels, and functions that draw the sample that belongs to it between two points on a canvas.
    """
    for row, (label, draw) in enumerate(entries):
        y = top + LEGEND_LINE * row
        draw(canvas, (left, y), (left + _SWATCH, y))
        canvas.write((left + _SWATCH + 10, y), label, 14, INK, anchor="lm")
