"""A person's head in space: shape, fitted parts and pose."""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from .attributes import CAP, CROPPED, HAIR_STYLES, HEADSCARF, NO_EARRINGS, Person
from .earrings import earring_vertices
from .functions import smoothstep
from .glasses import glasses_vertices
from .pack import EXPRESSIONS, Assets, Fit, Samples, Shape
from .regions import grow

_Tree = TypeVar("_Tree", Fit, Samples)
_PIVOT = (0.0, 6.55, 0.15)  # where the head turns on the neck
_LOBES = ((0.745, 6.93, 0.49), (-0.745, 6.93, 0.49))  # where ears are pierced, on the neutral head


class Head(NamedTuple):
    """One table of vertices and one of samples for everything in the picture."""

    vertices: jax.Array
    """(N, 3) in decimetres, posed."""
    normals: jax.Array
    """(N, 3)."""
    neutral: jax.Array
    """(N, 3) the same body vertices on an average adult; zeros for other parts."""
    samples: Samples
    shown: jax.Array
    """(n,) False for parts this person does not wear."""
    eyes: jax.Array
    """(3,) middle between the eyes."""


def rotation(yaw: jax.Array, pitch: jax.Array, roll: jax.Array) -> jax.Array:
    """Rotation (3, 3) that pitches, then yaws, then rolls."""
    cy, sy, cp, sp = jnp.cos(yaw), jnp.sin(yaw), jnp.cos(pitch), jnp.sin(pitch)
    cr, sr, o, i = jnp.cos(roll), jnp.sin(roll), jnp.zeros_like(yaw), jnp.ones_like(yaw)
    ry = jnp.stack([cy, o, sy, o, i, o, -sy, o, cy]).reshape(3, 3)
    rx = jnp.stack([i, o, o, o, cp, -sp, o, sp, cp]).reshape(3, 3)
    rz = jnp.stack([cr, -sr, o, sr, cr, o, o, o, i]).reshape(3, 3)
    return rz @ ry @ rx


def build_head(key: jax.Array, assets: Assets, person: Person) -> Head:
    """Shapes, dresses and poses a person's head."""
    k = jax.random.split(key, 3)
    body = _body(k[0], assets.shape, person)
    has_hair = (person.hair_style < CROPPED) & (person.hat != HEADSCARF)
    style = jnp.minimum(person.hair_style, len(HAIR_STYLES) - 1)
    zero = jnp.zeros_like(style)
    variants = (zero, zero, person.brow_style, person.lash_style, style)
    fits = [_choose(fit, v) for fit, v in zip(assets.fits, variants, strict=True)]
    parts = [_fitted(fit, body) for fit in fits]
    left = parts[0][:, 0] > 0
    centre = _mean(parts[0], left)
    parts[0] = _gaze(parts[0], left, person)
    parts[4] = _worn_hair(parts[4], person)
    ears = (assets.shape.neutral[:, 1] > 7.1) & (assets.shape.neutral[:, 1] < 7.5)
    half_width = jnp.max(jnp.where(ears, jnp.abs(body[:, 0]), 0))
    frames = glasses_vertices(k[1], centre, half_width)
    apart = jnp.sum((assets.shape.neutral - jnp.array(_LOBES)[:, None]) ** 2, -1)
    earrings = earring_vertices(k[2], person.earrings, body[jnp.argmin(apart, 1)])

    body = grow(person, assets.shape.neutral, body, _normals(body, assets.triangles))
    raw = [body, *parts, frames, earrings]
    posed = [_pose(v, person) for v in raw]
    eyes = jnp.mean(posed[1], 0)
    normals = [_normals(posed[0], assets.triangles)]
    ball = jnp.where(left[:, None], _mean(posed[1], left), _mean(posed[1], ~left))
    middle = eyes - jnp.array([0.0, 0.0, 1.0])
    normals += [_unit(posed[1] - ball)] + [_unit(v - middle) for v in posed[2:-1]]
    pair = posed[-1].reshape(2, -1, 3)
    normals.append(_unit(pair - jnp.mean(pair, 1, keepdims=True)).reshape(-1, 3))

    starts = [0]
    for v in posed:
        starts.append(starts[-1] + len(v))
    chosen = [_choose(s, v) for s, v in zip(assets.samples[1:6], variants, strict=True)]
    sets = [assets.samples[0], *chosen, *assets.samples[6:]]
    sets = [s._replace(vertex=s.vertex + start) for s, start in zip(sets, starts[:-1], strict=True)]
    always = jnp.array(True)
    shown = [always, always, always, always, always, has_hair, person.glasses, person.earrings != NO_EARRINGS]
    return Head(
        vertices=jnp.concatenate(posed),
        normals=jnp.concatenate(normals),
        neutral=jnp.concatenate([assets.shape.neutral, jnp.zeros((starts[-1] - starts[1], 3))]),
        samples=jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *sets),
        shown=jnp.concatenate([jnp.broadcast_to(s, len(p.shade)) for s, p in zip(shown, sets, strict=True)]),
        eyes=eyes,
    )


