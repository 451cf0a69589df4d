"""What draws of a posterior come to: their mean, how far they differ at every pixel, and a sheet of both."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from pulse_jax.reports.canvas import INK, MARGIN, SOFT, Canvas, wrap

__all__ = ["WHITE", "deviation_picture", "moments", "posterior_sheet"]

WHITE = 0.25
"""Deviation, of values in [0, 1], that is drawn white."""
_COLUMNS, _TILE, _GAP, _CAPTION = 7, 192, 16, 26


def moments(
    pictures: Iterable[UInt8[np.ndarray, "h w 3"]],
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Return the mean of pictures in [0, 1], and the standard deviation of each pixel: the root of the mean of its
    channels' variances.

    Args:
        pictures: At least one, 8-bit.
    """
    total, squares, count = 0.0, 0.0, 0
    for picture in pictures:
        # Whole numbers, so that sums of squares are exact.
        values = picture.astype(np.float64)
        total, squares, count = total + values, squares + np.square(values), count + 1
    mean = np.asarray(total) / count
    variance = np.maximum(np.asarray(squares) / count - np.square(mean), 0.0)
    return mean / 255, np.sqrt(variance.mean(axis=-1)) / 255


def deviation_picture(deviation: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Return deviations as grey levels, black for none and white from `WHITE` on."""
    return np.repeat(np.clip(deviation / WHITE, 0, 1)[..., None], 3, axis=-1)


def posterior_sheet(
    low_res: Float[np.ndarray, "size size 3"],
    mean: Float[np.ndarray, "h w 3"],
    deviation: Float[np.ndarray, "h w"],
    draws: Sequence[tuple[str, UInt8[np.ndarray, "h w 3"]]],
    *,
    title: str,
    lines: Sequence[str],
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the input, the mean, the deviation and some draws.

    Args:
        low_res: The input, in [0, 1].
        mean: Mean of all draws.
        deviation: Deviation of each pixel.
        draws: Captions and pictures.
        title: Headline.
        lines: What was found, below it.
    """
    tiles = [
        ("input", low_res, Image.Resampling.NEAREST),
        ("mean", mean, Image.Resampling.LANCZOS),
        (f"deviation, white: {WHITE:g}", deviation_picture(deviation), Image.Resampling.LANCZOS),
        *((caption, picture, Image.Resampling.LANCZOS) for caption, picture in draws),
    ]
    columns = min(_COLUMNS, len(tiles))
    width = 2 * MARGIN + columns * (_TILE + _GAP) - _GAP
    told = [part for line in lines for part in wrap(line, width - 2 * MARGIN, size=16)]
    top = MARGIN + 44 + 22 * len(told) + 10
    canvas = Canvas(width, top + -(-len(tiles) // columns) * (_TILE + _CAPTION + _GAP) - _GAP + MARGIN)
    canvas.write((MARGIN, MARGIN - 6), title, 28, INK, room=width - 2 * MARGIN)
    for number, line in enumerate(told):
        canvas.write((MARGIN, MARGIN + 38 + 22 * number), line, 16, SOFT)
    for number, (caption, picture, resampling) in enumerate(tiles):
        line, column = divmod(number, columns)
        at = (MARGIN + column * (_TILE + _GAP), top + line * (_TILE + _CAPTION + _GAP))
        canvas.picture(picture, at, _TILE, resampling)
        canvas.write((at[0], at[1] + _TILE + 6), caption, 14, INK, room=_TILE)
    return canvas.pixels()
