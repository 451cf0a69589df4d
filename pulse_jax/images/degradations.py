"""Degradations: how a low-resolution picture comes from a high-resolution one.

Every function takes images (..., H, W, C) in [0, 1] and returns images (..., h, w, C). Results are not clipped: the
cubic kernel has negative lobes, so they may leave [0, 1] a little.
"""

from functools import lru_cache
from numbers import Integral

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

__all__ = ["bicubic", "bicubic_float64", "bicubic_kernel", "bicubic_matrix", "halve", "quantize", "unseen"]


def _check_factor(factor: int) -> None:
    if not isinstance(factor, Integral) or factor < 1:
        raise ValueError(f"factor: expected an integer of at least 1, got {factor!r}")


@lru_cache(maxsize=64)
def bicubic_kernel(factor: int) -> Float64[np.ndarray, " taps"]:
    """The 4 * factor taps of the downscaling filter, summing to 1 (read-only, float64).

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
    """The downscaling of one axis as a dense matrix (size / factor, size); its rows sum to 1 (read-only, float64).

    The filter of `bicubic_kernel` at stride `factor`, the reflect padding (3 * factor in all, the smaller half first)
    folded into the rows. Source: the program of PULSE (Menon et al. 2020).

    Raises:
        ValueError: `factor` is not an integer of at least 1, does not divide `size`, or `size` is too small for the
            reflect padding.
    """
    taps = bicubic_kernel(factor)
    if size < 1 or size % factor:
        raise ValueError(f"size: expected a positive multiple of factor {factor}, got {size}")
    before = 3 * factor // 2
    after = 3 * factor - before
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


def bicubic(
    image: Float[Array, "*batch high_h high_w c"], factor: int, *, identity_at_one: bool = True
) -> Float[Array, "*batch low_h low_w c"]:
    """Downscale images (..., H, W, C) by an integer factor, exactly as PULSE does: (..., H / factor, W / factor, C).

    Linear and differentiable, computed in float32 (float64 for a float64 image) whatever the device's default precision
    for products. Source: PULSE (Menon et al. 2020), the operator DS of section 3.1, as its program defines it.

    Args:
        image: floating-point images, nominally in [0, 1].
        factor: how many pixels become one, along each axis.
        identity_at_one: return the image itself at factor 1. The program's filter at factor 1 is a slight blur shifted
            by half a pixel; `False` gives that.

    Raises:
        ValueError: `image` has fewer than three axes, is not floating-point or is too small for the reflect padding;
            `factor` is not an integer of at least 1 or does not divide the height and width.
    """
    _check_factor(factor)
    if image.ndim < 3:
        raise ValueError(f"image: expected shape (..., height, width, channels), got {image.shape}")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"image: expected a floating-point array in [0, 1], got {image.dtype}")
    dtype = jnp.promote_types(image.dtype, jnp.float32)
    image = image.astype(dtype)
    if factor == 1 and identity_at_one:
        return image
    try:
        rows, columns = (bicubic_matrix(size, factor) for size in image.shape[-3:-1])
    except ValueError as error:
        raise ValueError(f"image: cannot be downscaled by {factor}, got shape {image.shape}: {error}") from None
    # GPUs and TPUs round the inputs of float32 products unless asked not to.
    precision = jax.lax.Precision.HIGHEST
    image = jnp.einsum("ph,...hwc->...pwc", jnp.asarray(rows, dtype), image, precision=precision)
    return jnp.einsum("qw,...pwc->...pqc", jnp.asarray(columns, dtype), image, precision=precision)


def halve(image: Float[Array, "h w c"]) -> Float[Array, "_ _ c"]:
    """2×2 means; both sides must be even."""
    height, width, channels = image.shape
    return jnp.mean(image.reshape(height // 2, 2, width // 2, 2, channels), axis=(1, 3))


def bicubic_float64(
    image: np.ndarray, factor: int, *, identity_at_one: bool = True
) -> Float64[np.ndarray, "*batch low_h low_w c"]:
    """As `bicubic`, on the host in float64: what delivered pictures are judged by.

    Raises:
        ValueError: `image` is too small for the reflect padding, or `factor` does not divide its height and width.
    """
    image = np.asarray(image, np.float64)
    if factor == 1 and identity_at_one:
        return image
    rows, columns = (bicubic_matrix(size, factor) for size in image.shape[-3:-1])
    return np.einsum("qw,...pwc->...pqc", columns, np.einsum("ph,...hwc->...pwc", rows, image))


@lru_cache(maxsize=16)
def _pseudo_inverse(size: int, factor: int) -> Float64[np.ndarray, "high low"]:
    return np.linalg.pinv(bicubic_matrix(size, factor))


def unseen(
    image: np.ndarray, factor: int, *, identity_at_one: bool = True
) -> Float64[np.ndarray, "*batch high_h high_w c"]:
    """What downscaling does not see of images (..., H, W, C): x - D⁺Dx, the nearest picture that D maps to zero.

    D is `bicubic_float64`. It is separable, and so is its pseudo-inverse D⁺, which leads back the same two axes.

    Raises:
        ValueError: as `bicubic_float64`.
    """
    image = np.asarray(image, np.float64)
    small = bicubic_float64(image, factor, identity_at_one=identity_at_one)
    if factor == 1 and identity_at_one:
        return image - small
    rows, columns = (_pseudo_inverse(size, factor) for size in image.shape[-3:-1])
    wide = np.einsum("wq,...pqc->...pwc", columns, small, optimize=True)
    return image - np.einsum("hp,...pwc->...hwc", rows, wide, optimize=True)


def quantize(image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """The image as an 8-bit PNG holds it: clipped to [0, 1] and rounded to multiples of 1/255."""
    return jnp.floor(jnp.clip(image, 0.0, 1.0) * 255.0 + 0.5) / 255.0
