"""What surfaces are made of: skin with its beard, hair, eyes, clothes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .attributes import Person
from .colours import cloth_colour, frame_colour, skin_colour
from .draws import Draws
from .geometry import scalp_cover, smoothstep
from .pack import BODY, BROW, EYES, GLASSES, HAIR, LASH, TEETH, Textures


class Surface(NamedTuple):
    """A pixel's material, (S, S, c)."""

    albedo: jax.Array
    skin: jax.Array
    """1 on skin, 0 elsewhere."""
    gloss: jax.Array
    sharpness: jax.Array
    wrap: jax.Array
    """How far light reaches round the edge of the lit side, by colour."""


class Point(NamedTuple):
    """Where a pixel lies on its part, (S, S, ...)."""

    kind: jax.Array
    neutral: jax.Array
    uv: jax.Array
    shade: jax.Array


def paint(key: jax.Array, textures: Textures, person: Person, point: Point) -> Surface:
    """Colours every pixel of the head."""
    draws = Draws(key, 32)
    cloth, is_cloth = _clothes(draws, point.neutral)
    skin = _skin(draws, textures, person, point)
    hair = person.hair * (0.3 + 0.7 * jnp.clip(point.shade, 0, 2.5))[..., None]
    brow = jnp.minimum(person.hair, 0.2) * 0.5 + skin * 0.2
    eye = _lookup(textures.eyes, point.uv, person.eye_colour)
    eye_grey = eye.mean(-1, keepdims=True)
    eye = jnp.minimum(1.1 * (eye_grey + 0.7 * (eye - eye_grey)), 0.7)
    teeth = 0.25 + 0.6 * _lookup(textures.teeth, point.uv)

    def on(*kinds: int) -> jax.Array:
        return jnp.any(jnp.stack([point.kind == kind for kind in kinds]), 0)[..., None]

    is_cloth = is_cloth & on(BODY)
    is_skin = on(BODY) & ~is_cloth
    albedo = jnp.select(
        [is_cloth, on(BODY), on(HAIR), on(EYES), on(BROW), on(TEETH), on(LASH)],
        [cloth, skin, hair, eye, brow, teeth, 0.02 + (0.1 + 0.4 * person.male) * skin],
        jnp.broadcast_to(frame_colour(draws), skin.shape),
    )
    wrap = jnp.where(is_skin, jnp.array([0.34, 0.24, 0.19]), jnp.where(on(HAIR, EYES), 0.35, 0.1))
    return Surface(
        albedo=albedo,
        skin=is_skin.astype(jnp.float32),
        gloss=jnp.select([is_skin, on(EYES), on(HAIR), on(GLASSES)], [0.07, 1.5, 0.05, 0.4], 0.01),
        sharpness=jnp.select([is_skin, on(EYES), on(HAIR)], [16.0, 60.0, 12.0], 20.0),
        wrap=wrap,
    )


def beard_cover(person: Person, point: jax.Array) -> jax.Array:
    """Opacity of the beard at points (..., 3) of the neutral head."""
    x, y, z = jnp.abs(point[..., 0]), point[..., 1], point[..., 2]
    top = jnp.interp(
        x,
        jnp.array([0.0, 0.1, 0.22, 0.34, 0.45, 0.56, 0.66, 0.73]),
        jnp.array([6.86, 6.88, 6.88, 6.80, 6.78, 6.86, 7.05, 7.3]),
    )
    region = smoothstep(0.04, -0.12, y - top) * smoothstep(6.16, 6.34, y) * smoothstep(0.3, 0.6, z)
    region = region * jnp.where(person.goatee, smoothstep(0.36, 0.24, x), 1.0)
    lips = jnp.sqrt((x / 0.27) ** 2 + ((y - 6.70) / 0.085) ** 2)
    return person.beard * region * smoothstep(0.8, 1.15, lips)


def _skin(draws: Draws, textures: Textures, person: Person, point: Point) -> jax.Array:
    group = jnp.clip((3 * person.age).astype(jnp.int32), 0, 2)
    sex = person.male.astype(jnp.int32)
    light = draws.pick(textures.light[group, sex])
    dark = textures.dark[group, sex]
    mix = smoothstep(3.5, 6.0, person.tone)
    detail = _lookup(textures.skin, point.uv, light) * (1 - mix) + _lookup(textures.skin, point.uv, dark) * mix
    tint = 0.05 * draws.normal() + 0.025 * draws.normals(3)
    skin = skin_colour(person.tone) * jnp.exp(tint) * detail

    x, y, z = jnp.abs(point.neutral[..., 0]), point.neutral[..., 1], point.neutral[..., 2]
    lips = smoothstep(1.1, 0.8, jnp.sqrt((x / 0.25) ** 2 + ((y - 6.70) / 0.08) ** 2)) * (z > 1.3)
    made_up = (1 - person.male) * 0.45 * draws.uniform() ** 1.5
    skin = skin * (1 - (lips * (0.1 + made_up))[..., None] * jnp.array([0.1, 0.55, 0.45]))
    beard = beard_cover(person, point.neutral)[..., None]
    skin = skin * (1 - beard) + (0.6 * person.hair + 0.1 * skin) * beard
    roots = scalp_cover(person, point.neutral)[..., None]
    return skin * (1 - roots) + (0.75 * person.hair + 0.05 * skin) * roots


def _clothes(draws: Draws, neutral: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Colour of the clothes and where they are: a round neck, sometimes with a collar."""
    x, y, z = jnp.abs(neutral[..., 0]), neutral[..., 1], neutral[..., 2]
    deep = draws.uniform(0.05, 0.3)
    line = draws.uniform(6.0, 6.15) - deep * smoothstep(0.1, 0.9, z)
    line = line + 0.1 * smoothstep(0.3, 1.0, x)
    collar = draws.chance(0.4) * smoothstep(0.16, 0.12, line - y)
    colour = cloth_colour(draws)
    second = cloth_colour(draws)
    mixed = colour * (1 - 0.8 * collar[..., None]) + second * 0.8 * collar[..., None]
    return mixed, (y < line)[..., None]


def _lookup(texture: jax.Array, uv: jax.Array, *index: jax.Array) -> jax.Array:
    """Nearest texel; uv in [0, 1], v upward; `index` picks one of stacked textures."""
    side = texture.shape[-2]
    x = jnp.clip((uv[..., 0] * side).astype(jnp.int32), 0, side - 1)
    y = jnp.clip(((1 - uv[..., 1]) * side).astype(jnp.int32), 0, side - 1)
    return texture[(*index, y, x)].astype(jnp.float32)
