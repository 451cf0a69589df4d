"""PULSE's bicubic downscaling, the operator DS of section 3.1 (Menon et al. 2020), as its program defines it."""

from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from pulse_jax.images.degradations.protocol import Degradation

__all__ = ["Bicubic", "bicubic_kernel", "bicubic_matrix"]


@lru_cache(maxsize=64)
def bicubic_kernel(factor: int) -> Float64[np.ndarray, " taps"]:
    """Return the 4 * factor taps of the downscaling filter, summing to 1 (read-only, float64).

    Keys' cubic with a = -1/2, stretched by `factor` and sampled half a pixel off the grid. Sources: Keys 1981, "Cubic
    convolution interpolation for digital image processing"; the program of PULSE (Menon et al. 2020).

    Raises:
        ValueError: `factor` is not an integer of at least 1.
    """
    _check_factor(factor)
    t = np.abs((np.arange(4 * factor) - 2 * factor + 0.5) / factor)
    near = 1.5 * t**3 - 2.5 * t**2 + 1.0
    far = -0.5 * t**3 + 2.5 * t**2 - 4.0 * t + 2.0
    taps = np.where(t <= 1.0, near, far)
    taps /= taps.sum()
    taps.setflags(write=False)
    return taps


@lru_cache(maxsize=64)
def bicubic_matrix(size: int, factor: int) -> Float64[np.ndarray, "low high"]:
    """Return the downscaling of one axis as a dense matrix (size / factor, size), rows summing to 1 (read-only).

    The filter of `bicubic_kernel` at stride `factor`, the reflect padding (3 * factor in all, the smaller half first)
    folded into the rows. Source: the program of PULSE (Menon et al. 2020).

    Raises:
        ValueError: `factor` is not an integer of at least 1, does not divide `size`, or `size` is too small for the
            reflect padding.
    """
    taps = bicubic_kernel(factor)
    if size < 1 or size % factor:
        raise ValueError(f"size: expected a positive multiple of factor {factor}, got {size}")
    before, after = _padding(factor)
    # Reflection repeats no edge pixel, so at most size - 1 pixels can be mirrored.
    if after >= size:
        raise ValueError(f"size: expected at least {after + 1} pixels for the padding of factor {factor}, got {size}")
    low = np.arange(size // factor)[:, None]
    source = np.abs(low * factor + np.arange(4 * factor) - before)
    source = np.where(source < size, source, 2 * (size - 1) - source)
    matrix = np.zeros((size // factor, size))
    # Mirrored taps land on pixels that other taps of the row already reached: accumulate.
    np.add.at(matrix, (low, source), taps)
    matrix.setflags(write=False)
    return matrix


@dataclass(frozen=True)
class Bicubic(Degradation):
    """Downscale images by an integer factor, exactly as PULSE's program does; any sides that the factor divides.

    Separable: `bicubic_matrix` along each of the two axes.

    Attributes:
        factor: How many pixels become one, along each axis.
        blur_at_factor_one: Apply the program's filter at factor 1 too, where it is a slight blur shifted by half a
            pixel; otherwise D is the identity there.

    Raises:
        ValueError: `factor` is not an integer of at least 1. Methods raise it for images with fewer than three axes,
            with sides that the factor does not divide, or too small for the reflect padding.
    """

    factor: int
    blur_at_factor_one: bool = False

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    @classmethod
    def between(cls, high: int, low: int, *, blur_at_factor_one: bool = False) -> "Bicubic":
        """See `Degradation.between`."""
        if low < 1 or high % low:
            raise ValueError(f"low: expected a whole part of the high side {high}, got {low}")
        made = cls(high // low, blur_at_factor_one)
        if not made._is_identity:
            bicubic_matrix(high, made.factor)
        return made

    @classmethod
    def low_sides(cls, high: int, *, blur_at_factor_one: bool = False) -> list[int]:
        """See `Degradation.low_sides`."""
        divisors = [low for low in range(1, high + 1) if high % low == 0]
        made = {low: cls(high // low, blur_at_factor_one) for low in divisors}
        return [low for low in divisors if made[low]._is_identity or _padding(made[low].factor)[1] < high]

    def apply(self, image: Float[Array, "*batch high_h high_w c"]) -> Float[Array, "*batch low_h low_w c"]:
        """See `Degradation.apply`: whatever the device's default precision for products.

        Raises:
            ValueError: See the class; or `image` is not floating-point.
        """
        _check_axes(image.shape)
        if not jnp.issubdtype(image.dtype, jnp.floating):
            raise ValueError(f"image: expected a floating-point array in [0, 1], got {image.dtype}")
        dtype = jnp.promote_types(image.dtype, jnp.float32)
        image = image.astype(dtype)
        if self._is_identity:
            return image
        rows, columns = self._matrices(image.shape)
        # GPUs and TPUs round the inputs of float32 products unless asked not to.
        precision = jax.lax.Precision.HIGHEST
        image = jnp.einsum("ph,...hwc->...pwc", jnp.asarray(rows, dtype), image, precision=precision)
        return jnp.einsum("qw,...pwc->...pqc", jnp.asarray(columns, dtype), image, precision=precision)

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w c"]:
        """See `Degradation.apply_float64`."""
        image = _as_float64(image)
        if self._is_identity:
            return image
        rows, columns = self._matrices(image.shape)
        # As two matrix products: a third of a verdict's time at 1024x1024 is left.
        lines = rows @ image.reshape(*image.shape[:-2], image.shape[-2] * image.shape[-1])
        return columns @ lines.reshape(*lines.shape[:-1], *image.shape[-2:])

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.adjoint`."""
        image = _as_float64(image)
        if self._is_identity:
            return image
        height, width = (side * self.factor for side in image.shape[-3:-1])
        return _widened(image, bicubic_matrix(height, self.factor).T, bicubic_matrix(width, self.factor).T)

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.pseudo_inverse`: separable as D is, it leads back the same two axes."""
        image = _as_float64(image)
        if self._is_identity:
            return image
        rows, columns = (_pseudo_inverse(side * self.factor, self.factor) for side in image.shape[-3:-1])
        return _widened(image, rows, columns)

    @property
    def _is_identity(self) -> bool:
        return self.factor == 1 and not self.blur_at_factor_one

    def _matrices(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrices of the two axes of images of this shape."""
        try:
            return bicubic_matrix(shape[-3], self.factor), bicubic_matrix(shape[-2], self.factor)
        except ValueError as error:
            raise ValueError(f"image: cannot be downscaled by {self.factor}, got shape {shape}: {error}") from None


def _check_factor(factor: int) -> None:
    if not isinstance(factor, Integral) or factor < 1:
        raise ValueError(f"factor: expected an integer of at least 1, got {factor!r}")


def _check_axes(shape: tuple[int, ...]) -> None:
    if len(shape) < 3:
        raise ValueError(f"image: expected shape (..., height, width, channels), got {shape}")


def _as_float64(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image, np.float64)
    _check_axes(image.shape)
    return image


def _padding(factor: int) -> tuple[int, int]:
    """Return how many pixels are mirrored before and after an axis."""
    before = 3 * factor // 2
    return before, 3 * factor - before


@lru_cache(maxsize=16)
def _pseudo_inverse(size: int, factor: int) -> Float64[np.ndarray, "high low"]:
    return np.linalg.pinv(bicubic_matrix(size, factor))


def _widened(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return images (..., h, w, C) after products along both axes with (H, h) and (W, w)."""
    wide = np.einsum("wq,...pqc->...pwc", columns, image, optimize=True)
    return np.einsum("hp,...pwc->...hwc", rows, wide, optimize=True)
