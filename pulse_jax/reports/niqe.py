"""NIQE, the distance of a picture's local statistics from those of photographs, in NumPy.

Mittal, Soundararajan and Bovik 2013, "Making a 'completely blind' image quality analyzer", as BasicSR computes it,
whose check picture has the number of the authors' MATLAB program. What photographs are like is a model of 36 features
that the user brings, or that `fit_niqe_model` makes of good pictures. Numbers of different models do not compare.
"""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage, special

from pulse_jax.images.errors import ImageError
from pulse_jax.images.files import read_image
from pulse_jax.images.inputs import find_images
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.files import write_whole
from pulse_jax.system.text import printable, reason_of

__all__ = [
    "SMALLEST_SIDE",
    "NiqeModel",
    "fit_niqe_model",
    "luma",
    "niqe",
    "niqe_features",
    "read_niqe_model",
    "save_niqe_model",
]

SMALLEST_SIDE = 192
"""Below, a picture has fewer than two blocks along an axis, and too few for a covariance."""
_BLOCK = 96
_FEATURES = 36
# Mittal et al., section III-B: of photographs, blocks count whose sharpness is above this share of the sharpest one's.
_SHARP = 0.75
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(0.2, 10.001, 0.001)
_RATIOS = special.gamma(2 / _SHAPES) ** 2 / (special.gamma(1 / _SHAPES) * special.gamma(3 / _SHAPES))
_MEAN, _COVARIANCE = "mu_pris_param", "cov_pris_param"


class NiqeModel(NamedTuple):
    """What the blocks of good photographs are like.

    Attributes:
        mean: Mean of their features, (36,).
        covariance: Covariance of the same, (36, 36).
    """

    mean: Float[np.ndarray, " 36"]
    covariance: Float[np.ndarray, "36 36"]


