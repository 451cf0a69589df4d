"""The curve of a search: its error at looks on the way, in an array of a fixed size that a lane carries along.

Entries are of every s-th look, from the first, and of the last one. Whenever the array is full every second entry is
dropped and s doubled, so that a curve of any length is even, and no search has to say beforehand how long it will be.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

__all__ = ["SLOTS", "looks_of", "noted", "points_of"]

_MOST = 32
SLOTS = _MOST + 1
"""Length of the array."""
_BITS = _MOST.bit_length() - 1


def noted(curve: Float[Array, " slots"], error: Float[Array, ""], look: Int[Array, ""]) -> Float[Array, " slots"]:
    """Return the curve with one more look.

    Args:
        curve: Curve of the looks before; its other entries count for nothing.
        error: Error of this look.
        look: Which look it is, from 0; int32.
    """
    stride, before = _stride(look), _stride(look - 1)
    # Of twice as many as are kept, so that the shape stays.
    thinned = jnp.concatenate([curve[::2], curve[1::2]])
    curve = jnp.where(stride == before, curve, thinned)
    return jnp.where(jnp.arange(SLOTS) == (look + stride - 1) // stride, error, curve)


def _stride(look: Int[Array, ""]) -> Int[Array, ""]:
    """The least power of two of which at most `_MOST` lead to this look."""
    return jnp.int32(1) << (32 - lax.clz(jnp.maximum(look - 1, 0) >> _BITS))


def looks_of(steps: int) -> Int[np.ndarray, " points"]:
    """Return which looks, from 1, the curve of a search has that took so many."""
    stride = 1
    while steps - 1 > _MOST * stride:
        stride *= 2
    return np.unique(np.append(np.arange(0, steps, stride), max(steps - 1, 0)))[:steps] + 1


def points_of(curve: Float[np.ndarray, " slots"], steps: int) -> Float[np.ndarray, " points"]:
    """Return the entries that count, one for each of `looks_of`.

    Args:
        curve: Curve as a lane holds it.
        steps: Looks that were taken.
    """
    return curve[: len(looks_of(steps))]
