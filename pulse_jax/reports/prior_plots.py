"""Pictures of how Gaussian a prior makes w: squared norms after SRLS, figure 2, and single and paired coordinates."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from pulse_jax.reports.canvas import FAINT, INK, PAPER, SOFT, write_text
from pulse_jax.reports.prior_quality import PriorReport

__all__ = ["draw_coordinates", "draw_norms"]

# Of a colour-blind-safe set, dark enough on paper.
_COLOURS = {
    "z": (104, 108, 114),
    "w": (196, 148, 0),
    "whitening": (200, 82, 0),
    "principal": (126, 47, 142),
    "flow": (0, 94, 162),
}
_TITLES = {
    "z": "z, a true Gaussian",
    "w": "w as it is",
    "whitening": "PULSE's whitening",
    "principal": "principal components",
    "flow": "flow",
}
_MARGIN = 44
_FINE = 4  # lines are drawn so many times as large and then reduced, which smooths their edges
_WIDE, _HIGH = 920, 420
_CELL, _GAP = 210, 26
_BINS = 80
_Number = int | float
_Point = tuple[_Number, _Number]


def draw_norms(report: PriorReport) -> np.ndarray:
    """The histogram of squared norms of every kind of vector, over the chi-squared density; uint8 (h, w, 3)."""
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
    bars = {
        name: np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0])) for name, values in squares.items()
    }
    most = 1.08 * max(truth.max(), *(heights.max() for name, heights in bars.items() if name != "w"))
    top, height = _MARGIN + 78, _MARGIN + 78 + _HIGH + 70 + 26 * len(squares) + 26 + _MARGIN
    width = 2 * _MARGIN + _WIDE

    def at(x: _Number, y: _Number) -> _Point:
        return _MARGIN + _WIDE * (x - low) / (high - low), top + _HIGH * (1 - min(y / most, 1.0))

    fine = Image.new("RGB", (width * _FINE, height * _FINE), PAPER)
    draw = ImageDraw.Draw(fine)
    base = [at(high, 0), at(low, 0)]
    draw.polygon(_enlarged([*(at(*point) for point in zip(x, truth, strict=True)), *base]), fill=FAINT)
    for name, heights in bars.items():
        _line(draw, [at(*point) for point in _outline(edges, heights)], _COLOURS[name], 2)
    _line(draw, base, SOFT, 1)
    legend = top + _HIGH + 62
    for row, name in enumerate(squares):
        _line(draw, [(_MARGIN, legend + 26 * row), (_MARGIN + 32, legend + 26 * row)], _COLOURS[name], 3)
    swatch = (_MARGIN, legend + 26 * len(squares) - 7, _MARGIN + 32, legend + 26 * len(squares) + 7)
    draw.rectangle([side * _FINE for side in swatch], fill=FAINT)
    sheet = fine.resize((width, height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(sheet)
    write_text(draw, (_MARGIN, _MARGIN - 6), "Squared norm", 28, INK)
    write_text(draw, (_MARGIN, _MARGIN + 34), f"{count:,} samples, nothing was fitted to them; d = {d}", 16, SOFT)
    for tick in _ticks(low, high):
        write_text(draw, (at(tick, 0)[0], top + _HIGH + 8), f"{tick:,.0f}", 13, SOFT, "mt")
    write_text(draw, (_MARGIN + _WIDE / 2, top + _HIGH + 28), "squared norm", 14, SOFT, "mt")
    for row, name in enumerate(squares):
        measured = report.numbers["vectors"][name]["wasserstein_of_squared_norms"]
        text = f"{_TITLES[name]}: distance {measured:,.2f}"
        beyond = 1 - float(np.mean((squares[name] >= low) & (squares[name] <= high)))
        text += f" ({beyond:.0%} outside the picture)" if beyond >= 0.01 else ""
        write_text(draw, (_MARGIN + 42, legend + 26 * row), text, 15, INK, "lm")
    where = (_MARGIN + 42, legend + 26 * len(squares))
    write_text(draw, where, f"chi-squared with {d} degrees of freedom, what a Gaussian has", 15, INK, "lm")
    return np.array(sheet)


def draw_coordinates(report: PriorReport) -> np.ndarray:
    """Coordinates of every prior's vectors: the three furthest from Gaussian, and the two most correlated pairs.

    A row per prior: histograms over the standard Gaussian's density, and densities of pairs; uint8 (h, w, 3).
    """
    names = [name for name in ("whitening", "principal", "flow") if name in report.vectors]
    width = 2 * _MARGIN + 5 * _CELL + 4 * _GAP
    top, row_height = _MARGIN + 84, _CELL + 70
    height = top + row_height * len(names) + 10
    fine = Image.new("RGB", (width * _FINE, height * _FINE), PAPER)
    draw = ImageDraw.Draw(fine)
    words: list[tuple[_Point, str]] = []
    for row, name in enumerate(names):
        x = report.vectors[name]
        y = top + row * row_height + 34
        standard = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)
        odd = np.abs(np.mean(standard**3, axis=0)) + np.abs(np.mean(standard**4, axis=0) - 3)
        for column, i in enumerate(np.argsort(-odd)[:3]):
            left = _MARGIN + column * (_CELL + _GAP)
            _histogram(draw, x[:, i], left, y, _COLOURS[name])
            words.append(((left + _CELL / 2, y + _CELL + 6), f"u{i + 1}"))
        correlation = np.abs(np.triu(standard.T @ standard / len(x), 1))
        for column, flat in enumerate(np.argsort(-correlation, axis=None)[:2], start=3):
            i, j = np.unravel_index(flat, correlation.shape)
            left = _MARGIN + column * (_CELL + _GAP)
            _pair(fine, x[:, i], x[:, j], left, y, _COLOURS[name])
            text = f"u{i + 1} and u{j + 1}, correlation {correlation[i, j]:.2f}"
            words.append(((left + _CELL / 2, y + _CELL + 6), text))
    sheet = fine.resize((width, height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(sheet)
    write_text(draw, (_MARGIN, _MARGIN - 6), "Coordinates furthest from a Gaussian's", 28, INK)
    subtitle = "three with the largest skew and kurtosis over N(0, 1), and the two most correlated pairs; -4 to 4"
    write_text(draw, (_MARGIN, _MARGIN + 34), subtitle, 16, SOFT)
    for row, name in enumerate(names):
        write_text(draw, (_MARGIN, top + row * row_height + 6), _summary(report, name), 16, INK)
    for place, text in words:
        write_text(draw, place, text, 13, SOFT, "mt")
    return np.array(sheet)


def _summary(report: PriorReport, name: str) -> str:
    measured, true = report.numbers["vectors"][name], report.numbers["vectors"]["z"]
    parts = [
        f"{word} {measured[key]:.3f} ({true[key]:.3f})"
        for word, key in (("skew", "skew"), ("excess kurtosis", "excess_kurtosis"), ("correlation", "correlation"))
    ]
    return f"{_TITLES[name]}: mean {', '.join(parts)}; in brackets, of z"


def _histogram(
    draw: ImageDraw.ImageDraw, values: np.ndarray, left: _Number, top: _Number, colour: tuple[int, ...]
) -> None:
    edges = np.linspace(-4, 4, 49)
    heights = np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))
    x = np.linspace(-4, 4, 161)
    truth = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    most = 1.05 * max(float(heights.max()), float(truth.max()))

    def at(x: _Number, y: _Number) -> _Point:
        return left + _CELL * (x + 4) / 8, top + _CELL * (1 - y / most)

    points = [at(*point) for point in zip(x, truth, strict=True)]
    draw.polygon(_enlarged([*points, at(4, 0), at(-4, 0)]), fill=FAINT)
    _line(draw, [at(*point) for point in _outline(edges, heights)], colour, 2)
    _line(draw, [at(-4, 0), at(4, 0)], SOFT, 1)


def _pair(
    sheet: Image.Image, x: np.ndarray, y: np.ndarray, left: _Number, top: _Number, colour: tuple[int, int, int]
) -> None:
    """The density of a pair, darker where it is higher, with the circles that hold 39 % and 86 % of a Gaussian's."""
    edges = np.linspace(-4, 4, 43)
    density = np.histogram2d(y, x, [edges, edges])[0][::-1]
    shade = np.sqrt(density / max(float(density.max()), 1.0))[..., None]
    pixels = (np.array(PAPER) * (1 - shade) + np.array(colour) * shade).round().astype(np.uint8)
    side = _CELL * _FINE
    sheet.paste(
        Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST), (int(left * _FINE), int(top * _FINE))
    )
    draw = ImageDraw.Draw(sheet)
    middle = (left + _CELL / 2, top + _CELL / 2)
    for radius in (_CELL / 8, _CELL / 4):
        box = [(middle[0] - radius), (middle[1] - radius), (middle[0] + radius), (middle[1] + radius)]
        draw.ellipse([edge * _FINE for edge in box], outline=INK, width=_FINE)
    frame = [left, top, left + _CELL, top + _CELL]
    draw.rectangle([edge * _FINE for edge in frame], outline=SOFT, width=_FINE)


def _chi_squared_density(x: np.ndarray, d: int) -> np.ndarray:
    positive = np.maximum(x, 1e-9)
    log_density = (d / 2 - 1) * np.log(positive) - positive / 2 - d / 2 * math.log(2) - math.lgamma(d / 2)
    return np.exp(np.minimum(log_density, 50.0))


def _outline(edges: np.ndarray, heights: np.ndarray) -> list[_Point]:
    """A histogram's upper edge, as steps from the axis and back to it."""
    xs = np.repeat(edges, 2)
    ys = np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])
    return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]


def _ticks(low: _Number, high: _Number) -> list[_Number]:
    rough = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step)
    return [step * i for i in range(first, math.floor(high / step) + 1)]


def _enlarged(points: Sequence[_Point]) -> list[_Point]:
    return [(x * _FINE, y * _FINE) for x, y in points]


def _line(draw: ImageDraw.ImageDraw, points: Sequence[_Point], colour: tuple[int, ...], width: int) -> None:
    draw.line(_enlarged(points), fill=colour, width=width * _FINE, joint="curve")
