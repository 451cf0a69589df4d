"""Contact sheets: every input beside its solutions, what they downscale to, their error and status, on one picture."""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
from PIL import Image, ImageDraw

from pulse_jax.images.rounding import to_uint8
from pulse_jax.reports.canvas import FAINT, INK, PAPER, SOFT, font
from pulse_jax.system.text import printable

__all__ = ["MAX_PER_ROW", "SheetRow", "SheetTile", "contact_sheet"]

MAX_PER_ROW = 64
"""Solutions of one input that are shown; the others are counted."""
_MAX_SIDE = 8192
# What rows may fill of it; the rest is for margins, title and footer.
_ROOM = 7600
_MAX_COLUMNS = 48
_PER_LINE = 8
_GREEN, _AMBER = (24, 128, 74), (184, 106, 8)
_MARGIN, _GAP, _SPLIT = 44, 16, 36
_LINE = 18
_MARK = 14
# The font that comes with Pillow has little beyond ASCII.
_SPELLED = {"ε": "eps", "\u00d7": "x", "\u2013": "-", "\u2212": "-", "≤": "<=", "≥": ">=", "\u2019": "'"}


@dataclass(frozen=True)
class SheetTile:
    """One solution.

    Attributes:
        image: (H, W, 3) in [0, 1].
        caption: the main line below it, such as "8.7e-4 feasible".
        detail: a quieter second line, such as "40 steps, plateau".
        good: True draws the caption in green with a tick, False in amber with a ring, None plainly.
        small: (h, w, 3) in [0, 1], what the solution downscales to, shown beside the captions.
    """

    image: np.ndarray
    caption: str = ""
    detail: str = ""
    good: bool | None = None
    small: np.ndarray | None = None


@dataclass(frozen=True)
class SheetRow:
    """One input.

    Attributes:
        label: its name.
        low_res: its pixels (h, w, 3) in [0, 1].
        solutions: best first.
        note: a quiet line beside the name.
        more: solutions beside these, which are only counted.
    """

    label: str
    low_res: np.ndarray
    solutions: Sequence[SheetTile]
    note: str = ""
    more: int = 0

    @property
    def hidden(self) -> int:
        """Solutions that are only counted."""
        return max(0, len(self.solutions) - MAX_PER_ROW) + self.more


