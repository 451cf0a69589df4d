"""Backgrounds like places, out of focus: studio, walls, rooms, foliage, sky and evening lights."""

import jax
import jax.numpy as jnp

from .attributes import EVENING, SKY, STUDIO
from .colours import SCENE_COLOURS
from .draws import Draws
from .functions import smoothstep

_GRID = 40  # backgrounds are smooth: they are drawn small and enlarged
_PANELS, _DISCS = 6, 30


def draw_background(key: jax.Array, scene: jax.Array, warmth: jax.Array, side: int) -> jax.Array:
    """Draw what is behind the person: a picture (side, side, 3) in linear RGB; `scene` is an index into SCENES."""
    draws = Draws(key, 40 + 9 * _PANELS + 8 * _DISCS)
    uniform = draws.uniform
    palette = jnp.asarray(SCENE_COLOURS)[scene]
    y, x = (jnp.mgrid[0:_GRID, 0:_GRID] + 0.5) / _GRID

    def colour(spread: float = 0.22) -> jax.Array:
        shift = spread * draws.normal() + spread / 4 * draws.normals(3)
        return draws.pick(palette) * jnp.exp(shift)

    # a gradient: light falls off over a wall; a sky has its horizon
    angle = uniform(-0.8, 0.8) * (scene != SKY)
    along = (y - 0.5) * jnp.cos(angle) + (x - 0.5) * jnp.sin(angle)
    contrast = jnp.where(scene == STUDIO, 0.35 * uniform(), uniform() ** 1.2)
    width = jnp.where(scene == SKY, uniform(0.02, 0.15), uniform(0.2, 0.5))
    edge = jnp.where(scene == SKY, uniform(0.0, 0.6), uniform(-0.3, 0.3))
    part = contrast * smoothstep(edge - width, edge + width, along)[..., None]
    picture = colour() * (1 - part) + colour() * part

    # upright and lying panels: doors, windows, shelves, pictures on a wall
    blur = jnp.exp(uniform(jnp.log(0.015), jnp.log(0.1)))
    panels = jnp.array([0.0, 0.45, 0.85, 0.1, 0.1, 0.5])[scene]
    for _ in range(_PANELS):
        centre = draws.uniforms(2)
        size = 0.03 + 0.3 * draws.uniforms(2) ** 1.5 * jnp.array([0.8, 1.3])
        inside = smoothstep(size[0] + blur, size[0] - blur, jnp.abs(x - centre[0]))
        inside = inside * smoothstep(size[1] + blur, size[1] - blur, jnp.abs(y - centre[1]))
        amount = (inside * draws.chance(panels) * (0.4 + 0.6 * contrast))[..., None]
        picture = picture * (1 - amount) + colour(0.35) * amount

    # leaves and lights, as discs that overlap
    values = draws.uniforms(4 * _DISCS).reshape(_DISCS, 4)
    shift = draws.normals(4 * _DISCS).reshape(_DISCS, 4)
    discs = jnp.array([0.0, 0.0, 0.1, 0.9, 0.15, 0.6])[scene]
    chosen = palette[jnp.minimum((values[:, 2] * len(palette)).astype(jnp.int32), len(palette) - 1)]
    tints = chosen * jnp.exp(0.45 * shift[:, :1] + 0.08 * shift[:, 1:])
    tints = jnp.where(scene == EVENING, tints * 2.5, tints)
    radius = jnp.where(scene == EVENING, 0.025, 0.06) + blur * (0.3 + 0.5 * values[:, 3])
    level = jnp.where(scene == SKY, 0.6 + 0.5 * values[:, 1], values[:, 1])
    distance = jnp.hypot(x[None] - values[:, 0, None, None], y[None] - level[:, None, None])
    softness = (0.5 * blur + 0.02) * jnp.ones_like(radius)
    amount = smoothstep((radius + softness)[:, None, None], (radius - softness)[:, None, None], distance)
    amount = amount * (shift[:, 0, None, None] < jax.scipy.special.ndtri(discs)) * 0.6
    for k in range(_DISCS):
        picture = picture * (1 - amount[k, ..., None]) + tints[k] * amount[k, ..., None]

    cast = jnp.stack([1 + 0.6 * warmth, 1 + 0.1 * warmth, 1 - 0.6 * warmth])
    picture = picture * cast * jnp.exp(0.25 * draws.normal() - 0.1)
    return jnp.clip(jax.image.resize(picture, (side, side, 3), "linear"), 0, 3)
