"""Meshes of bent tubes, of which frames and jewellery are made."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

_ROUND = 5  # vertices around a tube


def tube_triangles(paths: Sequence[tuple[int, bool]]) -> np.ndarray:
    """Return triangles (T, 3) of tubes one after another, each of so many points along and closed to a ring or not."""
    pieces, start = [], 0
    for points, closed in paths:
        for i in range(points if closed else points - 1):
            for j in range(_ROUND):
                a, b = i * _ROUND + j, i * _ROUND + (j + 1) % _ROUND
                step = ((i + 1) % points - i) * _ROUND
                pieces += [(a, b, a + step), (b, b + step, a + step)]
                pieces[-2:] = [tuple(start + v for v in piece) for piece in pieces[-2:]]
        start += points * _ROUND
    return np.array(pieces, np.int32)


def tube_vertices(path: jax.Array, radius: jax.Array, closed: bool) -> jax.Array:
    """Return vertices (5 n, 3) of a tube of a radius along a path (n, 3)."""
    along = jnp.roll(path, -1, 0) - jnp.roll(path, 1, 0) if closed else jnp.asarray(jnp.gradient(path, axis=0))
    across = _unit(jnp.cross(along, jnp.array([0.1, 0.2, 1.0])))
    third = _unit(jnp.cross(along, across))
    angle = jnp.arange(_ROUND) / _ROUND * 2 * jnp.pi
    ring = across[:, None] * jnp.cos(angle)[:, None] + third[:, None] * jnp.sin(angle)[:, None]
    return (path[:, None] + radius * ring).reshape(-1, 3)


def _unit(vector: jax.Array) -> jax.Array:
    return vector / (jnp.linalg.norm(vector, axis=-1, keepdims=True) + 1e-6)
