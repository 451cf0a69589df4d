"""Pictures spoiled as searches spoil them, to train and to test what tells a generator's own samples from others.

Either what a picture is made of is spoiled, `SPOILED_LATENTS` (rows of w, their length, blocks' outputs), or a part of
the picture itself is, `SPOILED_PARTS`. All spoil by a random amount, from what hardly shows to what anybody sees.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.oddness import KINDS
from pulse_jax.generators.priors.gaussian import whitened_to_w
from pulse_jax.images.rounding import to_uint8
from pulse_jax.manifold.sphere import random_uniform

__all__ = ["SPOILED_LATENTS", "SPOILED_PARTS", "draw_pictures", "spoil_parts"]

SPOILED_LATENTS = KINDS[1:4]
"""Rows of w of many people; rows too far from the mean, or random on PULSE's sphere; disturbed outputs of blocks."""
SPOILED_PARTS = KINDS[4:]
"""A part taken from elsewhere in the picture, or from another one; smoothed away; blurred; in another colour; bent."""
_BATCH = 32
_BLOCKS = (0, 1, 2)  # of which ILO searches the outputs


@functools.partial(jax.jit, static_argnames="kind")
def _draw(generator: Generator, key: PRNGKeyArray, numbers: Array, kind: str, unit: Array) -> Array:
    """Pictures (n, r, r, 3) of one kind; picture i depends on `fold_in(key, i)` alone."""

    def drawn(number: Array) -> tuple[Array, tuple[Array, ...], dict[int, Array]]:
        z_key, noise_key, way_key, amount_key, block_key, sphere_key = jax.random.split(
            jax.random.fold_in(key, number), 6
        )
        layers, width = generator.num_layers, generator.latent_dim
        z = jax.random.normal(z_key, (layers if kind == "apart" else 1, width))
        w = jnp.broadcast_to(generator.map(z), (layers, width))
        amount = jax.random.uniform(amount_key)
        offsets = {}
        if kind == "apart":
            w = w[:1] + (0.4 + amount) * (w - w[:1])
        if kind == "long":
            assert generator.w_avg is not None and generator.gaussian_fit is not None
            long = generator.w_avg + (1.3 + 1.2 * amount) * (w - generator.w_avg)
            wild = whitened_to_w(random_uniform(sphere_key, (layers, width), radius=width**0.5), generator.gaussian_fit)
            share = 0.3 + 0.7 * amount
            w = jnp.where(jax.random.bernoulli(way_key), long, w + share * (wild - w))
        if kind == "offsets":
            chosen = jax.random.randint(way_key, (), 0, len(_BLOCKS))
            for place, block in enumerate(_BLOCKS):
                normal = jax.random.normal(jax.random.fold_in(block_key, block), generator.block_shape(block))
                # From a change of 8 levels of 255 to one of 50.
                size = jnp.exp(jnp.log(0.03) + amount * jnp.log(6.0)) / unit[place]
                offsets[block] = jnp.where(chosen == place, size * normal, 0.0)
        noise = tuple(
            jax.random.normal(jax.random.fold_in(noise_key, layer), shape)
            for layer, shape in enumerate(generator.noise_shapes)
        )
        return w, noise, offsets

    w, noise, offsets = jax.vmap(drawn)(numbers)
    return generator.synthesize(w, noise, offsets=offsets)


@jax.jit
def _unit_changes(generator: Generator) -> Array:
    """By how much standard Gaussian offsets to each block's output change pictures: root mean squares."""
    changes = []
    for block in _BLOCKS:
        key = jax.random.key(block)
        noise = tuple(jnp.zeros((8, *shape)) for shape in generator.noise_shapes)
        z = jax.random.normal(key, (8, 1, generator.latent_dim))
        w = jnp.broadcast_to(generator.map(z), (8, generator.num_layers, generator.latent_dim))
        # Small, where the change still grows with them.
        offset = 0.01 * jax.random.normal(key, (8, *generator.block_shape(block)))
        change = generator.synthesize(w, noise, offsets={block: offset}) - generator.synthesize(w, noise)
        changes.append(100 * jnp.sqrt(jnp.mean(jnp.square(change))))
    return jnp.stack(changes)


