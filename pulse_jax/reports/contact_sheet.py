"""Contact sheets: every input beside its solutions, what they downscale to, their error and status, on one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from PIL import Image, ImageDraw

from pulse_jax.reports.canvas import AMBER, FAINT, GREEN, INK, MARGIN, SOFT, Canvas, wrap

__all__ = ["MAX_PER_ROW", "SheetRow", "SheetTile", "contact_sheet"]

MAX_PER_ROW = 64
"""Solutions of one input that are shown; the others are counted."""
_MAX_SIDE = 8192
# What rows may fill of it; the rest is for margins, title and footer.
_ROOM = 7600
_MAX_COLUMNS = 48
_PER_LINE = 8
_GAP, _SPLIT = 16, 36
_LINE = 18
_MARK = 14


@dataclass(frozen=True)
class SheetTile:
    """One solution.

    Attributes:
        image: Pixels (H, W, 3) in [0, 1].
        caption: Main line below it, such as "8.7e-4 feasible".
        detail: Quieter second line, such as "40 steps, plateau".
        good: Whether it keeps what is promised: True draws the caption in green with a tick, False in amber with a
            ring, None plainly.
        small: Pixels (h, w, 3) in [0, 1] that the solution downscales to, shown beside the captions.
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
        label: Its name.
        low_res: Its pixels (h, w, 3) in [0, 1].
        solutions: Its solutions, best first.
        note: Quiet line beside the name.
        more: Number of solutions beside these, which are only counted.
    """

    label: str
    low_res: np.ndarray
    solutions: Sequence[SheetTile]
    note: str = ""
    more: int = 0

    @property
    def hidden(self) -> int:
        """How many solutions are only counted."""
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
        return 2 * MARGIN + tiles + _SPLIT

    def left(self, column: int) -> int:
        """Where a column begins: 0 the input, 1 the bicubic, 2 and more the solutions."""
        return MARGIN + column * (self.tile + _GAP) + (_SPLIT - _GAP if column >= 2 else 0)

    def row_height(self, row: SheetRow) -> int:
        lines = max(1, -(-min(len(row.solutions), MAX_PER_ROW) // self.columns))
        more = _LINE if row.hidden else 0
        return 38 + lines * self.cell_height + more + 8


def contact_sheet(
    rows: Sequence[SheetRow], *, title: str, subtitle: str = "", footer: str = "", columns: Sequence[str] = ()
) -> np.ndarray:
    """Draw inputs and solutions as one picture, uint8 (h, w, 3), no side longer than 8192.

    Inputs are enlarged pixel by pixel, solutions smoothly. Many solutions wrap onto lines of at most eight. What is too
    much for one sheet is left out and counted at its end.

    Args:
        rows: Inputs, at least one.
        title: Headline.
        subtitle: Text below it, wrapped to the sheet's width.
        footer: What holds for all, such as eps, seed and generator, wrapped to the sheet's width at the bottom.
        columns: What each of a row's solutions is of, at most 48, if all rows have the same kinds; then none wraps.

    Raises:
        ValueError: No rows, too many columns, a row with more or fewer solutions than columns, or an image with NaN.
    """
    if not rows:
        raise ValueError("rows: expected at least one, got none")
    if columns and any(len(row.solutions) != len(columns) for row in rows):
        raise ValueError(f"rows: expected {len(columns)} solutions in each, one for every column")
    if len(columns) > _MAX_COLUMNS:
        raise ValueError(f"columns: expected at most {_MAX_COLUMNS}, got {len(columns)}")
    layout, shown = _lay_out(rows, len(columns) or _PER_LINE)
    room = layout.width - 2 * MARGIN
    told = wrap(subtitle, room, size=16)
    top = MARGIN + 40 + (4 + 22 * len(told) if told else 0) + 22
    closing = [f"... and {len(rows) - shown} more that this sheet has no room for"] if shown < len(rows) else []
    closing += wrap(footer, room)
    body = sum(layout.row_height(row) for row in rows[:shown])
    height = top + 26 + body + (len(closing) * 20 + 22 if closing else 0) + MARGIN - 14
    canvas = Canvas(layout.width, height)
    canvas.write((MARGIN, MARGIN - 6), title, 28, INK, room=room)
    for i, line in enumerate(told):
        canvas.write((MARGIN, MARGIN + 34 + 22 * i), line, 16, SOFT, room=room)
    most = max(len(row.solutions) for row in rows[:shown])
    named = columns or ("solution" if most == 1 else "solutions, best first",)
    for column, heading in enumerate(("input", "bicubic", *named)):
        wide = layout.tile if columns else layout.width - MARGIN - layout.left(column)
        canvas.write((layout.left(column), top), heading, 14, SOFT, room=wide)
    y = top + 26
    for row in rows[:shown]:
        _draw_row(canvas, layout, row, y)
        y += layout.row_height(row)
    if closing:
        canvas.line([(MARGIN, y), (layout.width - MARGIN, y)], FAINT)
        for i, line in enumerate(closing):
            canvas.write((MARGIN, y + 14 + 20 * i), line, 14, SOFT, room=room)
    return canvas.pixels()


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


def _draw_row(canvas: Canvas, layout: _Layout, row: SheetRow, top: int) -> None:
    right = layout.width - MARGIN
    canvas.line([(MARGIN, top), (right, top)], FAINT)
    end = canvas.write((MARGIN, top + 9), row.label, 17, INK, room=(right - MARGIN) * 3 // 5)
    canvas.write((end + 12, top + 12), row.note, 14, SOFT, room=right - end - 12)
    top += 38
    height, width = row.low_res.shape[:2]
    left, below = layout.left(0), top + layout.tile + 8
    canvas.picture(row.low_res, (left, top), layout.tile, Image.Resampling.NEAREST)
    canvas.picture(row.low_res, (layout.left(1), top), layout.tile, Image.Resampling.BICUBIC)
    canvas.picture(row.low_res, (left, below), layout.thumb, Image.Resampling.NEAREST)
    canvas.write((left + layout.thumb + 9, below), f"{width} x {height}", 14, SOFT, room=layout.caption_width)
    for i, tile in enumerate(row.solutions[:MAX_PER_ROW]):
        line, column = divmod(i, layout.columns)
        _draw_tile(canvas, layout, tile, layout.left(2 + column), top + line * layout.cell_height)
    if row.hidden:
        more = f"... and {row.hidden} more solutions"
        y = top + -(-min(len(row.solutions), MAX_PER_ROW) // layout.columns) * layout.cell_height - 4
        canvas.write((layout.left(2), y), more, 14, SOFT, room=right - layout.left(2))


def _draw_tile(canvas: Canvas, layout: _Layout, tile: SheetTile, left: int, top: int) -> None:
    canvas.picture(tile.image, (left, top), layout.tile, Image.Resampling.LANCZOS)
    top += layout.tile + 8
    room = layout.tile
    if tile.small is not None:
        canvas.picture(tile.small, (left, top), layout.thumb, Image.Resampling.NEAREST)
        left += layout.thumb + 9
        room = layout.caption_width
    colour = INK if tile.good is None else GREEN if tile.good else AMBER
    mark = 0
    if tile.good is not None:
        canvas.stamp(_mark(tile.good), (left, top + 2), colour)
        mark = _MARK + 4
    captions = wrap(tile.caption, room - mark, layout.text_lines)
    for caption in captions:
        canvas.write((left + mark, top), caption, 14, colour, room=room - mark)
        top += _LINE
    indent = mark if len(captions) > 1 else 0
    for detail in wrap(tile.detail, room - indent, layout.text_lines):
        canvas.write((left + indent, top), detail, 13, SOFT, room=room - indent)
        top += _LINE


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
