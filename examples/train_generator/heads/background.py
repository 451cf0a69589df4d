"""Backgrounds: soft gradients with a few blurred shapes, as behind a portrait out of focus."""

import jax
import jax.numpy as jnp

from .colours import background_colour
from .draws import Draws
from .geometry import smoothstep

_GRID = 24  # backgrounds are smooth: they are drawn small and enlarged
_SHAPES = 4


def draw_background(key: jax.Array, side: int) -> jax.Array:
    """A picture (side, side, 3) in linear RGB."""
    draws = Draws(key, 20 + 12 * _SHAPES)
    uniform = draws.uniform
    y, x = jnp.mgrid[0:_GRID, 0:_GRID] / _GRID
    angle = uniform(-0.7, 0.7)
    along = (y - 0.5) * jnp.cos(angle) + (x - 0.5) * jnp.sin(angle)
    first, second = background_colour(draws), background_colour(draws)
    contrast = uniform() ** 1.7  # most backgrounds are nearly plain
    edge = uniform(-0.3, 0.5)
    part = contrast * smoothstep(edge - 0.35, edge + 0.35, along)[..., None]
    picture = first * (1 - part) + second * part
    busy = draws.chance(0.6).astype(jnp.float32)
    for _ in range(_SHAPES):
        soft = uniform(0.08, 0.2)
        inside = jnp.ones_like(x)
        for at in (x, y):
            size, centre = uniform(0.06, 0.3), uniform()
            inside = inside * smoothstep(size + soft, size - soft, jnp.abs(at - centre))
        amount = 0.6 * contrast * busy * inside[..., None]
        picture = picture * (1 - amount) + background_colour(draws) * amount
    picture = picture * jnp.exp(0.25 * draws.normal() - 0.15)
    return jax.image.resize(picture, (side, side, 3), "linear")
