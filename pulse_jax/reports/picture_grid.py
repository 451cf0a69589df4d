"""Pictures beside each other on one sheet, without words."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pulse_jax.reports.canvas import Canvas

__all__ = ["picture_grid"]

_GAP = 8


def picture_grid(
    pictures: Sequence[np.ndarray] | np.ndarray, *, columns: int = 8, side: int | None = None
) -> np.ndarray:
    """Draw pictures beside each other, line by line; uint8 (h, w, 3).

    Args:
        pictures: At least one square picture (r, r, 3), uint8 or floats in [0, 1].
        columns: How many stand on a line, at most.
        side: Side in pixels to which they are brought, smoothly; 128 by default, or 256 for larger ones.
    """
    if side is None:
        side = 128 if len(pictures[0]) <= 128 else 256
    columns = min(columns, len(pictures))
    lines = -(-len(pictures) // columns)
    step = side + _GAP
    canvas = Canvas(columns * step + _GAP, lines * step + _GAP)
    for i, picture in enumerate(pictures):
        at = (_GAP + i % columns * step, _GAP + i // columns * step)
        canvas.picture(picture, at, side, Image.Resampling.LANCZOS)
    return canvas.pixels()
