"""A pair of earrings: small hoops through the lobes, or studs, which are rings too thick to have a hole."""

import jax
import jax.numpy as jnp
import numpy as np

from .attributes import HOOPS
from .draws import Draws
from .tubes import tube_triangles, tube_vertices

_RING = 16  # points along a ring


def earring_triangles() -> np.ndarray:
    """Return triangles (T, 3) of the mesh whose vertices `earring_vertices` gives."""
    return tube_triangles(((_RING, True), (_RING, True)))


def earring_vertices(key: jax.Array, kind: jax.Array, lobes: jax.Array) -> jax.Array:
    """Return vertices of a pair of earrings, those of the left one first.

    kind: index into EARRINGS.
    lobes: places (2, 3) of the left and the right ear where they are pierced, in decimetres.
    """
    draws = Draws(key, 4)
    hoop = kind >= HOOPS
    radius = jnp.where(hoop, draws.uniform(0.05, 0.1), 0.011)
    thick = jnp.where(hoop, draws.uniform(0.009, 0.013), draws.uniform(0.014, 0.026))
    # lobes face outward and forward: a stud shows its face in that direction, a hoop lies along it
    turned = draws.uniform(0.6, 1.1)
    facing = jnp.stack([jnp.sin(turned), jnp.zeros(()), jnp.cos(turned)])
    across = jnp.where(hoop, facing, jnp.stack([jnp.cos(turned), jnp.zeros(()), -jnp.sin(turned)]))
    up = jnp.array([0.0, 1.0, 0.0])
    centre = jnp.where(hoop, (0.015 - radius) * up, 0.012 * facing)
    angle = (jnp.arange(_RING) / _RING * 2 * jnp.pi)[:, None]
    path = centre + radius * (across * jnp.cos(angle) + up * jnp.sin(angle))
    sides = (path, path * jnp.array([-1.0, 1.0, 1.0]))
    return jnp.concatenate([tube_vertices(lobes[k] + side, thick, True) for k, side in enumerate(sides)])
