"""Where hair, beards, hats, clothes and necklaces lie on a head, and how thick they are; where ears are thin.

Regions are marked on the neutral head, the average adult: decimetres, y up, z forward, eyes at y = 7.35, mouth at 6.70.
What is thick is the body's own surface, pushed outward: no further meshes are needed.
"""

import jax
import jax.numpy as jnp

from .attributes import (
    BALD,
    CAP,
    CREW,
    CROPPED,
    CURLS,
    GOATEE,
    HEADSCARF,
    LONG,
    MOUSTACHE,
    NO_HAT,
    NO_NECKLACE,
    PEARLS,
    ROLLNECK,
    SCARF,
    SHIRT,
    STRAP,
    SWEPT,
    V_NECK,
    Person,
)
from .functions import smoothstep, value_noise

_CENTRE = (0.0, 7.35, 0.45)  # of the skull
_HULL = (0.93, 1.22, 1.16)  # half axes of a cap or scarf drawn over it


def scalp_cover(person: Person, point: jax.Array) -> jax.Array:
    """Return how far hair covers the skin at points (..., 3) of the neutral head: roots, or a style grown on it."""
    x, y, z = jnp.abs(point[..., 0]), point[..., 1], point[..., 2]
    depth = jnp.array([-0.5, 0.0, 0.3, 0.45, 0.6, 0.7, 0.85, 1.1, 1.4])
    line = jnp.array([6.65, 6.7, 6.85, 7.12, 7.18, 7.5, 7.86, 7.97, 8.0])
    grown = person.hair_style >= CROPPED
    back = person.recession * grown
    temples = smoothstep(0.1, 0.42, x) * smoothstep(0.55, 0.9, z)
    above = y - jnp.interp(z + 0.35 * back * (0.35 + temples), depth, line)
    above = above + 0.05 * (value_noise(point, 9.0) - 0.5)
    ear = smoothstep(0.69, 0.73, x) * smoothstep(0.1, 0.25, z) * smoothstep(7.6, 7.5, y)
    amount = jnp.select([person.hair_style == BALD, person.hair_style == CROPPED], [0.0, 0.85], 0.93)
    crown = 1 - 0.75 * smoothstep(0.45, 1.0, back) * smoothstep(8.05, 8.35, y)
    return smoothstep(-0.06, 0.12, above) * (1 - ear) * amount * crown


def beard_cover(person: Person, point: jax.Array) -> jax.Array:
    """Opacity of the beard at points (..., 3) of the neutral head."""
    x, y, z = jnp.abs(point[..., 0]), point[..., 1], point[..., 2]
    top = jnp.interp(
        x,
        jnp.array([0.0, 0.1, 0.22, 0.34, 0.45, 0.56, 0.66, 0.73]),
        jnp.array([6.86, 6.88, 6.88, 6.80, 6.78, 6.86, 7.05, 7.3]),
    )
    whole = smoothstep(0.04, -0.12, y - top) * smoothstep(6.16, 6.34, y) * smoothstep(0.3, 0.6, z)
    chin = smoothstep(0.36, 0.24, x)
    lip = smoothstep(6.69, 6.76, y) * smoothstep(0.36, 0.28, x)
    cut = person.beard_cut
    region = jnp.select(
        [cut == GOATEE, cut == MOUSTACHE, cut == STRAP],
        [whole * chin, whole * lip, whole * jnp.maximum(smoothstep(0.3, 0.42, x), smoothstep(6.5, 6.4, y))],
        whole,
    )
    lips = jnp.sqrt((x / 0.27) ** 2 + ((y - 6.70) / 0.085) ** 2)
    grain = 1 - 0.35 * value_noise(point, 22.0)
    return person.beard * region * smoothstep(0.8, 1.15, lips) * grain


def hat_cover(person: Person, point: jax.Array) -> jax.Array:
    """Return where a cap or headscarf covers the head at points (..., 3), from 0 to 1."""
    x, y, z = point[..., 0], point[..., 1], point[..., 2]
    brim = 7.86 + 0.16 * smoothstep(0.2, 1.2, z) - 0.1 * smoothstep(0.3, -0.5, z)
    cap = smoothstep(brim - 0.03, brim + 0.03, y)
    face = jnp.sqrt((x / 0.64) ** 2 + ((y - 7.1) / 0.93) ** 2)
    scarf = jnp.maximum(smoothstep(0.98, 1.03, face), smoothstep(0.62, 0.52, z))
    return jnp.select([person.hat == CAP, person.hat == HEADSCARF], [cap, scarf], 0.0)