def _body(key: jax.Array, shape: Shape, person: Person) -> jax.Array:
    k = jax.random.split(key)
    sex = jnp.stack([1 - person.masculinity, person.masculinity])
    # the oldest targets are of the very old: adults stop short of them
    age = jnp.stack([1 - 0.85 * person.age, 0.85 * person.age])
    weight = 0.5 + 0.8 * (person.weight - 0.5)
    heavy = jnp.stack([jax.nn.relu(1 - 2 * weight), 1 - jnp.abs(2 * weight - 1), jax.nn.relu(2 * weight - 1)])
    macro = jnp.einsum("e,s,a->esa", person.ancestry, sex, age).ravel()
    universal = jnp.einsum("s,a,w->saw", sex, age, heavy).ravel()
    detail = jnp.clip(jax.random.normal(k[0], shape.spread.shape), -2.0, 2.0) * shape.spread
    asymmetry = jax.nn.relu(0.08 * jax.random.normal(k[1], (len(shape.asymmetry),)))
    sums = (
        (macro, shape.macro),
        (universal, shape.universal),
        (jax.nn.relu(detail), shape.plus),
        (jax.nn.relu(-detail), shape.minus),
        (asymmetry, shape.asymmetry),
        (_expression(person), shape.expression),
    )
    return shape.base + sum(jnp.tensordot(weights, targets, 1) for weights, targets in sums)


def _expression(person: Person) -> jax.Array:
    smile, brows = person.smile, person.brows
    values = {
        "mouth-corner-puller": 0.85 * smile,
        "mouth-upward-retraction": 0.75 * person.parted,
        "mouth-parling": 0.3 * person.parted,
        "mouth-retraction": 0.3 * smile,
        "eyebrows-{}-up": 0.4 * brows,
        "eyebrows-{}-inner-up": 0.35 + 0.35 * brows,
        "eye-{}-closure": jax.nn.relu(person.squint - 0.12),
        "eye-{}-slit": 0.15 * smile,
        "eye-{}-opened-up": jax.nn.relu(0.55 - person.squint),
    }
    return jnp.stack([values[name] for name in EXPRESSIONS])


def _gaze(vertices: jax.Array, left: jax.Array, person: Person) -> jax.Array:
    """Turns the eyes in the head: `gaze` away from the camera."""
    sideways = jnp.clip(-0.85 * person.yaw + person.gaze[0], -0.45, 0.45)
    turn = rotation(sideways, jnp.clip(-0.7 * person.pitch + person.gaze[1], -0.2, 0.2), jnp.zeros_like(sideways))
    centre = jnp.where(left[:, None], _mean(vertices, left), _mean(vertices, ~left))
    return (vertices - centre) @ turn.T + centre


def _worn_hair(vertices: jax.Array, person: Person) -> jax.Array:
    """Makes more kinds of hair of one: parted on the other side, fuller or flatter, shorter, or under a cap."""
    x, y, z = jnp.split(vertices, 3, -1)
    x = jnp.where(person.mirrored, -x, x)
    crown = jnp.array([0.0, 7.7, 0.35])
    fuller = 1 + (person.hair_volume - 1) * smoothstep(7.2, 7.9, y)
    # what hangs lower also spreads wider: shortened, it does so no more
    x = x * (1 - 0.3 * (1 - person.hair_length) * smoothstep(6.9, 5.5, y))
    y = jnp.where(y < 7.0, 7.0 + (y - 7.0) * person.hair_length, y)
    hair = (jnp.concatenate([x, y, z], -1) - crown) * fuller + crown
    pressed = 0.3 * (person.hat == CAP) * smoothstep(7.65, 7.9, hair[:, 1:2])
    return hair + pressed * (crown - hair)


def _pose(vertices: jax.Array, person: Person) -> jax.Array:
    """Turns the head; the shoulders follow a little."""
    pivot = jnp.array(_PIVOT)
    head = (vertices - pivot) @ rotation(person.yaw, person.pitch, person.roll).T
    zero = jnp.zeros_like(person.yaw)
    trunk = (vertices - pivot) @ rotation(0.3 * person.yaw, zero, zero).T
    part = smoothstep(6.1, 6.8, vertices[:, 1:2])
    return trunk * (1 - part) + head * part + pivot


def _fitted(fit: Fit, body: jax.Array) -> jax.Array:
    axes = jnp.arange(3)
    ends = body[fit.scale_index[:, 0], axes] - body[fit.scale_index[:, 1], axes]
    placed = sum(fit.weight[:, k, None] * body[fit.index[:, k]] for k in range(3))
    return placed + fit.offset * jnp.abs(ends) / fit.scale_length


def _choose(tree: _Tree, index: jax.Array) -> _Tree:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _mean(vertices: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.sum(vertices * mask[:, None], 0) / jnp.sum(mask)


def _normals(vertices: jax.Array, triangles: jax.Array) -> jax.Array:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = jnp.cross(b - a, c - a)
    total = jnp.zeros_like(vertices)
    for k in range(3):
        total = total.at[triangles[:, k]].add(face)
    return _unit(total)


def _unit(vector: jax.Array) -> jax.Array:
    return vector / (jnp.linalg.norm(vector, axis=-1, keepdims=True) + 1e-8)
