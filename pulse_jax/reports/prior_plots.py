"""Pictures of how Gaussian a prior makes w: squared norms after SRLS, figure 2, and single and paired coordinates."""

import functools
import math

import numpy as np
from PIL import Image

from pulse_jax.reports.axes import LEGEND_LINE, Axes, draw_legend, round_ticks, tick_label
from pulse_jax.reports.canvas import FAINT, INK, MARGIN, PALETTE, PAPER, SOFT, Canvas, Colour, Number, Point
from pulse_jax.reports.prior_quality import PriorReport

__all__ = ["COLOURS", "draw_coordinates", "draw_norms"]

_BLUE, _ORANGE, _GREEN, _PURPLE, _OCHRE = PALETTE
COLOURS = {"z": SOFT, "w": _OCHRE, "whitening": _ORANGE, "principal": _PURPLE, "flow": _BLUE}
"""What every kind of vector is drawn in."""
_TITLES = {
    "z": "z, a true Gaussian",
    "w": "w as it is",
    "whitening": "PULSE's whitening",
    "principal": "principal components",
    "flow": "flow",
}
_WIDE, _HIGH = 920, 420
_CELL, _GAP = 210, 26
_BINS = 80
# Coordinates are shown from −_REACH to _REACH.
_REACH = 4


def draw_norms(report: PriorReport) -> np.ndarray:
    """Draw the histogram of squared norms of every kind of vector over the chi-squared density; uint8 (h, w, 3)."""
    d, count = report.numbers["width"], report.numbers["samples_of_norms"]
    squares = {
        name: np.square(x[:count], dtype=np.float64).sum(axis=1)
        for name, x in report.vectors.items()
        if name in _TITLES
    }
    # Everything but far tails; raw w has another scale, and may leave the picture.
    spread = 6 * math.sqrt(2 * d)
    low = max(0.0, min([d - spread, *(float(np.quantile(values, 0.002)) for values in squares.values())]))
    high = max([d + spread, *(float(np.quantile(values, 0.998)) for values in squares.values())])
    high = min(high, d + 3 * spread)
    x = np.linspace(low, high, 400)
    truth = _chi_squared_density(x, d)
    edges = np.linspace(low, high, _BINS + 1)
    bars = {name: _heights(values, edges) for name, values in squares.items()}
    most = 1.08 * max(truth.max(), *(heights.max() for name, heights in bars.items() if name != "w"))
    top = MARGIN + 78
    canvas = Canvas(2 * MARGIN + _WIDE, top + _HIGH + 70 + LEGEND_LINE * (len(squares) + 1) + MARGIN, smooth=True)
    canvas.write((MARGIN, MARGIN - 6), "Squared norm", 28, INK)
    canvas.write((MARGIN, MARGIN + 34), f"{count:,} samples, nothing was fitted to them; d = {d}", 16, SOFT)
    axes = Axes(MARGIN, top, _WIDE, _HIGH, (low, high), (0, most))
    _fill(canvas, axes, x, np.minimum(truth, most))
    for name, heights in bars.items():
        _outline(canvas, axes, edges, np.minimum(heights, most), COLOURS[name])
    _base(canvas, axes)
    for tick in round_ticks(low, high, 6):
        axes.write_x_tick(canvas, tick, tick_label(tick))
    axes.write_x_label(canvas, "squared norm")
    entries = []
    for name, values in squares.items():
        text = f"{_TITLES[name]}: distance {report.numbers['vectors'][name]['wasserstein_of_squared_norms']:,.2f}"
        beyond = 1 - float(np.mean((values >= low) & (values <= high)))
        text += f" ({beyond:.0%} outside the picture)" if beyond >= 0.01 else ""
        text += " (higher than the picture)" if bars[name].max() > most else ""
        entries.append((text, functools.partial(_line_sample, COLOURS[name])))
    entries.append((f"chi-squared with {d} degrees of freedom, what a Gaussian has", _fill_sample))
    draw_legend(canvas, MARGIN, top + _HIGH + 62, entries)
    return canvas.pixels()


