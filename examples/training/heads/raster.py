"""Drawing by points: every sample falls on a pixel, the nearest one is seen.

A sample's depth and its number share one integer, so that one scatter-min finds the nearest sample of every pixel; this
needs no rasteriser and runs under `jit` and `vmap` on any device.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .geometry import Head

_ID_BITS = 20  # up to a million samples, and 4,096 steps of depth
_NEAR, _DEEP = -1.8, 4.2  # decimetres in front of and behind the eyes that depth distinguishes
_EMPTY = np.uint32(0xFFFFFFFF)
_AROUND = tuple((y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1))


class Camera(NamedTuple):
    """A camera that looks along -z at the middle between the eyes."""

    eye: jax.Array
    """(3,) position."""
    distance: jax.Array
    """From the eyes."""
    half: jax.Array
    """Half of what the frame shows at the eyes' distance."""
    shift: jax.Array
    """(2,) offset of the picture, in halves of the frame."""


class Seen(NamedTuple):
    """What each pixel shows, (S, S, ...)."""

    sample: jax.Array
    cover: jax.Array
    """False where there is only background."""
    depth: jax.Array
    """Distance behind the eyes, decimetres."""


def project(camera: Camera, points: jax.Array, side: int) -> jax.Array:
    """Pixel x, pixel y and distance of points (n, 3)."""
    away = camera.eye[2] - points[:, 2]
    plane = (points[:, :2] - camera.eye[:2]) / away[:, None] * camera.distance / camera.half + camera.shift
    pixel = (jnp.array([1.0, -1.0]) * plane + 1) / 2 * side
    return jnp.concatenate([pixel, away[:, None]], -1)


def interpolate(table: jax.Array, vertex: jax.Array, weight: jax.Array) -> jax.Array:
    """Return values (..., c) at points in triangles of a table (N, c) of the vertices' values."""
    return sum((weight[..., k, None] * table[vertex[..., k]] for k in range(3)), jnp.zeros(()))


def draw(head: Head, camera: Camera, nearer: jax.Array, two_sided: jax.Array, side: int) -> Seen:
    """Find the nearest sample of every pixel of a side x side picture.

    nearer: (n,) decimetres by which samples are drawn nearer than they lie (brows on skin).
    two_sided: (n,) samples that are seen from behind too.
    """
    screen = project(camera, head.vertices, side)
    a, b, c = (screen[head.samples.vertex[:, k]] for k in range(3))
    weight = head.samples.weight
    at = weight[:, 0, None] * a + weight[:, 1, None] * b + weight[:, 2, None] * c
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    pixel = jnp.floor(at[:, :2]).astype(jnp.int32)
    inside = jnp.all((pixel >= 0) & (pixel < side), -1)
    visible = head.shown & inside & (two_sided | (turn < 0))
    steps = 2 ** (32 - _ID_BITS) - 2
    depth = (at[:, 2] - camera.distance - nearer - _NEAR) / (_DEEP - _NEAR)
    code = (jnp.clip(depth, 0, 1) * steps).astype(jnp.uint32) << _ID_BITS
    code = code | jnp.arange(len(depth), dtype=jnp.uint32)
    flat = jnp.where(visible, pixel[:, 1] * side + pixel[:, 0], side * side)
    nearest = jnp.full(side * side + 1, _EMPTY, jnp.uint32).at[flat].min(code)[:-1].reshape(side, side)
    nearest = _fill_pits(nearest, int(0.05 / (_DEEP - _NEAR) * steps))
    cover = nearest != _EMPTY
    depth = (nearest >> _ID_BITS).astype(jnp.float32) / steps * (_DEEP - _NEAR) + _NEAR
    sample = jnp.where(cover, nearest & (2**_ID_BITS - 1), 0).astype(jnp.int32)
    return Seen(sample, cover, jnp.where(cover, depth, _DEEP))


def _fill_pits(nearest: jax.Array, step: int) -> jax.Array:
    """Single pixels much deeper than most of their neighbours are gaps between samples: a neighbour fills them."""
    side = nearest.shape[0]
    for _ in range(3):
        padded = jnp.pad(nearest, 1, constant_values=_EMPTY)
        around = [padded[y : y + side, x : x + side] for y, x in _AROUND]
        depth = (nearest >> _ID_BITS).astype(jnp.int32)
        votes = sum(((near >> _ID_BITS).astype(jnp.int32) + step < depth).astype(jnp.int32) for near in around)
        beside = jnp.minimum(jnp.minimum(around[1], around[3]), jnp.minimum(around[4], around[6]))
        nearest = jnp.where(votes >= 5, beside, nearest)
    return nearest


def shadow_map(points: jax.Array, solid: jax.Array, light: jax.Array, centre: jax.Array, side: int) -> jax.Array:
    """Height (side, side) towards the light of the topmost solid points (n, 3)."""
    at = light_frame(points, light, centre, side)
    pixel = jnp.floor(at[:, :2]).astype(jnp.int32)
    inside = solid & jnp.all((pixel >= 0) & (pixel < side), -1)
    flat = jnp.where(inside, pixel[:, 1] * side + pixel[:, 0], side * side)
    return jnp.full(side * side + 1, -1e9).at[flat].max(at[:, 2])[:-1].reshape(side, side)


def light_frame(points: jax.Array, light: jax.Array, centre: jax.Array, side: int) -> jax.Array:
    """Shadow-map pixel x, y and height of points (..., 3) seen from the light."""
    across = jnp.cross(jnp.array([0.0, 1.0, 0.0]), light)
    across = across / jnp.linalg.norm(across)
    frame = jnp.stack([across, jnp.cross(light, across), light], -1)
    local = (points - centre) @ frame
    return jnp.concatenate([(local[..., :2] / 2.6 + 1) / 2 * side, local[..., 2:]], -1)
