"""Light on the head: a key light with soft shadows, a fill, a sky and its bounce, crevices, highlights."""

import jax
import jax.numpy as jnp
import numpy as np

from .attributes import Person
from .draws import Draws
from .materials import Surface

_BIAS = 0.1  # decimetres: a surface does not shade itself


def direction(azimuth: jax.Array, elevation: jax.Array) -> jax.Array:
    """Unit vector towards a light."""
    level = jnp.cos(elevation)
    return jnp.stack([jnp.sin(azimuth) * level, jnp.sin(elevation), jnp.cos(azimuth) * level])


def soft_shadow(heights: jax.Array, at: jax.Array, spread: jax.Array, supersample: int) -> jax.Array:
    """How far pixels (S, S) are lit; `at` holds their place in the shadow map `heights`.

    Every point of a pixel looks at other places of the map, within `spread` map pixels: their mean is a soft edge.
    """
    side = at.shape[0]
    count = supersample**2
    order = np.random.default_rng(0).permutation(count).reshape(supersample, supersample)
    turn = np.tile(order, (side // supersample,) * 2) * (2 * np.pi * 0.618)
    lit = jnp.zeros(at.shape[:2])
    for k in range(4):
        radius = spread * np.sqrt((k + 0.5) / 4)
        angle = turn + k * np.pi / 2
        x = jnp.clip(jnp.floor(at[..., 0] + radius * np.cos(angle)), 0, heights.shape[0] - 1).astype(jnp.int32)
        y = jnp.clip(jnp.floor(at[..., 1] + radius * np.sin(angle)), 0, heights.shape[0] - 1).astype(jnp.int32)
        lit = lit + jnp.clip((at[..., 2] - heights[y, x] + _BIAS + 0.03 * radius) / 0.05 + 0.5, 0, 1) / 4
    return lit


def crevices(depth: jax.Array, supersample: int) -> jax.Array:
    """Darkening (S, S) of the ambient light where the surroundings are nearer than the point."""
    side = depth.shape[0] // supersample
    small = depth.reshape(side, supersample, side, supersample).mean((1, 3))
    wide, narrow = _blur(small, max(side // 16, 1)), _blur(small, max(side // 48, 1))
    dark = 1.1 * jnp.clip(small - wide, 0, 0.5) + 1.3 * jnp.clip(small - narrow, 0, 0.3)
    return jnp.repeat(jnp.repeat(jnp.exp(-dark), supersample, 0), supersample, 1)


def shade(
    key: jax.Array, person: Person, surface: Surface, normal: jax.Array, view: jax.Array, lit: jax.Array, ao: jax.Array
) -> jax.Array:
    """Light (S, S, 3) that reaches the camera, linear."""
    draws = Draws(key, 6)
    key_light = direction(person.light[0], person.light[1])
    warm = 0.1 * draws.normal()
    key_colour = jnp.stack([1 + warm, 1 + 0.1 * warm, 1 - warm]) * draws.uniform(0.55, 0.95)
    sky = jnp.stack([1 - 0.3 * warm, jnp.ones_like(warm), 1 + 0.3 * warm])
    sky = sky * draws.uniform(0.38, 0.55)
    bounce = sky * jnp.array([1.04, 0.98, 0.92]) * draws.uniform(0.55, 0.85)
    fill = direction(-jnp.sign(person.light[0]) * (0.7 + 0.4 * draws.uniform()), 0.2 * jnp.ones(()))
    fill_colour = draws.uniform(0.08, 0.28)

    lit = lit[..., None]
    ao = ao[..., None]
    skin = surface.skin
    dark = 1 - lit
    # light that enters the skin leaves it redder a little further on
    lit = 1 - dark * jnp.concatenate([skin * jnp.sqrt(dark) + 1 - skin, jnp.ones_like(dark), jnp.ones_like(dark)], -1)
    diffuse = jnp.clip((_dot(normal, key_light) + surface.wrap) / (1 + surface.wrap), 0, None) * lit
    upward = normal[..., 1:2] * 0.5 + 0.5
    ambient = (sky * upward + bounce * (1 - upward)) * ao
    side = jnp.clip((_dot(normal, fill) + 0.3) / 1.3, 0, None) * fill_colour * ao
    half = view + key_light
    half = half / jnp.linalg.norm(half, axis=-1, keepdims=True)
    edge = 0.04 + 0.3 * (1 - jnp.clip(_dot(normal, view), 0, 1)) ** 4
    highlight = surface.gloss * jnp.clip(_dot(normal, half), 0, 1) ** surface.sharpness * lit * (0.7 + 2 * edge)
    sheen = 0.12 * edge * ambient * skin
    return surface.albedo * (diffuse * key_colour + ambient + side) + highlight * key_colour + sheen


def expose(key: jax.Array, picture: jax.Array, skin: jax.Array, head: jax.Array) -> jax.Array:
    """Exposes as a camera would: partly for the skin, so that neither light nor dark skin loses its detail."""
    luminance = head @ jnp.array([0.2126, 0.7152, 0.0722])
    mean = jnp.sum(luminance * skin) / (jnp.sum(skin) + 1.0)
    gain = jnp.clip(0.34 / (mean + 0.02), 0.5, 4.0) ** 0.42 * jnp.exp(0.08 * jax.random.normal(key))
    film = 1 - jnp.exp(-1.25 * gain * picture)
    grey = film.mean(-1, keepdims=True)
    return jnp.clip(grey + 1.12 * (film - grey), 0, 1)


def _blur(picture: jax.Array, radius: int) -> jax.Array:
    width = 2 * radius + 1
    for axis in (0, 1):
        padded = jnp.pad(picture, [(radius, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        window = [width if a == axis else 1 for a in (0, 1)]
        picture = jax.lax.reduce_window(padded, 0.0, jax.lax.add, window, (1, 1), "VALID") / width
    return picture


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b, -1, keepdims=True)