def neckline(person: Person, point: jax.Array, height: jax.Array, deep: jax.Array) -> jax.Array:
    """Height over the edge of the clothes, negative inside, at points (..., 3); `height` is the edge's at the back."""
    x, y, z = jnp.abs(point[..., 0]), point[..., 1], point[..., 2]
    front = smoothstep(0.1, 0.9, z)
    edge = height - deep * front + 0.1 * smoothstep(0.3, 1.0, x)
    opening = height + 0.08 - jnp.clip(0.5 - 1.4 * x, 0, None) * front
    high = jnp.array(6.22) + 0.06 * smoothstep(0.7, 0.2, z)
    kind = person.clothes
    edge = jnp.select([(kind == V_NECK) | (kind == SHIRT), (kind == ROLLNECK) | (kind == SCARF)], [opening, high], edge)
    return y - edge


def necklace_cover(person: Person, point: jax.Array) -> jax.Array:
    """Return where a necklace lies on the neck at points (..., 3), from 0 to 1: round the nape and lower in front."""
    y, z = point[..., 1], point[..., 2]
    away = jnp.abs(y - 6.34 + 0.14 * smoothstep(0.1, 0.9, z))
    half = jnp.where(person.necklace == PEARLS, 0.022, 0.009)
    return smoothstep(half + 0.006, half, away) * (person.necklace != NO_NECKLACE)


def thin_ear(point: jax.Array) -> jax.Array:
    """Return how thin the ear is at points (..., 3): 1 on its rim and lobe, 0 where it joins the head and elsewhere."""
    x, y, z = jnp.abs(point[..., 0]), point[..., 1], point[..., 2]
    joined = 0.67 + 0.05 * smoothstep(6.92, 7.1, y)
    tall = smoothstep(6.8, 6.9, y) * smoothstep(7.58, 7.46, y)
    return smoothstep(joined, joined + 0.08, x) * tall * smoothstep(0.1, 0.2, z)


def grow(person: Person, neutral: jax.Array, body: jax.Array, normals: jax.Array) -> jax.Array:
    """Grow hair, beard, hat and clothes on the body (V, 3); `normals` are the body's, `neutral` as marked."""
    y, z = neutral[:, 1], neutral[:, 2]
    bumps = value_noise(neutral, 5.0)
    style = person.hair_style
    front = smoothstep(0.2, 1.0, z) * smoothstep(7.7, 8.1, y)
    thick = jnp.select(
        [style == CROPPED, style == CREW, style == CURLS, style == SWEPT],
        [0.015 * jnp.ones_like(y), 0.06 + 0.03 * bumps, 0.13 + 0.16 * bumps, 0.07 + 0.05 * bumps + 0.13 * front],
        0.0,
    )
    hair = thick * smoothstep(0.3, 0.9, scalp_cover(person, neutral)) * (person.hat == NO_HAT)
    length = jnp.where(person.beard_cut == LONG, 0.13, 0.045)
    beard = length * smoothstep(0.3, 0.8, beard_cover(person, neutral)) * (0.6 + 0.8 * bumps)
    inside = smoothstep(0.0, -0.06, neckline(person, neutral, jnp.array(6.1), jnp.array(0.1)))
    wide = jnp.array([0.03, 0.03, 0.06, 0.09, 0.26])[person.clothes] * (0.7 + 0.6 * bumps)
    body = body + (hair + beard + wide * inside)[:, None] * normals

    centre = jnp.array(_CENTRE)
    away = neutral - centre
    reach = 1 / jnp.sqrt(jnp.sum((away / jnp.array(_HULL)) ** 2, -1, keepdims=True) + 1e-6)
    hull = body + away * jnp.clip(reach - 1, 0, 0.6) + 0.05 * bumps[:, None] * normals
    cloth = body + (0.3 * smoothstep(0.5, -0.2, z) + 0.16)[:, None] * normals * jnp.array([1.0, 0.2, 1.0])
    over = jnp.where((y > 6.55)[:, None], hull, cloth)
    return body + hat_cover(person, neutral)[:, None] * (over - body)
