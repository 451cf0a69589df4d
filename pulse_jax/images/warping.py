"""Faces out of photographs and back: a turned square is resampled upright, and put back with a feathered edge.

What is cut out is what FFHQ's own program cuts out (recreate_aligned_images in its download_ffhq.py), step by step:
large photographs are reduced, what lies outside is reflected, blurred and faded, and the square is drawn four times as
large as it is wanted and reduced. It differs where that program is half a pixel off: after reducing it takes a pixel's
corner for its centre.
"""

import math

import numpy as np
import scipy.ndimage
from PIL import Image

from pulse_jax.images.alignment import side_of
from pulse_jax.images.rounding import to_uint8

__all__ = ["aligned", "pasted"]

# Pixels beside each other, along each side, of which one of the result is made.
_FINER = 4
# Rows of a photograph that are worked on at once.
_BAND = 256


def aligned(pixels: np.ndarray, quad: np.ndarray, size: int) -> np.ndarray:
    """Return the square that a quad cuts out of a photograph, upright, uint8 (size, size, 3).

    Args:
        pixels: Photograph (h, w, 3), floats in [0, 1].
        quad: Corners of the square (4, 2), as in `alignment`; its centre in the photograph.
        size: Side of the result, in pixels.
    """
    region, corners = _surroundings(pixels, np.asarray(quad, np.float64), size)
    region, corners = _padded(region, corners)
    # Pillow counts from a pixel's corner, not from its centre.
    fine = Image.fromarray(region).transform(
        (_FINER * size, _FINER * size),
        Image.Transform.QUAD,
        tuple((corners + 0.5).flatten().tolist()),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(fine.resize((size, size), Image.Resampling.LANCZOS))


def _surroundings(pixels: np.ndarray, quad: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of the photograph that the square needs, in 8 bits, reduced where it is too fine; and the quad in it."""
    height, width = pixels.shape[:2]
    shrink = max(1, int(side_of(quad) / size / 2))
    reduced = np.maximum(1, np.rint(np.array([width, height]) / shrink))
    scale = reduced / [width, height]
    corners = (quad + 0.5) * scale - 0.5
    border = _border(corners)
    low = np.maximum(np.floor(corners.min(0)) - border, 0)
    high = np.minimum(np.ceil(corners.max(0)) + border, reduced)
    # A Lanczos kernel reaches three reduced pixels further.
    left, top = np.maximum(np.floor((low - 4) / scale), 0).astype(int)
    right, bottom = np.minimum(np.ceil((high + 4) / scale), [width, height]).astype(int)
    part = to_uint8(pixels[top:bottom, left:right])
    box = np.concatenate([low / scale, high / scale]) - [left, top, left, top]
    if shrink == 1:
        cut = part[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])]
    else:
        sides = (int(high[0] - low[0]), int(high[1] - low[1]))
        cut = np.asarray(
            Image.fromarray(part).resize(sides, Image.Resampling.LANCZOS, box=tuple(np.clip(box, 0, None).tolist()))
        )
    return cut, corners - low


def _border(corners: np.ndarray) -> int:
    return max(round(0.1 * side_of(corners)), 3)


def _padded(region: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With what lies outside of the photograph made up, if the square leaves it; and the quad in that."""
    height, width = region.shape[:2]
    side, border = side_of(corners), _border(corners)
    low, high = np.floor(corners.min(0)), np.ceil(corners.max(0))
    outside = np.concatenate([-low, high - [width, height]]) + border
    if max(outside) <= border - 4:
        return region, corners
    left, top, right, bottom = (max(int(pixels), round(0.3 * side), 1) for pixels in outside)
    whole = np.pad(region, ((top, bottom), (left, right), (0, 0)), mode="reflect" if min(height, width) > 1 else "edge")
    y, x = (np.arange(length, dtype=np.float32) for length in whole.shape[:2])
    # 1 at the rim, 0 where the photograph begins, and less inside.
    rim_x = 1 - np.minimum(x / left, x[::-1] / right)
    rim_y = 1 - np.minimum(y / top, y[::-1] / bottom)
    bands = [slice(begin, begin + _BAND) for begin in range(0, len(whole), _BAND)]
    # One colour after another, and in bands: the floats of a large photograph take much memory.
    for channel in range(3):
        colour = whole[..., channel].astype(np.float32)
        blurred = _blurred(colour, 0.02 * side)
        for band in bands:
            rim = np.maximum(rim_x, rim_y[band, None])
            colour[band] += (blurred[band] - colour[band]) * np.clip(3 * rim + 1, 0, 1)
        del blurred
        median = np.median(colour)
        for band in bands:
            rim = np.maximum(rim_x, rim_y[band, None])
            faded = colour[band] + (median - colour[band]) * np.clip(rim, 0, 1)
            whole[band, :, channel] = np.rint(np.clip(faded, 0, 255))
    return whole, corners + np.array([left, top])


def _blurred(colour: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of (h, w) float32; a wide one of the picture reduced, which it leaves no detail of."""
    step = int(sigma / 4)
    if step < 2:
        return scipy.ndimage.gaussian_filter(colour, sigma)
    height, width = colour.shape
    image = Image.fromarray(colour)
    small = image.resize((-(-width // step), -(-height // step)), Image.Resampling.BILINEAR)
    # What a triangle twice as wide as a step has blurred already is taken off.
    scale = np.array([small.height / height, small.width / width])
    rest = scale * np.sqrt(sigma**2 - step**2 / 6)
    soft = Image.fromarray(scipy.ndimage.gaussian_filter(np.asarray(small), rest))
    return np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC))


def pasted(pixels: np.ndarray, quad: np.ndarray, face: np.ndarray, feather: float) -> None:
    """Put a face back where `aligned` has cut it out, into the photograph itself.

    Args:
        pixels: Photograph (h, w, 3), floats in [0, 1]; changed within the quad.
        quad: Corners of the square (4, 2).
        face: Picture that fills the square, (n, n, 3), floats in [0, 1].
        feather: Share of the square's side, from its edge on, over which the photograph goes over into the face.
    """
    height, width = pixels.shape[:2]
    quad = np.asarray(quad, np.float64)
    side = side_of(quad)
    left, top = np.maximum(np.floor(quad.min(0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(quad.max(0)) + 1, [width, height]).astype(int)
    if right <= left or bottom <= top:
        return
    picture = _coarser(face, side)
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    # Where in the square, from 0 to 1, the centre of the region's first pixel lies, and how far the next ones are on.
    to_square = np.linalg.inv(np.column_stack([across, down]))
    first = to_square @ (np.array([left, top]) - quad[0])
    spline = [scipy.ndimage.spline_filter(picture[..., channel], mode="nearest") for channel in range(3)]
    for begin in range(top, bottom, _BAND):  # in bands: a whole face of a large photograph takes much memory
        region = pixels[begin : min(begin + _BAND, bottom), left:right]
        y, x = np.mgrid[: region.shape[0], : region.shape[1]].astype(np.float64)
        y += begin - top
        inside = np.stack([first[i] + to_square[i, 0] * x + to_square[i, 1] * y for i in range(2)])
        weight = _feathered(np.minimum(inside, 1 - inside).min(0), feather)
        places = inside[::-1] * np.reshape(picture.shape[:2], (2, 1, 1)) - 0.5
        for channel in range(3):
            drawn = scipy.ndimage.map_coordinates(spline[channel], places, order=3, mode="nearest", prefilter=False)
            region[..., channel] += weight * (np.clip(drawn, 0, 1) - region[..., channel])


def _coarser(face: np.ndarray, side: float) -> np.ndarray:
    """The face, (m, m, 3) float64, reduced to about as many pixels as the photograph has for it."""
    wanted = max(1, math.ceil(side))
    if wanted >= len(face):
        return np.asarray(face, np.float64)
    channels = (Image.fromarray(np.asarray(face[..., c], np.float32)) for c in range(3))
    return np.stack(
        [np.asarray(c.resize((wanted, wanted), Image.Resampling.LANCZOS), np.float64) for c in channels], -1
    )


def _feathered(depth: np.ndarray, feather: float) -> np.ndarray:
    """How much of the face is seen so deep inside its square, in shares of the side: all of it from `feather` on."""
    share = np.clip(depth / feather, 0, 1) if feather > 0 else (depth >= 0).astype(np.float64)
    return share * share * (3 - 2 * share)
