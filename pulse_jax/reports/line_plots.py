"""Plots of numbers over lanes, drawn as contact sheets are: the same paper, ink and font, and no other library."""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pulse_jax.reports.axes import LEGEND_LINE, Axes, draw_legend, number, round_ticks, tick_label
from pulse_jax.reports.canvas import FAINT, INK, MARGIN, PALETTE, PAPER, SOFT, Canvas, Colour, Number, Point, text_width

__all__ = ["Line", "Panel", "draw_panels"]

_PLOT = (470, 300)
_LEFT, _BETWEEN = 62, 96
# Of an axis, at each end: points do not touch the edge.
_INSET = 20
_DASH = 7.0


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        label: Text of the legend.
        points: x, above 0, and y, not below 0; a y of None is a gap, marked on the axis.
        colour: Place of its colour in `canvas.PALETTE`.
        dashed: Whether it is quieter: dashed, with hollow points and no numbers.
    """

    label: str
    points: Sequence[tuple[int, Number | None]]
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One plot: its title, and at least one line."""

    title: str
    lines: Sequence[Line]


def draw_panels(panels: Sequence[Panel], *, title: str, subtitle: str, x_label: str, footer: str) -> np.ndarray:
    """Draw plots side by side, uint8 (h, w, 3); x is logarithmic, y linear from 0.

    Args:
        panels: At least one plot, the lines of which share the values of x.
        title: Headline.
        subtitle: Line below it.
        x_label: What x is, below every plot.
        footer: One line at the bottom, such as what a mark on the axis means.
    """
    width = 2 * MARGIN + len(panels) * (_LEFT + _PLOT[0]) + (len(panels) - 1) * _BETWEEN
    legend = LEGEND_LINE * max(len(panel.lines) for panel in panels)
    top = MARGIN + 128
    height = top + _PLOT[1] + 72 + legend + (36 if footer else 0) + MARGIN - 14
    canvas = Canvas(width, height, smooth=True)
    canvas.write((MARGIN, MARGIN - 6), title, 28, INK)
    canvas.write((MARGIN, MARGIN + 34), subtitle, 16, SOFT)
    for i, panel in enumerate(panels):
        left = MARGIN + _LEFT + i * (_LEFT + _PLOT[0] + _BETWEEN)
        _draw_panel(canvas, panel, left, top, x_label)
    if footer:
        y = height - MARGIN - 18
        canvas.line([(MARGIN, y - 12), (width - MARGIN, y - 12)], FAINT)
        canvas.write((MARGIN, y), footer, 14, SOFT)
    return canvas.pixels()


def _draw_panel(canvas: Canvas, panel: Panel, left: int, top: int, x_label: str) -> None:
    xs = sorted({x for line in panel.lines for x, _ in line.points})
    ticks = _ticks(max((y for line in panel.lines for _, y in line.points if y is not None), default=0.0) or 1.0)
    low, high = math.log(xs[0]), math.log(xs[-1])
    # A single x stands in the middle.
    low, high = (low, high) if high > low else (low - 1, high + 1)
    axes = Axes(left + _INSET, top, _PLOT[0] - 2 * _INSET, _PLOT[1], (low, high), (0, ticks[-1]))
    canvas.write((left - _LEFT, top - 46), panel.title, 17, INK)
    for tick in ticks:
        y = axes.at(low, tick)[1]
        canvas.line([(left, y), (left + _PLOT[0], y)], FAINT)
        canvas.write((left - 10, y), tick_label(tick), 13, SOFT, anchor="rm")
    for x in xs:
        axes.write_x_tick(canvas, math.log(x), str(x))
    axes.write_x_label(canvas, x_label)
    # Full lines last, on top.
    for line in sorted(panel.lines, key=lambda line: not line.dashed):
        known = [axes.at(math.log(x), y) for x, y in line.points if y is not None]
        _draw_path(PALETTE[line.colour], line.dashed, canvas, *known)
        for x in (x for x, y in line.points if y is None):
            across, base = axes.at(math.log(x), 0)
            for slope in (-5, 5):
                canvas.line([(across - 5, base - slope), (across + 5, base + slope)], PALETTE[line.colour], 2)
    samples = [(line.label, functools.partial(_draw_path, PALETTE[line.colour], line.dashed)) for line in panel.lines]
    draw_legend(canvas, left, top + _PLOT[1] + 72, samples)
    _write_values(canvas, panel, axes)


def _write_values(canvas: Canvas, panel: Panel, axes: Axes) -> None:
    """The numbers of the full lines, above their points; below where another line has a higher one there."""
    full = [line for line in panel.lines if not line.dashed]
    for line in full:
        for x, y in line.points:
            if y is None:
                continue
            others = [dict(other.points).get(x) for other in full if other is not line]
            under = any(other is not None and other > y for other in others)
            across, down = axes.at(math.log(x), y)
            text, base = number(y), axes.top + axes.height
            if not under:
                place, anchor = (across, down - 7), "md"
            elif down + 28 < base:
                place, anchor = (across, down + 6), "ma"
            else:  # no room below it: beside it, above the axis
                fits = across + 12 + text_width(text, 13) <= axes.left + axes.width + _INSET
                side, anchor = (12, "lm") if fits else (-12, "rm")
                place = (across + side, min(down + 6, base - 9))
            canvas.write(place, text, 13, PALETTE[line.colour], anchor=anchor, halo=2)


def _ticks(most: Number) -> list[Number]:
    """Round numbers from 0 to a little more than `most`."""
    room = most * 1.08
    ticks = round_ticks(0, room, 5)
    return ticks if ticks[-1] >= room else [*ticks, ticks[-1] + ticks[1]]


def _draw_path(colour: Colour, dashed: bool, canvas: Canvas, *points: Point) -> None:
    """A line through points with a dot at each; dashed with rings."""
    if dashed:
        offset = 0.0
        for start, end in itertools.pairwise(points):
            length = math.dist(start, end)
            while offset < length:
                shares = [at / length for at in (offset, min(offset + _DASH, length))]
                (x0, y0), (x1, y1) = start, end
                canvas.line([(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share) for share in shares], colour, 1.5)
                offset += 2 * _DASH
            offset -= length
    elif len(points) > 1:
        canvas.line(points, colour, 2.5)
    for point in points:
        canvas.circle(point, 3.5 if dashed else 4.5, colour, fill=PAPER if dashed else colour, width=1.5)
