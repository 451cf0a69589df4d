"""Rounding to 8 bits: floats in [0, 1] to the nearest of 256 levels, halves upwards; what lies outside is clipped.

`quantize` is for devices, in float32; `to_uint8` for the host, in float64. They differ where 255 times a value lies so
near a half that float32 cannot tell, within 2⁻¹⁶ of it: there `quantize` may take the other of the two levels.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

__all__ = ["from_uint8", "quantize", "to_uint8"]

# Values that are rounded at once: those of a whole photograph take gigabytes in float64; so many fit a cache.
_AT_ONCE = 2**17


def quantize(image: Float[Array, "*shape"]) -> tuple[UInt8[Array, "*shape"], Float[Array, "*shape"]]:
    """Return an image as an 8-bit PNG holds it: its levels, and the same as floats, level / 255 to a rounding.

    Not-a-number stays so among the floats; its level means nothing.
    """
    levels = jnp.floor(jnp.clip(image, 0.0, 1.0) * 255.0 + 0.5)
    return levels.astype(jnp.uint8), levels / 255.0


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Return the levels of floats, of any shape.

    Raises:
        ValueError: `image` does not hold floats, or some are NaN.
    """
    image = np.asarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"image: expected floats in [0, 1], got {image.dtype}")
    if np.isnan(image).any():
        raise ValueError("image: expected numbers, got NaN")
    levels = np.empty(image.shape, np.uint8)
    values, rounded = image.reshape(-1), levels.reshape(-1)
    for begin in range(0, len(values), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        # In float64 the product is exact for float32 input, so the only rounding is the one wanted.
        rounded[part] = np.floor(np.clip(values[part].astype(np.float64), 0.0, 1.0) * 255.0 + 0.5)
    return levels


def from_uint8(image: np.ndarray) -> np.ndarray:
    """Return levels 0 to 255 as float32 in [0, 1], the inverse of `to_uint8`. Any shape.

    Raises:
        ValueError: `image` is not uint8.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(f"image: expected uint8, got {image.dtype}")
    return np.asarray(image.astype(np.float32) / np.float32(255))
