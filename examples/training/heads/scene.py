"""The whole picture: one key, one portrait."""

import jax
import jax.numpy as jnp

from .attributes import Person, describe, sample_person
from .background import draw_background
from .camera import develop, expose
from .draws import Draws
from .focus import circle_of_confusion, defocus
from .geometry import build_head, rotation
from .lighting import crevices, direction, shade, soft_shadow
from .materials import Point, paint
from .pack import BODY, BROW, EYES, GLASSES, HAIR, JEWELLERY, LASH, Assets
from .raster import Camera, draw, interpolate, light_frame, shadow_map

_SHADOW_SIDE = 112
_HALF_FRAME = 1.17  # decimetres: what FFHQ's rule gives for an average face


def render(
    key: jax.Array, assets: Assets, size: int = 64, supersample: int = 3, person: Person | None = None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Draw the portrait that belongs to a key.

    key: a JAX random key; every picture is a pure function of it.
    assets: what `load_pack` read.
    size, supersample: side of the picture, and points per pixel along each side (both static under jit).
    person: who is drawn, instead of the one that the key gives.
    Returns the picture (size, size, 3), sRGB in [0, 1], and the person's attributes (see `describe`).
    """
    keys = jax.random.split(key, 9)
    side = size * supersample
    person = sample_person(keys[0]) if person is None else person
    head = build_head(keys[1], assets, person)
    camera = _camera(keys[2], head.eyes)
    kinds = assets.kinds
    nearer = jnp.select([kinds == BROW, (kinds == LASH) | (kinds == JEWELLERY)], [0.03, 0.02], 0.0)
    two_sided = (kinds == HAIR) | (kinds == BROW) | (kinds == LASH) | (kinds >= GLASSES)
    seen = draw(head, camera, nearer, two_sided, side)

    vertex, weight = head.samples.vertex[seen.sample], head.samples.weight[seen.sample]
    table = jnp.concatenate([head.vertices, head.normals, head.neutral], -1)
    place, normal, neutral = jnp.split(interpolate(table, vertex, weight), 3, -1)
    normal = normal / (jnp.linalg.norm(normal, axis=-1, keepdims=True) + 1e-8)
    view = camera.eye - place
    view = view / jnp.linalg.norm(view, axis=-1, keepdims=True)

    light = direction(person.light[0], person.light[1])
    centre = head.eyes - jnp.array([0.0, 0.1, 0.9])
    casts = (kinds == BODY) | (kinds == HAIR)
    points = interpolate(head.vertices, head.samples.vertex[::2], head.samples.weight[::2])
    heights = shadow_map(points, (casts & head.shown)[::2], light, centre, _SHADOW_SIDE)
    spread = jax.random.uniform(keys[3], minval=2.0, maxval=9.0)
    lit = soft_shadow(heights, light_frame(place, light, centre, _SHADOW_SIDE), spread, supersample)

    turn = rotation(person.yaw, person.pitch, person.roll)
    point = Point(
        kinds[seen.sample], neutral, head.samples.uv[seen.sample], head.samples.shade[seen.sample], normal @ turn
    )
    surface = paint(keys[4], assets.textures, person, point)
    ao = crevices(seen.depth, supersample)
    eyes = point.kind == EYES  # lids let more light through than a shadow map knows
    ao, lit = jnp.where(eyes, 0.6 + 0.4 * ao, ao), jnp.where(eyes, 0.5 + 0.5 * lit, lit)
    shaded = shade(keys[5], person, surface, normal, view, lit, ao)
    cover = seen.cover[..., None]
    picture = jnp.where(cover, shaded, draw_background(keys[6], person.scene, person.warmth, side))
    picture = expose(keys[7], picture, surface.skin[..., 0] * seen.cover, shaded)
    picture = picture.reshape(size, supersample, size, supersample, 3).mean((1, 3))
    circle = circle_of_confusion(person.aperture, camera.distance, seen.depth) * (size / 2) / camera.half
    # a pixel that shows something sharp stays sharp
    circle = circle.reshape(size, supersample, size, supersample).min((1, 3))
    return develop(keys[8], defocus(picture, circle)), describe(person)


def _camera(key: jax.Array, eyes: jax.Array) -> Camera:
    draws = Draws(key, 4)
    distance = 14.0 * (40.0 / 14.0) ** draws.uniform()
    half = _HALF_FRAME * jnp.exp(jnp.clip(0.04 * draws.normal(), -0.1, 0.1))
    return Camera(
        eye=eyes + jnp.stack([jnp.zeros(()), -0.1 * jnp.ones(()), distance]),
        distance=distance,
        half=half,
        shift=0.02 * draws.normals(2),
    )