def draw_coordinates(report: PriorReport) -> np.ndarray:
    """Draw coordinates of every prior's vectors: the three furthest from Gaussian, and the two most correlated pairs.

    A row per prior: histograms over the standard Gaussian's density, and densities of pairs; uint8 (h, w, 3).
    """
    names = [name for name in ("whitening", "principal", "flow") if name in report.vectors]
    top, row_height = MARGIN + 84, _CELL + 70
    canvas = Canvas(2 * MARGIN + 5 * _CELL + 4 * _GAP, top + row_height * len(names) + 10, smooth=True)
    canvas.write((MARGIN, MARGIN - 6), "Coordinates furthest from a Gaussian's", 28, INK)
    subtitle = "three with the largest skew and kurtosis over N(0, 1), and the two most correlated pairs; -4 to 4"
    canvas.write((MARGIN, MARGIN + 34), subtitle, 16, SOFT)
    for row, name in enumerate(names):
        x = report.vectors[name]
        y = top + row * row_height + 34
        canvas.write((MARGIN, y - 28), _summary(report, name), 16, INK)
        lefts = [MARGIN + column * (_CELL + _GAP) for column in range(5)]
        standard = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)
        odd = np.abs(np.mean(standard**3, axis=0)) + np.abs(np.mean(standard**4, axis=0) - 3)
        for left, i in zip(lefts, np.argsort(-odd)[:3], strict=False):
            _draw_histogram(canvas, x[:, i], left, y, COLOURS[name])
            _caption(canvas, left, y, f"u{i + 1}")
        correlation = np.abs(np.triu(standard.T @ standard / len(x), 1))
        for left, flat in zip(lefts[3:], np.argsort(-correlation, axis=None)[:2], strict=True):
            i, j = np.unravel_index(flat, correlation.shape)
            _draw_pair(canvas, x[:, i], x[:, j], left, y, COLOURS[name])
            _caption(canvas, left, y, f"u{i + 1} and u{j + 1}, correlation {correlation[i, j]:.2f}")
    return canvas.pixels()


def _summary(report: PriorReport, name: str) -> str:
    measured, true = report.numbers["vectors"][name], report.numbers["vectors"]["z"]
    parts = [
        f"{word} {measured[key]:.3f} ({true[key]:.3f})"
        for word, key in (("skew", "skew"), ("excess kurtosis", "excess_kurtosis"), ("correlation", "correlation"))
    ]
    return f"{_TITLES[name]}: mean {', '.join(parts)}; in brackets, of z"


def _caption(canvas: Canvas, left: Number, top: Number, text: str) -> None:
    canvas.write((left + _CELL / 2, top + _CELL + 2), text, 13, SOFT, anchor="ma")


def _draw_histogram(canvas: Canvas, values: np.ndarray, left: Number, top: Number, colour: Colour) -> None:
    edges = np.linspace(-_REACH, _REACH, 49)
    heights = _heights(values, edges)
    x = np.linspace(-_REACH, _REACH, 161)
    truth = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    most = 1.05 * max(float(heights.max()), float(truth.max()))
    axes = Axes(left, top, _CELL, _CELL, (-_REACH, _REACH), (0, most))
    _fill(canvas, axes, x, truth)
    _outline(canvas, axes, edges, heights, colour)
    _base(canvas, axes)


def _draw_pair(canvas: Canvas, x: np.ndarray, y: np.ndarray, left: Number, top: Number, colour: Colour) -> None:
    """The density of a pair, darker where it is higher, with the circles that hold 39 % and 86 % of a Gaussian's."""
    edges = np.linspace(-_REACH, _REACH, 43)
    density = np.histogram2d(y, x, [edges, edges])[0][::-1]
    shade = np.sqrt(density / max(float(density.max()), 1.0))[..., None]
    pixels = (np.array(PAPER) * (1 - shade) + np.array(colour) * shade).round().astype(np.uint8)
    canvas.picture(pixels, (left, top), _CELL, Image.Resampling.NEAREST)
    for deviations in (1, 2):
        canvas.circle((left + _CELL / 2, top + _CELL / 2), deviations * _CELL / (2 * _REACH), INK)
    canvas.rectangle([(left, top), (left + _CELL, top + _CELL)], outline=SOFT)


def _chi_squared_density(x: np.ndarray, d: int) -> np.ndarray:
    positive = np.maximum(x, 1e-9)
    log_density = (d / 2 - 1) * np.log(positive) - positive / 2 - d / 2 * math.log(2) - math.lgamma(d / 2)
    return np.exp(np.minimum(log_density, 50.0))


def _heights(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The density of values in bins of one width, all values counted."""
    return np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))


def _fill(canvas: Canvas, axes: Axes, x: np.ndarray, heights: np.ndarray) -> None:
    """A density, as an area."""
    points = [axes.at(*point) for point in zip(x, heights, strict=True)]
    canvas.polygon([*points, axes.at(axes.x[1], 0), axes.at(axes.x[0], 0)], FAINT)


def _outline(canvas: Canvas, axes: Axes, edges: np.ndarray, heights: np.ndarray, colour: Colour) -> None:
    """A histogram's upper edge, as steps from the axis and back to it."""
    ys = np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])
    canvas.line([axes.at(float(x), float(y)) for x, y in zip(np.repeat(edges, 2), ys, strict=True)], colour, 2)


def _base(canvas: Canvas, axes: Axes) -> None:
    canvas.line([axes.at(axes.x[0], 0), axes.at(axes.x[1], 0)], SOFT)


def _line_sample(colour: Colour, canvas: Canvas, start: Point, end: Point) -> None:
    canvas.line([start, end], colour, 3)


def _fill_sample(canvas: Canvas, start: Point, end: Point) -> None:
    canvas.rectangle([(start[0], start[1] - 7), (end[0], end[1] + 7)], fill=FAINT)
