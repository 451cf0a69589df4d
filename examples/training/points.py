"""Distances between points, rows (n, d), in blocks."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_ROWS = 256  # rows per block of a matrix of distances


@jax.jit
def _squared_distances(x: Array, y: Array) -> Array:
    products = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(x * x, 1)[:, None] + jnp.sum(y * y, 1) - 2 * products, 0)


def _distance_blocks(x: np.ndarray, y: np.ndarray) -> Iterable[tuple[slice, np.ndarray]]:
    """Euclidean distances of `_ROWS` rows of x at a time to all of y; centred first, which spares float32 digits."""
    centre = y.mean(axis=0, dtype=np.float64).astype(np.float32)
    y = np.asarray(y, np.float32) - centre
    for start in range(0, len(x), _ROWS):
        rows = slice(start, min(start + _ROWS, len(x)))
        yield rows, np.sqrt(_squared_distances(np.asarray(x[rows], np.float32) - centre, y))


def nearest_distances(x: Float[np.ndarray, "n d"], blocks: Iterable[np.ndarray]) -> Float[np.ndarray, " n"]:
    """Return each point's Euclidean distance to the nearest of all points in `blocks` (m, d), of which one is held."""
    nearest = np.full(len(x), np.inf, np.float32)
    for block in blocks:
        for rows, distances in _distance_blocks(x, block):
            nearest[rows] = np.minimum(nearest[rows], distances.min(axis=1))
    return nearest


def mean_pairwise_distance(x: Float[np.ndarray, "n d"]) -> float:
    """Return the mean Euclidean distance between two different points."""
    total = 0.0
    for rows, distances in _distance_blocks(x, x):
        index = np.arange(rows.start, rows.stop)
        distances[index - rows.start, index] = 0  # what rounding left of a point's distance to itself
        total += float(distances.sum(dtype=np.float64))
    return total / (len(x) * (len(x) - 1))
