"""A pair of glasses: thin rims, a bridge and two temples, built for a face."""

import jax
import jax.numpy as jnp
import numpy as np

from .draws import Draws
from .tubes import tube_triangles, tube_vertices

_RIM, _BAR = 28, 6  # points along a rim and along a bar


def glasses_triangles() -> np.ndarray:
    """Return triangles (T, 3) of the mesh whose vertices `glasses_vertices` gives."""
    return tube_triangles(((_RIM, True), (_RIM, True), (_BAR, False), (_BAR, False), (_BAR, False)))


def glasses_vertices(key: jax.Array, eye: jax.Array, half_width: jax.Array) -> jax.Array:
    """Return vertices of glasses for a face.

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
    tubes = [tube_vertices(left, thick, True), tube_vertices(right, thick, True)]
    tubes += [tube_vertices(path, thick, False) for path in (bridge, temple, mirrored)]
    return jnp.concatenate(tubes)


def _line(start: jax.Array, end: jax.Array, lift: jax.Array) -> jax.Array:
    part = jnp.linspace(0, 1, _BAR)[:, None]
    return start * (1 - part) + end * part + lift * (4 * part * (1 - part))
