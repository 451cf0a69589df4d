"""Blurs that keep a picture's size: a Gaussian, and the motion of a camera."""

import math
from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float, Float64

from pulse_jax.images.degradations.iterative import conjugate_gradients
from pulse_jax.images.degradations.same_size import SameSize
from pulse_jax.images.degradations.separable import Separable, check_axes

__all__ = ["GaussianBlur", "MotionBlur"]

_REACH = 4.0  # of a Gaussian, in standard deviations
_AT = 1024


@dataclass(frozen=True)
class GaussianBlur(SameSize, Separable):
    """Convolution with a Gaussian, cut off at four standard deviations; borders are mirrored, edge pixels twice.

    Attributes:
        sigma: Standard deviation in pixels.

    Raises:
        ValueError: `sigma` is not a positive number up to 1000.
    """

    sigma: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 1000:
            raise ValueError(f"sigma: expected a number in (0, 1000], got {self.sigma!r}")

    def _matrix(self, side: int) -> Float64[np.ndarray, "high high"]:
        return _gaussian_matrix(side, float(self.sigma))

    def _high(self, low: int) -> int:
        return low


@lru_cache(maxsize=16)
def _gaussian_matrix(side: int, sigma: float) -> Float64[np.ndarray, "side side"]:
    reach = int(_REACH * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    taps = np.exp(-0.5 * np.square(offsets / sigma))
    taps /= taps.sum()
    # Mirrored, a line repeats after twice its length.
    source = (np.arange(side)[:, None] + offsets) % (2 * side)
    source = np.where(source < side, source, 2 * side - 1 - source)
    matrix = np.zeros((side, side))
    np.add.at(matrix, (np.arange(side)[:, None], source), taps)
    matrix.setflags(write=False)
    return matrix


@dataclass(frozen=True)
class MotionBlur(SameSize):
    """The mean over a straight line of points, between pixels linearly: a camera that moves. Borders are repeated.

    Source of the setting: SRLS (2022), section 4.2, motion of length 100 in pictures of 1024×1024, in any direction.

    Attributes:
        length: Length of the line, in pixels of a picture of 1024×1024: a smaller one's is as much shorter.
        degrees: Its direction, counterclockwise from the picture's lines.

    Raises:
        ValueError: `length` is not a number in (0, 1024], or `degrees` none in [0, 360].
    """

    length: float
    degrees: float

    def __post_init__(self) -> None:
        if not 0 < self.length <= _AT:
            raise ValueError(f"length: expected a number in (0, {_AT}], got {self.length!r}")
        if not 0 <= self.degrees <= 360:
            raise ValueError(f"degrees: expected a number in [0, 360], got {self.degrees!r}")

    def apply(self, image: Float[Array, "*batch high_h high_w c"]) -> Float[Array, "*batch low_h low_w c"]:
        """See `Degradation.apply`."""
        check_axes(image.shape)
        if not jnp.issubdtype(image.dtype, jnp.floating):
            raise ValueError(f"image: expected a floating-point array in [0, 1], got {image.dtype}")
        dtype = jnp.promote_types(image.dtype, jnp.float32)
        kernel = self._kernel(image.shape)
        reach = len(kernel) // 2
        *batch, height, width, channels = image.shape
        planes = jnp.moveaxis(image.astype(dtype).reshape(-1, height, width, channels), -1, 1)
        planes = planes.reshape(-1, 1, height, width)
        padded = jnp.pad(planes, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
        taps = jnp.asarray(kernel, dtype)[None, None]
        moved = jax.lax.conv_general_dilated(padded, taps, (1, 1), "VALID", precision=jax.lax.Precision.HIGHEST)
        moved = jnp.moveaxis(moved.reshape(-1, channels, height, width), 1, -1)
        return moved.reshape(*batch, height, width, channels)

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w c"]:
        """See `Degradation.apply_float64`."""
        image = np.asarray(image, np.float64)
        kernel = self._kernel(image.shape)
        reach = len(kernel) // 2
        border = ((reach, reach), (reach, reach), (0, 0))
        padded = np.pad(image, ((0, 0),) * (image.ndim - 3) + border, mode="edge")
        return _correlated(padded, kernel)[..., : image.shape[-3], : image.shape[-2], :]

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.adjoint`: spread along the line, and what falls on the border comes back to the edge."""
        image = np.asarray(image, np.float64)
        kernel = self._kernel(image.shape)
        reach = len(kernel) // 2
        border = ((2 * reach, 2 * reach), (2 * reach, 2 * reach), (0, 0))
        spread = np.pad(image, ((0, 0),) * (image.ndim - 3) + border)
        height, width = image.shape[-3] + 2 * reach, image.shape[-2] + 2 * reach
        spread = _correlated(spread, kernel[::-1, ::-1])[..., :height, :width, :]
        return _edges_added(_edges_added(spread, reach, -3), reach, -2)

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.pseudo_inverse`: by conjugate gradients, as far as `iterative` says."""
        return conjugate_gradients(self, image)

    def _kernel(self, shape: tuple[int, ...]) -> Float64[np.ndarray, "k k"]:
        check_axes(shape)
        return _line(self.length * min(shape[-3:-1]) / _AT, self.degrees)


@lru_cache(maxsize=64)
def _line(length: float, degrees: float) -> Float64[np.ndarray, "k k"]:
    """Weights of a line through the middle of an odd square: points a tenth of a pixel apart, shared by their four."""
    reach = math.ceil(length / 2)
    count = max(1, math.ceil(10 * length))
    along = ((np.arange(count) + 0.5) / count - 0.5) * length
    angle = math.radians(degrees)
    rows, columns = reach - along * math.sin(angle), reach + along * math.cos(angle)
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    for a in (0, 1):
        for b in (0, 1):
            weight = np.abs(1 - a - (rows - top)) * np.abs(1 - b - (columns - left))
            np.add.at(kernel, (top + a, left + b), weight)
    kernel = kernel[:-1, :-1] / count
    kernel.setflags(write=False)
    return kernel


def _correlated(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What a kernel meets from every place on where it fits in images (..., h, w, c), by Fourier transforms."""
    sides = [int(scipy.fft.next_fast_len(side, real=True) or side) for side in image.shape[-3:-1]]
    transformed = np.fft.rfft2(image, s=sides, axes=(-3, -2))
    taps = np.conj(np.fft.rfft2(kernel, s=sides))[..., None]
    return np.fft.irfft2(transformed * taps, s=sides, axes=(-3, -2))


def _edges_added(image: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """An axis without `reach` entries on both sides, which are added to its first and last."""
    image = np.moveaxis(image, axis, 0)
    inner = image[reach : len(image) - reach].copy()
    inner[0] += image[:reach].sum(axis=0)
    inner[-1] += image[len(image) - reach :].sum(axis=0)
    return np.moveaxis(inner, 0, axis)