@dataclass(frozen=True)
class _Layout:
    """Sizes in pixels that follow from the tile and the number of solutions on a line."""

    tile: int
    columns: int

    @property
    def thumb(self) -> int:
        return max(32, self.tile // 4)

    @property
    def caption_width(self) -> int:
        return self.tile - self.thumb - 9 + _GAP // 2

    @property
    def text_lines(self) -> int:
        """That a caption may take, and a detail too."""
        return 1 if self.tile >= 160 else 2

    @property
    def cell_height(self) -> int:
        return self.tile + 8 + max(self.thumb, 2 * self.text_lines * _LINE) + 14

    @property
    def width(self) -> int:
        tiles = (2 + self.columns) * self.tile + self.columns * _GAP
        return 2 * _MARGIN + tiles + _SPLIT

    def left(self, column: int) -> int:
        """Where a column begins: 0 the input, 1 the bicubic, 2 and more the solutions."""
        return _MARGIN + column * (self.tile + _GAP) + (_SPLIT - _GAP if column >= 2 else 0)

    def row_height(self, row: SheetRow) -> int:
        lines = max(1, -(-min(len(row.solutions), MAX_PER_ROW) // self.columns))
        more = _LINE if row.hidden else 0
        return 38 + lines * self.cell_height + more + 8


def contact_sheet(
    rows: Sequence[SheetRow], *, title: str, subtitle: str = "", footer: str = "", columns: Sequence[str] = ()
) -> np.ndarray:
    """Draws inputs and solutions as one picture, uint8 (h, w, 3), no side longer than 8192.

    Inputs are enlarged pixel by pixel, solutions smoothly. Many solutions wrap onto lines of at most eight. What is too
    much for one sheet is left out and counted at its end.

    Args:
        rows: at least one.
        title, subtitle: at the top, the latter wrapped to the sheet's width.
        footer: at the bottom, for what holds for all: eps, seed, generator. Wrapped to the sheet's width.
        columns: what each of a row's solutions is of, if all rows have the same kinds, at most 48; then none wraps.

    Raises:
        ValueError: no rows, too many columns, a row with more or fewer solutions than columns, or an image with NaN.
    """
    if not rows:
        raise ValueError("rows: expected at least one, got none")
    if columns and any(len(row.solutions) != len(columns) for row in rows):
        raise ValueError(f"rows: expected {len(columns)} solutions in each, one for every column")
    if len(columns) > _MAX_COLUMNS:
        raise ValueError(f"columns: expected at most {_MAX_COLUMNS}, got {len(columns)}")
    layout, shown = _lay_out(rows, len(columns) or _PER_LINE)
    room = layout.width - 2 * _MARGIN
    told = _wrap(subtitle, room, size=16)
    top = _MARGIN + 40 + (4 + 22 * len(told) if told else 0) + 22
    closing = [f"... and {len(rows) - shown} more that this sheet has no room for"] if shown < len(rows) else []
    closing += _wrap(footer, room)
    body = sum(layout.row_height(row) for row in rows[:shown])
    height = top + 26 + body + (len(closing) * 20 + 22 if closing else 0) + _MARGIN - 14
    sheet = Image.new("RGB", (layout.width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _text(draw, (_MARGIN, _MARGIN - 6), title, 28, INK, room)
    for i, line in enumerate(told):
        _text(draw, (_MARGIN, _MARGIN + 34 + 22 * i), line, 16, SOFT, room)
    most = max(len(row.solutions) for row in rows[:shown])
    named = columns or ("solution" if most == 1 else "solutions, best first",)
    for column, heading in enumerate(("input", "bicubic", *named)):
        wide = layout.tile if columns else layout.width - _MARGIN - layout.left(column)
        _text(draw, (layout.left(column), top), heading, 14, SOFT, wide)
    y = top + 26
    for row in rows[:shown]:
        _draw_row(sheet, draw, layout, row, y)
        y += layout.row_height(row)
    if closing:
        draw.line((_MARGIN, y, layout.width - _MARGIN, y), fill=FAINT)
        for i, line in enumerate(closing):
            _text(draw, (_MARGIN, y + 14 + 20 * i), line, 14, SOFT, room)
    return np.array(sheet)


def _lay_out(rows: Sequence[SheetRow], per_line: int) -> tuple[_Layout, int]:
    """The layout, and how many rows it has room for: smaller tiles before fewer rows."""
    most = max(1, min(MAX_PER_ROW, max(len(row.solutions) for row in rows)))
    columns = -(-most // -(-most // per_line))
    side = max((max(tile.image.shape[:2]) for row in rows for tile in row.solutions), default=64)
    wanted = 192 if side <= 96 else 256
    # A multiple of the solution's side shows every pixel of the input as a whole number of pixels.
    layout = _Layout(wanted // side * side if side <= wanted else wanted, columns)
    heights = [layout.row_height(row) for row in rows]
    if sum(heights) > _ROOM or layout.width > _MAX_SIDE:
        layout = _Layout(128, columns)
        heights = [layout.row_height(row) for row in rows]
    return layout, max(1, sum(total <= _ROOM for total in accumulate(heights)))


def _draw_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, layout: _Layout, row: SheetRow, top: int) -> None:
    right = layout.width - _MARGIN
    draw.line((_MARGIN, top, right, top), fill=FAINT)
    end = _text(draw, (_MARGIN, top + 9), row.label, 17, INK, (right - _MARGIN) * 3 // 5)
    _text(draw, (end + 12, top + 12), row.note, 14, SOFT, right - end - 12)
    top += 38
    height, width = row.low_res.shape[:2]
    _paste(sheet, row.low_res, layout.left(0), top, layout.tile, Image.Resampling.NEAREST)
    _paste(sheet, row.low_res, layout.left(1), top, layout.tile, Image.Resampling.BICUBIC)
    below = top + layout.tile + 8
    _paste(sheet, row.low_res, layout.left(0), below, layout.thumb, Image.Resampling.NEAREST)
    _text(draw, (layout.left(0) + layout.thumb + 9, below), f"{width} x {height}", 14, SOFT, layout.caption_width)
    for i, tile in enumerate(row.solutions[:MAX_PER_ROW]):
        line, column = divmod(i, layout.columns)
        _draw_tile(sheet, draw, layout, tile, layout.left(2 + column), top + line * layout.cell_height)
    if row.hidden:
        more = f"... and {row.hidden} more solutions"
        y = top + -(-min(len(row.solutions), MAX_PER_ROW) // layout.columns) * layout.cell_height - 4
        _text(draw, (layout.left(2), y), more, 14, SOFT, right - layout.left(2))


def _draw_tile(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, layout: _Layout, tile: SheetTile, left: int, top: int
) -> None:
    _paste(sheet, tile.image, left, top, layout.tile, Image.Resampling.LANCZOS)
    top += layout.tile + 8
    room = layout.tile
    if tile.small is not None:
        _paste(sheet, tile.small, left, top, layout.thumb, Image.Resampling.NEAREST)
        left += layout.thumb + 9
        room = layout.caption_width
    colour = INK if tile.good is None else _GREEN if tile.good else _AMBER
    mark = 0
    if tile.good is not None:
        sheet.paste(colour, (left, top + 2), _mark(tile.good))
        mark = _MARK + 4
    captions = _wrap(tile.caption, room - mark, layout.text_lines)
    for caption in captions:
        _text(draw, (left + mark, top), caption, 14, colour, room - mark)
        top += _LINE
    indent = mark if len(captions) > 1 else 0
    for detail in _wrap(tile.detail, room - indent, layout.text_lines):
        _text(draw, (left + indent, top), detail, 13, SOFT, room - indent)
        top += _LINE


def _paste(sheet: Image.Image, image: np.ndarray, left: int, top: int, side: int, how: Image.Resampling) -> None:
    """Draws an image into a square of `side`, keeping its proportions."""
    picture = Image.fromarray(to_uint8(image))
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if how == Image.Resampling.NEAREST and scale < 1:
        how = Image.Resampling.BOX
    picture = picture.resize(size, how)
    sheet.paste(picture, (left + (side - size[0]) // 2, top + (side - size[1]) // 2))


def _mark(good: bool) -> Image.Image:
    """A tick or a ring as a mask, drawn large and reduced for smooth edges."""
    large = Image.new("L", (8 * _MARK, 8 * _MARK))
    draw = ImageDraw.Draw(large)
    unit = 8 * _MARK / 14
    if good:
        points = [(x * unit, y * unit) for x, y in ((1.5, 7.5), (5.3, 11.3), (12.5, 3))]
        draw.line(points, fill=255, width=round(2 * unit), joint="curve")
    else:
        draw.ellipse([2 * unit, 2 * unit, 12 * unit, 12 * unit], outline=255, width=round(2 * unit))
    return large.resize((_MARK, _MARK), Image.Resampling.LANCZOS)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    def drawn(text: str) -> bytes:
        picture = Image.new("L", (32, 32))
        ImageDraw.Draw(picture).text((4, 4), text, fill=255, font=font(16))
        return picture.tobytes()

    return drawn(character) != drawn("\U0010ffff")


def _legible(text: str) -> str:
    """The text in characters that the font has: accents dropped, symbols spelled out, a question mark for the rest."""
    legible = ""
    for character in printable(text, 1000):
        if _has_glyph(character):
            legible += character
            continue
        plain = _SPELLED.get(character) or "".join(
            c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
        )
        legible += plain if plain and all(map(_has_glyph, plain)) else "?"
    return legible


def _text(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], room: int
) -> int:
    """Writes one line, cut to `room`, and returns where it ends."""
    line = _legible(text)
    if _width(line, size) > room:
        fitting = bisect_right(range(1, len(line)), room, key=lambda end: _width(line[:end] + "...", size))
        line = line[:fitting] + "..."
    left = at[0]
    for word in line.split(" "):
        draw.text((left, at[1]), word, fill=colour, font=font(size))
        left += _width(word, size) + _space(size)
    return left - _space(size)


def _width(line: str, size: int) -> int:
    words = line.split(" ")
    return sum(round(font(size).getlength(word)) for word in words) + _space(size) * (len(words) - 1)


def _space(size: int) -> int:
    """The gap between words; the font's own is kerned away next to some letters, as in "e-4 feasible"."""
    return round(0.29 * size)


def _wrap(text: str, room: int, most: int = 12, size: int = 14) -> list[str]:
    """The text broken into lines of a size that fit into `room`, as far as `most` lines allow."""
    lines: list[str] = []
    for word in _legible(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or _width(longer, size) <= room):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