def niqe(image: Float[np.ndarray, "h w 3"], model: NiqeModel) -> float:
    """Return NIQE (equation 10 of its paper), the lower the more like the model's photographs; of good ones 2 to 5.

    Args:
        image: Picture in [0, 1]; what is left over of whole blocks of 96×96, right and below, does not count.
        model: What photographs are like.

    Returns:
        The distance, NaN where a feature is defined in no block or all are in fewer than two, as in flat pictures.

    Raises:
        ValueError: A side is below 192 pixels, or the picture is not floating-point.
    """
    features, _ = niqe_features(luma(image))
    whole = features[~np.isnan(features).any(axis=1)]
    if len(whole) < 2:
        return float("nan")
    # A feature's mean is over all blocks that have it; the covariance takes whole blocks, as the original does.
    difference = model.mean - np.nanmean(features, axis=0)
    inverse = np.linalg.pinv((model.covariance + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(np.maximum(difference @ inverse @ difference, 0)))


def luma(image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Return Y of BT.601 in studio swing, rounded, 16 to 235, as MATLAB's `rgb2ycbcr` has it; the picture in [0, 1].

    Raises:
        ValueError: The picture is not floating-point.
    """
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"image: expected a floating-point picture in [0, 1], got {image.dtype}")
    # From float32, as BasicSR: what lies between two whole numbers is rounded as there.
    weights = np.array([65.481, 128.553, 24.966])
    return np.round((np.asarray(image, np.float32) @ weights + 16).astype(np.float32))


def niqe_features(
    grey: Float[np.ndarray, "h w"],
) -> tuple[Float[np.ndarray, "blocks 36"], Float[np.ndarray, " blocks"]]:
    """Return the 36 features of each block of 96×96, 18 at each of two scales, and the blocks' sharpness.

    Args:
        grey: Brightness, 0 to 255.

    Returns:
        The features, column of blocks after column, NaN where a distribution has no positive or negative values; and
        the mean local deviation of each block (equation 4).

    Raises:
        ValueError: A side is below 192 pixels.
    """
    if min(grey.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"NIQE: undefined below {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels, got {grey.shape[1]}x{grey.shape[0]}"
        )
    rows, columns = (side // _BLOCK for side in grey.shape)
    # In float32, as BasicSR: in flat areas, normalised values of nearly 0 have the sign that rounding gives them.
    grey = np.asarray(grey[: rows * _BLOCK, : columns * _BLOCK], np.float32)
    scales = []
    sharpness = np.empty(0)
    for side in (_BLOCK, _BLOCK // 2):
        normalised, deviation = _normalised(grey)
        scales.append([_block_features(block) for block in _blocks(normalised, side)])
        if side == _BLOCK:
            sharpness = np.array([block.mean(dtype=np.float64) for block in _blocks(deviation, side)])
            grey = _halved(grey / 255) * 255
    return np.concatenate([np.asarray(features, np.float64) for features in scales], axis=1), sharpness


def _blocks(field: np.ndarray, side: int) -> list[np.ndarray]:
    height, width = field.shape
    corners = [(row, column) for column in range(0, width, side) for row in range(0, height, side)]
    return [field[row : row + side, column : column + side] for row, column in corners]


def _normalised(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness less its local mean, over one more than its local deviation (equations 1 to 3); and the deviation."""
    steps = np.arange(-3, 4)
    window = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mean = ndimage.convolve(grey, window, mode="nearest")
    deviation = np.sqrt(np.abs(ndimage.convolve(np.square(grey), window, mode="nearest") - np.square(mean)))
    return (grey - mean) / (deviation + 1), deviation


def _halved(grey: np.ndarray) -> np.ndarray:
    """MATLAB's `imresize` to half: bicubic (a = −1/2), widened against aliasing, the border mirrored."""
    distance = np.abs(np.arange(8) - 3.5) / 2
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    taps = np.where(distance <= 1, near, far)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in range(2):
        size = grey.shape[axis]
        padded = np.pad(grey, [(3, 3) if i == axis else (0, 0) for i in range(2)], mode="symmetric")
        shifted = [padded.take(np.arange(i, i + size - 1, 2), axis) for i in range(8)]
        grey = np.sum([tap * part for tap, part in zip(taps, shifted, strict=True)], axis=0)
    return grey


def _block_features(block: np.ndarray) -> list[float]:
    """The 18 features of a block: of its values, and of their products with four neighbours (section III-A)."""
    alpha, left, right = _asymmetric_gaussian(block)
    features = [alpha, (left + right) / 2]
    for shift in _SHIFTS:
        alpha, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * (special.gamma(2 / alpha) / special.gamma(1 / alpha))
        features += [alpha, mean, left, right]
    return features


def _asymmetric_gaussian(values: np.ndarray) -> tuple[float, float, float]:
    """Shape and both scales of the asymmetric generalised Gaussian with the moments of the values (equation 7)."""
    below, above = values[values < 0], values[values > 0]
    if not (below.size and above.size):
        # BasicSR's search of NaN for the nearest ratio ends at the first shape; the scales are not defined.
        return float(_SHAPES[0]), float("nan"), float("nan")
    left, right = (float(np.sqrt(np.mean(np.square(side)))) for side in (below, above))
    ratio = left / right
    share = float(np.mean(np.abs(values))) ** 2 / float(np.mean(np.square(values)))
    share *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    alpha = float(_SHAPES[np.argmin(np.square(_RATIOS - share))])
    scale = float(np.sqrt(special.gamma(1 / alpha) / special.gamma(3 / alpha)))
    return alpha, left * scale, right * scale


def fit_niqe_model(folder: str | os.PathLike[str]) -> tuple[NiqeModel, Sequence[str]]:
    """Return a model of a folder of good photographs, made as the authors made theirs (section III-B), and what is odd.

    Of each picture the blocks count that are sharper than three quarters of its sharpest one. The authors took 125
    photographs; NIQE by another model has another scale.

    Args:
        folder: Pictures with sides of at least 192; other ones are left out and named.

    Returns:
        The model, and a line for each picture that was left out.

    Raises:
        ValueError: There are fewer usable blocks than features, 37.
        ImageError: The folder cannot be read.
    """
    paths, faults = find_images([folder])
    left_out, rows = [str(fault) for fault in faults], []
    for path in paths:
        try:
            features, sharpness = niqe_features(luma(read_image(path).pixels))
        except ImageError as error:
            left_out.append(str(error))
            continue
        except ValueError as error:
            left_out.append(f"{printable(path)}: {error}")
            continue
        kept = features[sharpness > _SHARP * sharpness.max()]
        rows.append(kept[~np.isnan(kept).any(axis=1)])
    blocks = np.concatenate(rows) if rows else np.empty((0, _FEATURES))
    if len(blocks) <= _FEATURES:
        raise ValueError(
            f"{printable(folder)}: expected more than {_FEATURES} sharp blocks of {_BLOCK}x{_BLOCK} pixels for a model "
            f"of NIQE, got {len(blocks)}; add photographs of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}"
        )
    return NiqeModel(blocks.mean(axis=0), np.cov(blocks, rowvar=False)), left_out


def read_niqe_model(path: str | os.PathLike[str]) -> NiqeModel:
    """Return the model of a file: BasicSR's `niqe_pris_params.npz`, or one that `save_niqe_model` wrote.

    Raises:
        ValueError: It cannot be read, or is not such a file.
    """
    try:
        with opened_arrays(Path(path)) as arrays:
            if missing := [name for name in (_MEAN, _COVARIANCE) if name not in arrays]:
                raise ValueError(f"no array '{missing[0]}', which BasicSR's niqe_pris_params.npz has")
            mean, covariance = arrays[_MEAN], arrays[_COVARIANCE]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{printable(path)}: not a model of NIQE: {reason_of(error)}") from error
    if mean.size != _FEATURES or covariance.shape != (_FEATURES, _FEATURES):
        raise ValueError(
            f"{printable(path)}: not a model of NIQE: expected a mean of {_FEATURES} features and their covariance, "
            f"got shapes {mean.shape} and {covariance.shape}"
        )
    numeric = all(np.issubdtype(array.dtype, np.floating) for array in (mean, covariance))
    if not (numeric and np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"{printable(path)}: not a model of NIQE: values that are not finite numbers")
    return NiqeModel(mean.reshape(_FEATURES).astype(np.float64), covariance.astype(np.float64))


def save_niqe_model(path: str | os.PathLike[str], model: NiqeModel) -> None:
    """Write a model as `.npz` under BasicSR's names, whole or not at all."""
    arrays = {_MEAN: model.mean[None], _COVARIANCE: model.covariance}
    write_whole(Path(path), lambda file: np.savez(file, allow_pickle=False, **arrays))