def draw_pictures(
    generator: Generator, key: PRNGKeyArray, count: int, kind: str = "own"
) -> UInt8[np.ndarray, "n r r 3"]:
    """Draw 8-bit pictures: the generator's own samples, or of one of `SPOILED_LATENTS`."""
    unit = _unit_changes(generator) if kind == "offsets" else jnp.ones(len(_BLOCKS))
    numbers = range(0, count, _BATCH)
    parts = [to_uint8(np.asarray(_draw(generator, key, first + jnp.arange(_BATCH), kind, unit))) for first in numbers]
    return np.concatenate(parts)[:count]


@jax.jit
def spoil_parts(
    key: PRNGKeyArray, pictures: Float[Array, "n r r 3"], kinds: Array
) -> tuple[Float[Array, "n r r 3"], Float[Array, "n r r"]]:
    """Spoil a part of each picture in [0, 1], in the way that its number in `SPOILED_PARTS` says; and tell where."""
    keys = jax.random.split(key, len(pictures))
    return jax.vmap(_spoil_part)(keys, pictures, jnp.roll(pictures, 1, axis=0), kinds)


def _spoil_part(key: PRNGKeyArray, picture: Array, other: Array, kind: Array) -> tuple[Array, Array]:
    side = picture.shape[0]
    centre_key, size_key, edge_key, amount_key, shift_key, colour_key, field_key = jax.random.split(key, 7)
    grid = jnp.arange(side) / side
    centre = jax.random.uniform(centre_key, (2,), minval=0.25, maxval=0.75)
    radii = jax.random.uniform(size_key, (2,), minval=0.06, maxval=0.25)
    power = jax.random.choice(edge_key, jnp.array([2.0, 8.0]))  # an ellipse or nearly a rectangle
    rows, columns = (jnp.abs((grid - centre[axis]) / radii[axis]) ** power for axis in (0, 1))
    hardness = jnp.exp(jax.random.uniform(jax.random.fold_in(edge_key, 1), minval=1.0, maxval=4.0))
    mask = jax.nn.sigmoid(hardness * (1.0 - rows[:, None] - columns))[..., None]

    amount = jax.random.uniform(amount_key)
    way = jax.random.uniform(shift_key, maxval=2 * jnp.pi)
    shift = (0.05 + 0.3 * amount) * side * jnp.stack([jnp.sin(way), jnp.cos(way)])
    bent = _smooth(jax.random.normal(field_key, (side, side, 2)), 0.08 * side)
    bent *= (1.5 + 4.5 * amount) / jnp.sqrt(jnp.mean(jnp.square(bent)))
    colour = jax.random.normal(colour_key, (3,))
    colour *= (0.06 + 0.3 * amount) / jnp.sqrt(jnp.mean(jnp.square(colour)))
    spoiled = jnp.stack(
        [
            jnp.roll(picture, jnp.round(shift).astype(int), axis=(0, 1)),
            jnp.roll(other, jnp.round(0.3 * shift).astype(int), axis=(0, 1)),
            _smooth(picture, (0.08 + 0.1 * amount) * side),
            _smooth(picture, (0.015 + 0.035 * amount) * side),
            picture + colour,
            _moved(picture, bent),
        ]
    )[kind]
    return jnp.clip(picture + mask * (spoiled - picture), 0.0, 1.0), mask[..., 0]


def _smooth(picture: Array, sigma: Array | float) -> Array:
    """Blurred by a Gaussian, each pixel's weights of sum 1."""
    grid = jnp.arange(len(picture))
    weights = jnp.exp(-jnp.square(grid[:, None] - grid) / (2 * sigma**2))
    weights /= weights.sum(axis=1, keepdims=True)
    return jnp.einsum("ai,bj,ijc->abc", weights, weights, picture)


def _moved(picture: Array, field: Array) -> Array:
    """Every pixel taken from where a field (r, r, 2) of distances in pixels points to, bilinearly."""
    grid = jnp.arange(len(picture))
    at = [grid[:, None] + field[..., 0], grid + field[..., 1]]
    moved = [jax.scipy.ndimage.map_coordinates(picture[..., c], at, order=1, mode="nearest") for c in range(3)]
    return jnp.stack(moved, axis=-1)
