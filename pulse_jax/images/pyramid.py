"""Halved pictures, for losses over several scales."""

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["halve"]


def halve(image: Float[Array, "h w c"]) -> Float[Array, "_ _ c"]:
    """Return the 2×2 means of an image; both sides must be even."""
    height, width, channels = image.shape
    return jnp.mean(image.reshape(height // 2, 2, width // 2, 2, channels), axis=(1, 3))
