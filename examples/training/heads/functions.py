"""Smooth steps, noise and blur, of which regions, textures and pictures are made."""

import itertools

import jax
import jax.numpy as jnp

_WAVES = (0.1031, 0.1030, 0.0973)


def smoothstep(low: jax.Array | float, high: jax.Array | float, x: jax.Array) -> jax.Array:
    """0 below `low`, 1 above `high` (or the other way round if low > high), smooth between."""
    t = jnp.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def smooth(picture: jax.Array, step: int) -> jax.Array:
    """Blur a picture (n, m, c) by the weights 1, 2, 1 over pixels `step` apart; its edges go on as they are."""
    for axis in (0, 1):
        padded = jnp.pad(picture, [(step, step) if a == axis else (0, 0) for a in range(3)], mode="edge")
        n = picture.shape[axis]
        before, after = (jax.lax.slice_in_dim(padded, k, k + n, axis=axis) for k in (0, 2 * step))
        picture = (before + 2 * picture + after) / 4
    return picture


def value_noise(point: jax.Array, frequency: jax.Array | float) -> jax.Array:
    """Noise in [0, 1] at points (..., 3), smooth, with `frequency` cells per decimetre."""
    # axis by axis and without products of matrices: all of it becomes one loop over the points
    cells, parts = [], []
    for axis in range(3):
        at = point[..., axis] * frequency + 100.0
        cell = jnp.floor(at)
        part = at - cell
        cells.append(cell)
        parts.append(part * part * (3 - 2 * part))
    total = jnp.zeros(point.shape[:-1])
    for corner in itertools.product((0, 1), repeat=3):
        weight = jnp.ones(())
        for part, step in zip(parts, corner, strict=True):
            weight = weight * (part if step else 1 - part)
        total = total + weight * _hash(*(cell + step for cell, step in zip(cells, corner, strict=True)))
    return total


def _hash(x: jax.Array, y: jax.Array, z: jax.Array) -> jax.Array:
    """Numbers in [0, 1) that look random, of whole numbers below some hundreds; far cheaper than a sine."""
    x, y, z = (_fraction(value * wave) for value, wave in zip((x, y, z), _WAVES, strict=True))
    mixed = x * (y + 33.33) + y * (z + 33.33) + z * (x + 33.33)
    return _fraction((x + y + 2 * mixed) * (z + mixed))


def _fraction(value: jax.Array) -> jax.Array:
    return value - jnp.floor(value)
