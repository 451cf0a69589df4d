"""Halved pictures, for losses over several scales."""

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["halve"]


def halve(image: Float[Array, "h w c"]) -> Float[Array, "_ _ c"]:
    """Return the 2×2 means of an image; an odd last row or column is left out."""
    height, width, channels = image.shape[0] // 2, image.shape[1] // 2, image.shape[2]
    whole = image[: 2 * height, : 2 * width]
    return jnp.mean(whole.reshape(height, 2, width, 2, channels), axis=(1, 3))
