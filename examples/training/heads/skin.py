"""Skin: tone, texture, lips, make-up, freckles, moles, wrinkles, and the hair that grows on it."""

import jax
import jax.numpy as jnp

from .attributes import Person
from .colours import skin_colour
from .draws import Draws
from .functions import smoothstep, value_noise
from .pack import Textures
from .regions import beard_cover, scalp_cover
from .texels import look_up

_MOLES = 4
_BLOOD = (0.06, 0.5, 0.42)  # how much more of each colour blood near the surface takes


def paint_skin(
    draws: Draws, textures: Textures, person: Person, neutral: jax.Array, uv: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Skin at points (S, S, 3) of the neutral head.

    Returns its albedo (S, S, 3), how moist it is (S, S), 1 on lips, and how far hair or beard covers it (S, S).
    """
    group = jnp.clip((3 * person.age).astype(jnp.int32), 0, 2)
    sex = person.male.astype(jnp.int32)
    light = draws.pick(textures.light[group, sex])
    dark = textures.dark[group, sex]
    mix = smoothstep(3.5, 6.0, person.tone)
    detail = look_up(textures.skin, uv, light) * (1 - mix) + look_up(textures.skin, uv, dark) * mix
    tint = 0.05 * draws.normal() + 0.025 * draws.normals(3)
    skin = skin_colour(person.tone) * jnp.exp(tint) * detail

    x, y, z = jnp.abs(neutral[..., 0]), neutral[..., 1], neutral[..., 2]
    front = z > 1.0
    skin = skin * (1 - _wrinkles(person, neutral))[..., None]
    spots = smoothstep(0.6, 0.75, value_noise(neutral, 26.0)) * front
    across = jnp.exp(-((x / 0.42) ** 2) - ((y - 7.05) / 0.22) ** 2)
    skin = skin * (1 - 0.4 * (person.freckles * spots * across)[..., None] * jnp.array([0.5, 0.8, 1.0]))
    cheeks = jnp.exp(-(((x - 0.42) / 0.17) ** 2) - ((y - 6.98) / 0.16) ** 2) * front
    flush = 0.1 * draws.uniform() + 0.16 * person.makeup
    skin = _redden(skin, flush * cheeks + 0.1 * draws.uniform() * jnp.exp(-((neutral[..., 0] / 0.14) ** 2)) * (z > 1.5))
    under = jnp.exp(-(((x - 0.28) / 0.15) ** 2) - ((y - 7.19) / 0.035) ** 2) * front
    skin = skin * (1 - (0.12 + 0.14 * person.age) * under)[..., None]

    lips = smoothstep(1.1, 0.8, jnp.sqrt((x / 0.25) ** 2 + ((y - 6.70) / 0.08) ** 2)) * (z > 1.3)
    skin = _redden(skin, lips * (0.14 + 0.45 * person.makeup + 0.06 * (1 - person.male)))
    shadow = jnp.exp(-(((x - 0.3) / 0.14) ** 2) - ((y - 7.45) / 0.05) ** 2) * front
    powder = jnp.exp(jnp.array([-0.5, -0.7, -0.6]) + 0.2 * draws.normals(3))
    skin = skin * (1 - (0.55 * person.makeup * shadow)[..., None] * (1 - powder))
    for _ in range(_MOLES):
        place = jnp.array([draws.uniform(-0.55, 0.55), draws.uniform(6.4, 7.9)])
        size = draws.uniform(0.012, 0.028) * draws.chance(0.1)
        away = jnp.hypot(neutral[..., 0] - place[0], y - place[1])
        skin = skin * (1 - 0.55 * (smoothstep(size + 0.008, size, away) * (size > 0) * front)[..., None])

    bearded, hairy = beard_cover(person, neutral), scalp_cover(person, neutral)
    beard, roots = bearded[..., None], hairy[..., None]
    skin = skin * (1 - beard) + (0.65 * person.hair + 0.06 * skin) * beard
    strands = 0.6 + 0.8 * value_noise(neutral * jnp.array([1.0, 0.35, 0.6]), 24.0)[..., None]
    skin = skin * (1 - roots) + (0.75 * person.hair * strands + 0.03 * skin) * roots
    return skin, lips, jnp.maximum(hairy, bearded)


def _wrinkles(person: Person, point: jax.Array) -> jax.Array:
    """Darkening (S, S) along the lines that age and expression draw."""
    x, y, z = jnp.abs(point[..., 0]), point[..., 1], point[..., 2]
    front = z > 0.95
    age = person.age**1.5
    wave = 0.03 * jnp.sin(5 * x) + 0.02 * (value_noise(point, 6.0) - 0.5)
    forehead = sum((jnp.exp(-(((y - level - wave) / 0.014) ** 2)) for level in (7.74, 7.83, 7.92)), jnp.zeros_like(x))
    forehead = forehead * smoothstep(0.5, 0.25, x) * (0.05 + 0.28 * age) * (0.4 + 1.2 * person.brows)
    along = jnp.clip((6.98 - y) / 0.36, 0, 1)
    fold = (
        jnp.exp(-(((x - 0.17 - 0.19 * along) / 0.022) ** 2)) * smoothstep(0.0, 0.2, along) * smoothstep(1.0, 0.7, along)
    )
    fold = fold * (0.3 * age + 0.2 * person.smile)
    crow = sum(
        (jnp.exp(-(((y - 7.35 - slope * (x - 0.47)) / 0.014) ** 2)) for slope in (-0.6, 0.0, 0.6)), jnp.zeros_like(x)
    )
    crow = crow * smoothstep(0.47, 0.51, x) * smoothstep(0.66, 0.56, x) * (0.25 * age + 0.12 * person.smile * age)
    frown = jnp.exp(-(((x - 0.06) / 0.013) ** 2)) * smoothstep(7.45, 7.52, y) * smoothstep(7.68, 7.58, y) * 0.22 * age
    return jnp.clip(forehead + fold + crow + frown, 0, 0.6) * front


def _redden(skin: jax.Array, amount: jax.Array) -> jax.Array:
    return skin * (1 - amount[..., None] * jnp.array(_BLOOD))
