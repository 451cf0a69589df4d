"""Plots of numbers over lanes, drawn as contact sheets are: the same paper, ink and font, and no other library."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pulse_jax.reports.canvas import FAINT, INK, PAPER, SOFT, write_text

__all__ = ["Line", "Panel", "draw_panels"]

_Number = int | float
_Point = tuple[_Number, _Number]
# Of a colour-blind-safe set, dark enough on paper.
_COLOURS = ((0, 94, 162), (200, 82, 0), (24, 128, 74), (126, 47, 142))
_MARGIN = 44
_PLOT = (470, 300)
_LEFT, _BETWEEN, _LEGEND = 62, 96, 24
# Lines are drawn so many times as large and then reduced, which smooths their edges.
_FINE = 4


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        label: for the legend.
        points: x and y; a y of None is a gap, marked on the axis.
        colour: 0 to 3, a number of the palette.
        dashed: whether it is quieter: dashed, with hollow points and no numbers.
    """

    label: str
    points: Sequence[tuple[int, _Number | None]]
    colour: int
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One plot: its title, and at least one line."""

    title: str
    lines: Sequence[Line]


def draw_panels(panels: Sequence[Panel], *, title: str, subtitle: str, x_label: str, footer: str) -> np.ndarray:
    """Draws plots side by side, uint8 (h, w, 3); x is logarithmic, y linear from 0.

    Args:
        panels: at least one, whose lines share the values of x.
        title, subtitle: at the top.
        x_label: below every plot.
        footer: one line at the bottom, such as what a mark on the axis means.
    """
    width = 2 * _MARGIN + len(panels) * (_LEFT + _PLOT[0]) + (len(panels) - 1) * _BETWEEN
    legend = _LEGEND * max(len(panel.lines) for panel in panels)
    top = _MARGIN + 128
    height = top + _PLOT[1] + 74 + legend + (36 if footer else 0) + _MARGIN - 14
    fine = Image.new("RGB", (width * _FINE, height * _FINE), PAPER)
    places = [_Place(panel, _MARGIN + _LEFT + i * (_LEFT + _PLOT[0] + _BETWEEN), top) for i, panel in enumerate(panels)]
    for place in places:
        place.draw_lines(ImageDraw.Draw(fine))
    sheet = fine.resize((width, height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(sheet)
    write_text(draw, (_MARGIN, _MARGIN - 6), title, 28, INK)
    write_text(draw, (_MARGIN, _MARGIN + 34), subtitle, 16, SOFT)
    for place in places:
        place.write(draw, x_label)
    if footer:
        y = height - _MARGIN - 18
        draw.line((_MARGIN, y - 12, width - _MARGIN, y - 12), fill=FAINT)
        write_text(draw, (_MARGIN, y), footer, 14, SOFT)
    return np.array(sheet)


class _Place:
    """A panel and where it stands: its plot's left and top edge, and the scales of its axes."""

    def __init__(self, panel: Panel, left: int, top: int) -> None:
        self._panel, self._left, self._top = panel, left, top
        self._xs = sorted({x for line in panel.lines for x, _ in line.points})
        self._ticks = _ticks(max((y for line in panel.lines for _, y in line.points if y is not None), default=1.0))

    def _x(self, x: _Number) -> _Number:
        low, high = math.log(self._xs[0]), math.log(self._xs[-1])
        share = (math.log(x) - low) / (high - low) if high > low else 0.5
        return self._left + 20 + share * (_PLOT[0] - 40)

    def _y(self, y: _Number) -> _Number:
        return self._top + _PLOT[1] * (1 - y / self._ticks[-1])

    def _legend(self, number: int) -> _Number:
        """The middle of a legend's line."""
        return self._top + _PLOT[1] + 72 + _LEGEND * number

    def draw_lines(self, draw: ImageDraw.ImageDraw) -> None:
        """Everything but the words, enlarged."""
        for tick in self._ticks:
            _stroke(draw, [(self._left, self._y(tick)), (self._left + _PLOT[0], self._y(tick))], FAINT, 1)
        # Full lines last, on top.
        for line in sorted(self._panel.lines, key=lambda line: not line.dashed):
            colour = _COLOURS[line.colour]
            known = [(self._x(x), self._y(y)) for x, y in line.points if y is not None]
            _path(draw, known, colour, line.dashed)
            for x, _ in (point for point in line.points if point[1] is None):
                at, base = self._x(x), self._y(0)
                for slope in (-5, 5):
                    _stroke(draw, [(at - 5, base - slope), (at + 5, base + slope)], colour, 2)
        for number, line in enumerate(self._panel.lines):
            y = self._legend(number)
            _path(draw, [(self._left, y), (self._left + 32, y)], _COLOURS[line.colour], line.dashed)

    def write(self, draw: ImageDraw.ImageDraw, x_label: str) -> None:
        """The words and numbers."""
        write_text(draw, (self._left - _LEFT, self._top - 46), self._panel.title, 17, INK)
        for tick in self._ticks:
            write_text(draw, (self._left - 10, self._y(tick)), _number(tick), 13, SOFT, "rm")
        base = self._top + _PLOT[1]
        for x in self._xs:
            write_text(draw, (self._x(x), base + 8), str(x), 13, SOFT, "mt")
        write_text(draw, (self._left + _PLOT[0] / 2, base + 30), x_label, 14, SOFT, "mt")
        for number, line in enumerate(self._panel.lines):
            write_text(draw, (self._left + 42, self._legend(number)), line.label, 14, INK, "lm")
        self._write_values(draw)

    def _write_values(self, draw: ImageDraw.ImageDraw) -> None:
        """The numbers of the full lines, above their points; below where another line has a higher one there."""
        full = [line for line in self._panel.lines if not line.dashed]
        for line in full:
            for x, y in line.points:
                if y is None:
                    continue
                others = [dict(other.points).get(x) for other in full if other is not line]
                under = any(other is not None and other > y for other in others)
                across, down = self._x(x), self._y(y)
                if not under:
                    place, anchor = (across, down - 10), "mb"
                elif down + 28 < self._y(0):
                    place, anchor = (across, down + 10), "mt"
                else:  # no room above the axis
                    place, anchor = (across + 12, down + 6), "lm"
                write_text(draw, place, _number(y), 13, _COLOURS[line.colour], anchor, halo=2)


