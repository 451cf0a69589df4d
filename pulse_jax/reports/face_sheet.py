"""Photographs with what was found in them: the squares of faces, numbered, and their landmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pulse_jax.reports.canvas import INK, MARGIN, PALETTE, PAPER, SOFT, Canvas

__all__ = ["MAX_PHOTOGRAPHS", "Outline", "face_sheet", "photograph_tile"]

MAX_PHOTOGRAPHS = 24
"""Photographs that a sheet has room for."""
_TILE = 480
_COLUMNS = 4
_GAP, _CAPTION = 20, 26


@dataclass(frozen=True)
class Outline:
    """A face in a photograph, in pixels from the centre of the upper left one.

    Attributes:
        label: What is written above its upper left corner.
        quad: Corners of its square (4, 2).
        points: Landmarks (n, 2).
        taken: Whether it is one of those that are wanted; others are drawn in grey.
    """

    label: str
    quad: np.ndarray
    points: np.ndarray
    taken: bool = True


def photograph_tile(pixels: np.ndarray, outlines: Sequence[Outline]) -> np.ndarray:
    """Draw a photograph, small, and the faces in it; uint8 (480, 480, 3).

    Args:
        pixels: Photograph (h, w, 3), uint8 or floats in [0, 1].
        outlines: Its faces.
    """
    height, width = pixels.shape[:2]
    scale = _TILE / max(height, width)
    # As the canvas puts it into the middle of the square.
    sides = np.array([max(1, round(width * scale)), max(1, round(height * scale))])
    corner = (_TILE - sides) // 2
    canvas = Canvas(_TILE, _TILE)
    # Every so-many-th pixel of a large photograph: the rest of reducing it is smooth.
    step = max(1, int(1 / scale / 4))
    canvas.picture(np.ascontiguousarray(pixels[::step, ::step]), (0, 0), _TILE, Image.Resampling.LANCZOS)
    for outline in outlines:
        colour = PALETTE[1] if outline.taken else SOFT
        places = corner + (np.concatenate([outline.quad, outline.points]) + 0.5) * sides / [width, height]
        closed = [(float(x), float(y)) for x, y in (*places[:4], places[0], places[1])]
        canvas.line(closed, PAPER, 5)
        canvas.line(closed, colour, 3)
        # The upper edge, so that it is seen how the face is turned.
        canvas.line([closed[0], (float(places[3][0]), float(places[3][1]))], PALETTE[0] if outline.taken else SOFT, 3)
        for x, y in places[4:]:
            canvas.circle((float(x), float(y)), 2, PAPER, fill=colour)
        x, y = np.clip(places[0] - 3, [2, 20], _TILE - 12)  # above the square: a small face would hide behind it
        canvas.write((float(x), float(y)), outline.label, 18, colour, anchor="ld", halo=2)
    return canvas.pixels()


def face_sheet(tiles: Sequence[tuple[str, np.ndarray]], total: int, title: str) -> np.ndarray:
    """Draw photographs beside each other, uint8 (h, w, 3).

    Args:
        tiles: Caption of each, and what `photograph_tile` made of it; from 1 to `MAX_PHOTOGRAPHS`.
        total: How many photographs there are; what the sheet does not show is counted.
        title: Headline.
    """
    columns = min(_COLUMNS, len(tiles))
    lines = -(-len(tiles) // columns)
    more = total - len(tiles)
    width = 2 * MARGIN + columns * (_TILE + _GAP) - _GAP
    height = 2 * MARGIN + 44 + lines * (_TILE + _CAPTION + _GAP) - _GAP + (24 if more else 0)
    canvas = Canvas(width, height)
    canvas.write((MARGIN, MARGIN - 6), title, 28, INK, room=width - 2 * MARGIN)
    for i, (caption, tile) in enumerate(tiles):
        left = MARGIN + i % columns * (_TILE + _GAP)
        top = MARGIN + 44 + i // columns * (_TILE + _CAPTION + _GAP)
        canvas.picture(tile, (left, top), _TILE, Image.Resampling.LANCZOS)
        canvas.write((left, top + _TILE + 6), caption, 14, SOFT, room=_TILE)
    if more:
        canvas.write((MARGIN, height - MARGIN - 10), f"... and {more} more photographs", 14, SOFT)
    return canvas.pixels()
