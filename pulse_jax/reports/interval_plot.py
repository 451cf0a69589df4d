"""A plot of means with their intervals, as SVG that takes its colours from the page around it."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from pulse_jax.reports.axes import round_ticks

__all__ = ["Interval", "interval_plot"]

_WIDTH, _LEFT, _RIGHT = 520, 150, 16
_ROW, _HEAD, _TOP, _BELOW = 22, 26, 8, 26


class Interval(NamedTuple):
    """A row: its name, the mean, and the ends of its interval, the mean itself where it has none."""

    name: str
    mean: float
    low: float
    high: float


def interval_plot(title: str, groups: Sequence[tuple[str, Sequence[Interval]]]) -> str:
    """Return an SVG with a row for each mean, group below group.

    Args:
        title: What is plotted, which is read out in its place.
        groups: Names of groups and their rows, at least one.
    """
    rows = [row for _, some in groups for row in some]
    low, high = min(row.low for row in rows), max(row.high for row in rows)
    room = (high - low or abs(high) or 1.0) * 0.05
    low, high = low - room, high + room
    height = _TOP + sum(_HEAD + _ROW * len(some) for _, some in groups) + _BELOW
    across = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * across

    parts = []
    bottom = height - _BELOW
    for tick in round_ticks(low, high, 5):
        parts.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP}" y2="{bottom}" stroke="var(--line)"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle">{tick:.3g}</text>')
    y = float(_TOP)
    for name, some in groups:
        y += _HEAD
        parts.append(f'<text x="0" y="{y - 8:.0f}" class="head">{html.escape(name)}</text>')
        for row in some:
            middle = y + _ROW / 2
            parts.append(
                f'<text x="{_LEFT - 10}" y="{middle + 4:.0f}" text-anchor="end">{html.escape(row.name)}</text>'
                f'<line x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{middle:.0f}" y2="{middle:.0f}" '
                'stroke="var(--accent)" stroke-width="3" stroke-linecap="round" opacity=".45"/>'
                f'<circle cx="{x(row.mean):.1f}" cy="{middle:.0f}" r="4.5" fill="var(--accent)"/>'
            )
            y += _ROW
    described = html.escape(title, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{described}">{"".join(parts)}</svg>'
