"""A pair of glasses: thin rims, a bridge and two temples, built for a face."""

import jax
import jax.numpy as jnp
import numpy as np

from .draws import Draws

_RIM, _BAR, _ROUND = 28, 6, 5  # points along a rim, along a bar, and around the tube


def glasses_triangles() -> np.ndarray:
    """Triangles (T, 3) of the mesh whose vertices `glasses_vertices` gives."""
    pieces, start = [], 0
    for points, closed in ((_RIM, True), (_RIM, True), (_BAR, False), (_BAR, False), (_BAR, False)):
        for i in range(points if closed else points - 1):
            for j in range(_ROUND):
                a, b = i * _ROUND + j, i * _ROUND + (j + 1) % _ROUND
                step = ((i + 1) % points - i) * _ROUND
                pieces += [(a, b, a + step), (b, b + step, a + step)]
                pieces[-2:] = [tuple(start + v for v in piece) for piece in pieces[-2:]]
        start += points * _ROUND
    return np.array(pieces, np.int32)


def glasses_vertices(key: jax.Array, eye: jax.Array, half_width: jax.Array) -> jax.Array:
    """Vertices of glasses for a face.

    eye: centre (3,) of the left eye, that with positive x; the right one mirrors it.
    half_width: of the head at the ears, where the temples end.
    """
    draws = Draws(key, 4)
    width = eye[0] * draws.uniform(0.80, 0.88)
    height = width * draws.uniform(0.66, 0.95)
    power = draws.uniform(0.6, 1.0)  # 1 is an ellipse, less is squarer
    thick = draws.uniform(0.009, 0.02)
    angle = jnp.arange(_RIM) / _RIM * 2 * jnp.pi
    front = eye[2] + 0.24

    def superellipse(value: jax.Array) -> jax.Array:
        return jnp.sign(value) * jnp.abs(value) ** power

    x = eye[0] + width * superellipse(jnp.cos(angle))
    y = eye[1] - 0.035 + height * superellipse(jnp.sin(angle))
    left = jnp.stack([x, y, front - 0.3 * x**2], -1)
    right = left * jnp.array([-1.0, 1.0, 1.0])
    inner, outer = eye[0] - width, eye[0] + width
    lift = jnp.array([0.0, 0.05, 0.02])
    bridge = _line(
        jnp.stack([-inner, eye[1], front - 0.3 * inner**2]), jnp.stack([inner, eye[1], front - 0.3 * inner**2]), lift
    )
    hinge = jnp.stack([outer, eye[1] + 0.01, front - 0.3 * outer**2])
    ear = jnp.stack([half_width - 0.05, eye[1] + 0.01, eye[2] - 0.75])
    temple = _line(hinge, ear, jnp.zeros(3))
    mirrored = temple * jnp.array([-1.0, 1.0, 1.0])
    tubes = [_tube(left, thick, True), _tube(right, thick, True)]
    tubes += [_tube(path, thick, False) for path in (bridge, temple, mirrored)]
    return jnp.concatenate(tubes)


def _line(start: jax.Array, end: jax.Array, lift: jax.Array) -> jax.Array:
    part = jnp.linspace(0, 1, _BAR)[:, None]
    return start * (1 - part) + end * part + lift * (4 * part * (1 - part))


def _tube(path: jax.Array, radius: jax.Array, closed: bool) -> jax.Array:
    along = jnp.roll(path, -1, 0) - jnp.roll(path, 1, 0) if closed else jnp.asarray(jnp.gradient(path, axis=0))
    across = _unit(jnp.cross(along, jnp.array([0.1, 0.2, 1.0])))
    third = _unit(jnp.cross(along, across))
    angle = jnp.arange(_ROUND) / _ROUND * 2 * jnp.pi
    ring = across[:, None] * jnp.cos(angle)[:, None] + third[:, None] * jnp.sin(angle)[:, None]
    return (path[:, None] + radius * ring).reshape(-1, 3)


def _unit(vector: jax.Array) -> jax.Array:
    return vector / (jnp.linalg.norm(vector, axis=-1, keepdims=True) + 1e-6)
