"""Light on the head: a key light with soft shadows, fill, sky and its bounce, crevices, highlights, ears that glow."""

import jax
import jax.numpy as jnp
import numpy as np

from .attributes import HANGING_STYLES, Person
from .draws import Draws
from .geometry import rotation
from .materials import Surface

_BIAS = 0.1  # decimetres: a surface does not shade itself
_THROUGH = (0.42, 0.07, 0.03)  # of the light that an ear reflects, what also comes through it: blood lets red pass


def direction(azimuth: jax.Array, elevation: jax.Array) -> jax.Array:
    """Unit vector towards a light."""
    level = jnp.cos(elevation)
    return jnp.stack([jnp.sin(azimuth) * level, jnp.sin(elevation), jnp.cos(azimuth) * level])


def soft_shadow(heights: jax.Array, at: jax.Array, spread: jax.Array, supersample: int) -> jax.Array:
    """Return how far pixels (S, S) are lit; `at` holds their place in the shadow map `heights`.

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


def behind_ear(ear: jax.Array, normal: jax.Array, light: jax.Array) -> jax.Array:
    """Return how much of a light, with direction (3,) towards it, falls on the other side of a thin ear: (S, S, 1).

    ear: (S, S, 1) as in Surface; normal: (S, S, 3). What stands between light and ear is not counted.
    """
    return jnp.abs(ear) * jnp.clip(-_dot(normal, light), 0, 1)


def clear_of_head(person: Person, ear: jax.Array, light: jax.Array) -> jax.Array:
    """Return how far neither head nor hanging hair is between a light and the ear: (S, S, 1), without a shadow map."""
    outward = jnp.sign(ear) * (rotation(person.yaw, person.pitch, person.roll)[:, 0] @ light)
    hangs = jnp.any(person.hair_style == jnp.array(HANGING_STYLES))
    return jnp.clip(3 * outward, 0, 1) * ~hangs


def shade(
    key: jax.Array, person: Person, surface: Surface, normal: jax.Array, view: jax.Array, lit: jax.Array, ao: jax.Array
) -> jax.Array:
    """Light (S, S, 3) that reaches the camera, linear: key light, fill, light from behind, sky and its bounce."""
    draws = Draws(key, 10)
    key_light = direction(person.light[0], person.light[1])
    warm = person.warmth
    key_colour = _tinted(warm) * draws.uniform(0.6, 1.15)
    sky = _tinted(-0.35 * warm) * draws.uniform(0.22, 0.46)
    bounce = sky * jnp.array([1.06, 0.98, 0.9]) * draws.uniform(0.5, 0.85)
    away = -jnp.sign(person.light[0])
    fill = direction(away * (0.7 + 0.4 * draws.uniform()), 0.2 * jnp.ones(()))
    fill_colour = _tinted(-0.5 * warm) * draws.uniform(0.06, 0.3)
    behind = direction(away * draws.uniform(2.0, 2.7), draws.uniform(0.2, 0.7))
    rim_colour = _tinted(0.5 * draws.normal() * 0.1) * draws.chance(0.4) * draws.uniform(0.3, 1.2)

    lit = lit[..., None]
    ao = ao[..., None]
    ear = surface.ear
    through = behind_ear(ear, normal, key_light) * lit * key_colour
    through = through + behind_ear(ear, normal, behind) * clear_of_head(person, ear, behind) * rim_colour
    glow = surface.albedo * through * jnp.array(_THROUGH)
    skin, strands = surface.skin, surface.strands
    dark = 1 - lit
    # light that enters the skin leaves it redder a little further on
    lit = 1 - dark * jnp.concatenate([skin * jnp.sqrt(dark) + 1 - skin, jnp.ones_like(dark), jnp.ones_like(dark)], -1)
    diffuse = jnp.clip((_dot(normal, key_light) + surface.wrap) / (1 + surface.wrap), 0, None) * lit
    upward = normal[..., 1:2] * 0.5 + 0.5
    ambient = (sky * upward + bounce * (1 - upward)) * ao
    side = jnp.clip((_dot(normal, fill) + 0.3) / 1.3, 0, None) * fill_colour * ao
    grazing = 1 - jnp.clip(_dot(normal, view), 0, 1)
    edge = 0.04 + 0.3 * grazing**4
    light = jnp.zeros_like(surface.albedo)
    for where, colour, seen in ((key_light, key_colour, lit), (fill, fill_colour, ao)):
        half = view + where
        half = half / jnp.linalg.norm(half, axis=-1, keepdims=True)
        shine = surface.gloss * jnp.clip(_dot(normal, half), 0, 1) ** surface.sharpness * (0.7 + 2 * edge)
        # strands shine in a band across them (Kajiya and Kay 1989)
        strand = jnp.array([0.0, -1.0, 0.0]) + normal[..., 1:2] * normal
        strand = strand / (jnp.linalg.norm(strand, axis=-1, keepdims=True) + 1e-3)
        band = jnp.sqrt(jnp.clip(1 - _dot(strand, half) ** 2, 0, 1)) ** 60 * jnp.clip(_dot(normal, where) + 0.2, 0, 1)
        light = light + (shine + 0.22 * strands * band * (0.05 + surface.albedo)) * colour * seen
    rim = jnp.clip(_dot(normal, behind) + 0.25, 0, 1) * grazing**2 * (0.15 + surface.albedo) * rim_colour * ao
    sheen = 0.12 * edge * ambient * skin
    return surface.albedo * (diffuse * key_colour + ambient + side) + light + rim + sheen + glow


def _tinted(warm: jax.Array) -> jax.Array:
    """White light (3,), warmer or colder."""
    return jnp.stack([1 + warm, 1 + 0.1 * warm, 1 - warm])


def _blur(picture: jax.Array, radius: int) -> jax.Array:
    width = 2 * radius + 1
    for axis in (0, 1):
        padded = jnp.pad(picture, [(radius, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        window = [width if a == axis else 1 for a in (0, 1)]
        picture = jax.lax.reduce_window(padded, 0.0, jax.lax.add, window, (1, 1), "VALID") / width
    return picture


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b, -1, keepdims=True)