def _ticks(most: _Number) -> list[_Number]:
    """Round numbers from 0 to a little more than `most`, four to seven of them."""
    rough = most * 1.08 / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    return [step * i for i in range(math.ceil(most * 1.08 / step) + 1)]


def _number(value: _Number) -> str:
    """In three digits or all that there are: 0.25, 3.1, 1,240."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"


def _stroke(draw: ImageDraw.ImageDraw, points: Sequence[_Point], colour: tuple[int, int, int], width: _Number) -> None:
    enlarged = [(x * _FINE, y * _FINE) for x, y in points]
    draw.line(enlarged, fill=colour, width=round(width * _FINE), joint="curve")


def _path(draw: ImageDraw.ImageDraw, points: Sequence[_Point], colour: tuple[int, int, int], dashed: bool) -> None:
    """A line through points with a dot at each; dashed with rings."""
    if dashed:
        dash, offset = 7.0, 0.0
        for start, end in itertools.pairwise(points):
            length = math.dist(start, end)
            while offset < length:
                ends = (offset, min(offset + dash, length))
                piece = [tuple(a + (b - a) * at / length for a, b in zip(start, end, strict=True)) for at in ends]
                _stroke(draw, [(x, y) for x, y in piece], colour, 1.5)
                offset += 2 * dash
            offset -= length
    elif len(points) > 1:
        _stroke(draw, points, colour, 2.5)
    radius = 3.5 if dashed else 4.5
    for x, y in points:
        box = [(x - radius) * _FINE, (y - radius) * _FINE, (x + radius) * _FINE, (y + radius) * _FINE]
        draw.ellipse(box, fill=PAPER if dashed else colour, outline=colour, width=round(1.5 * _FINE))
