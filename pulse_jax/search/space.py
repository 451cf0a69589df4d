"""What is searched: shapes, starts and noise, and the way from a searched latent to w.

Everything is pure, for one image, and meant for `jax.vmap`. Source: PULSE (Menon et al. 2020), section 3.2, and its
program.
"""

import math
from collections.abc import Sequence
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit, w_to_whitened, whitened_to_w
from pulse_jax.generators.priors.moments import Mapping
from pulse_jax.generators.priors.surrogate import approach
from pulse_jax.manifold.product import Euclidean, L1Ball, NearStart, Sphere
from pulse_jax.manifold.sphere import project, random_uniform
from pulse_jax.search.config import Coordinates, LatentSpace, NoiseKind, SearchConfig
from pulse_jax.search.degradation import starts_near

__all__ = [
    "NOISE_KINDS",
    "SPACES",
    "Variables",
    "from_w",
    "init_noise",
    "join_features",
    "latent_shape",
    "mapped",
    "merge_noise",
    "search_manifold",
    "search_shape",
    "searched_blocks",
    "searched_noise",
    "solution_shapes",
    "split_features",
    "start",
    "styles",
    "to_w",
]

SPACES: tuple[str, ...] = get_args(LatentSpace)
NOISE_KINDS: tuple[str, ...] = get_args(NoiseKind)
_NORMALIZED = ("normalized", "normalized_first")


def search_shape(space: LatentSpace, num_layers: int, latent_dim: int, num_filters: int = 0) -> tuple[int, int]:
    """The shape of a search variable; each row has a sphere of its own.

    (1, d) in "z" and "w", (L, d) in "w+", (`num_filters`, d) in "w++".

    Raises:
        ValueError: `space` is not one of `SPACES`, or a generator without filters is searched in "w++".
    """
    if space not in SPACES:
        raise ValueError(f"space: expected one of {', '.join(SPACES)}, got {space!r}")
    if space == "w++" and not num_filters:
        raise ValueError("space: expected a StyleGAN in space 'w++', got a generator that tells of no filters")
    return {"z": 1, "w": 1, "w+": num_layers, "w++": num_filters}[space], latent_dim


def to_w(
    space: LatentSpace,
    variable: Float[Array, "rows d"],
    *,
    mapping: Mapping | None = None,
    fit: GaussianFit | None = None,
    num_layers: int,
    num_filters: int = 0,
    coordinates: Coordinates = "whitened",
) -> tuple[Float[Array, "rows d_w"], Float[Array, "layers d_w"]]:
    """Turn a search variable into the mapped rows, which GEOCROSS compares, and w (L, d), a row for every layer.

    In "z" and "w" there is one mapped row, (1, d), and every layer gets it; in "w+" rows and w are the same, as in
    "w++", where there is a row for every filter.

    Args:
        space: Search space: "z" goes through `mapping`, the others through `whitened_to_w` if their `coordinates` are
            whitened.
        variable: What is searched: (1, d), (L, d) in "w+", or (`num_filters`, d) in "w++".
        mapping: Mapping network; needed in "z" only.
        fit: Gaussian fit of w; needed for whitened coordinates only.
        num_layers: L, how many rows the generator takes.
        num_filters: How many filters it has; needed in "w++" only.
        coordinates: What a row is outside "z".

    Raises:
        ValueError: `space` is unknown, `variable` has another shape, or what the space needs is missing.
    """
    expected = search_shape(space, num_layers, variable.shape[-1] if variable.ndim else 1, num_filters)
    if variable.shape != expected:
        raise ValueError(f"variable: expected shape {expected} in space {space!r}, got {variable.shape}")
    if space == "z":
        if mapping is None:
            raise ValueError("mapping: expected a mapping network in space 'z', got None")
        rows = mapping(variable)
    elif coordinates == "plain":
        rows = variable
    else:
        if fit is None:
            raise ValueError(f"fit: expected a Gaussian fit in space {space!r}, got None")
        rows = whitened_to_w(variable, fit)
    return rows, rows if space == "w++" else jnp.broadcast_to(rows, (num_layers, rows.shape[-1]))


def searched_noise(count: int, kind: NoiseKind, *, trainable: int, zeroed: Sequence[int]) -> tuple[int, ...]:
    """Return which of `count` noise inputs a search varies, ascending: of those that are not `zeroed` the first
    `trainable` if their kind is "trainable" or "normalized_first", all if it is "normalized" or "redrawn", and none of
    another kind.
    """
    most = {"trainable": trainable, "normalized_first": trainable, "normalized": count, "redrawn": count}.get(kind, 0)
    return tuple(layer for layer in range(min(count, most)) if layer not in zeroed)


def init_noise(
    key: PRNGKeyArray,
    noise_shapes: Sequence[tuple[int, ...]],
    kind: NoiseKind = "trainable",
    *,
    trainable: int = 5,
    zeroed: Sequence[int] = (17,),
) -> tuple[tuple[Float[Array, "..."], ...], tuple[Float[Array, "..."] | None, ...]]:
    """Draw a generator's noise inputs, split into those a search varies and the rest; `merge_noise` joins them.

    Noise i is N(0, 1) from `fold_in(key, i)`, or zero when `kind` is "zero" or i is in `zeroed`. `searched_noise` says
    which are searched; "normalized" and "normalized_first" make the mean of all 0 and their variance 1 (StyleGAN2,
    appendix D).

    Args:
        key: Random key; layer i does not depend on the other layers or options.
        noise_shapes: Shape (r, r, 1) of every noise input, in order.
        kind: One of `NOISE_KINDS`.
        trainable: How many of the first layers are searched; PULSE: 5.
        zeroed: Indices of layers without noise; PULSE: 17, the last layer at 1024 x 1024. Indices beyond the layers
            that there are mean nothing, so PULSE's default serves every resolution.

    Returns:
        The searched noise, in order, and one entry per layer: its fixed noise, or None where it is searched.

    Raises:
        ValueError: `kind` is not one of `NOISE_KINDS`, or a number is negative.
    """
    if kind not in NOISE_KINDS:
        raise ValueError(f"kind: expected one of {', '.join(NOISE_KINDS)}, got {kind!r}")
    if trainable < 0:
        raise ValueError(f"trainable: expected at least 0 layers, got {trainable}")
    if any(layer < 0 for layer in zeroed):
        raise ValueError(f"zeroed: expected layer indices of at least 0, got {tuple(zeroed)}")
    layers = searched_noise(len(noise_shapes), kind, trainable=trainable, zeroed=zeroed)
    searched, fixed = [], []
    for layer, shape in enumerate(noise_shapes):
        if kind == "zero" or layer in zeroed:
            fixed.append(jnp.zeros(shape, jnp.float32))
            continue
        noise = jax.random.normal(jax.random.fold_in(key, layer), shape, jnp.float32)
        if kind in _NORMALIZED:
            noise = (noise - jnp.mean(noise)) / jnp.std(noise)
        if layer in layers:
            searched.append(noise)
            fixed.append(None)
        else:
            fixed.append(noise)
    return tuple(searched), tuple(fixed)


def merge_noise(
    searched: tuple[Float[Array, "..."], ...], fixed: tuple[Float[Array, "..."] | None, ...]
) -> tuple[Float[Array, "..."], ...]:
    """Join what `init_noise` split: every layer's noise, in order.

    Raises:
        ValueError: `searched` does not fill the gaps of `fixed` exactly.
    """
    gaps = sum(noise is None for noise in fixed)
    if len(searched) != gaps:
        raise ValueError(f"searched: expected {gaps} noise arrays, one per gap in `fixed`, got {len(searched)}")
    remaining = iter(searched)
    return tuple(next(remaining) if noise is None else noise for noise in fixed)


def solution_shapes(
    generator: Generator, config: SearchConfig
) -> tuple[jax.ShapeDtypeStruct, tuple[jax.ShapeDtypeStruct, ...]]:
    """Return the shapes of a solution's latent and noise inputs, to compile a program for that is given some."""
    latent, *noise = (
        jax.ShapeDtypeStruct(shape, np.float32) for shape in (latent_shape(generator, config), *generator.noise_shapes)
    )
    return latent, tuple(noise)


Variables = dict[str, Any]
"""What a search moves: `latent` (rows, d) and `noise`, the tuple of searched noise images (r, r, 1).

Where phases search offsets to blocks, `features` too, the tuple of them (r, r, c), which a solution carries in further
rows of its latent.
"""


def searched_blocks(config: SearchConfig) -> tuple[int, ...]:
    """Return the blocks to whose outputs offsets are searched, ascending."""
    return tuple(sorted({phase.block for phase in config.phases if phase.block is not None}))


def _rows(generator: Generator, config: SearchConfig) -> tuple[int, int]:
    return search_shape(config.space, generator.num_layers, generator.latent_dim, generator.num_filters)


def latent_shape(generator: Generator, config: SearchConfig) -> tuple[int, int]:
    """Return the shape (rows, d) of a solution's latent, the rows that hold offsets to blocks included.

    Raises:
        ValueError: The generator has no such space or block.
    """
    rows, width = _rows(generator, config)
    sizes = (math.prod(generator.block_shape(block)) for block in searched_blocks(config))
    return rows + sum(-(-size // width) for size in sizes), width


def join_features(variables: Variables) -> Float[Array, "*lanes rows d"]:
    """Return the latent with the searched offsets in further rows, each offset filled up with zeros."""
    parts = [variables["latent"]]
    *lanes, _, width = parts[0].shape
    for feature in variables.get("features", ()):
        flat = feature.reshape(*lanes, -1)
        parts.append(jnp.pad(flat, [(0, 0)] * len(lanes) + [(0, -flat.shape[-1] % width)]).reshape(*lanes, -1, width))
    return jnp.concatenate(parts, axis=-2) if len(parts) > 1 else parts[0]


def split_features(
    generator: Generator, config: SearchConfig, latent: Float[Array, "rows d"]
) -> tuple[Float[Array, "rows d"], tuple[Float[Array, "_ _ _"], ...]]:
    """Undo `join_features`: return the latent's own rows, and the offsets."""
    rows, width = _rows(generator, config)
    features = []
    at = rows
    for block in searched_blocks(config):
        shape = generator.block_shape(block)
        size = math.prod(shape)
        taken = -(-size // width)
        features.append(latent[at : at + taken].reshape(-1)[:size].reshape(shape))
        at += taken
    return latent[:rows], tuple(features)


def from_w(generator: Generator, config: SearchConfig, w: Float[Array, "rows d"]) -> Float[Array, "searched d"]:
    """Return the searched latent of a given w, without offsets: where `mapped` leads to it or, of latents that lie on
    a sphere and in fewer rows, near it.

    Args:
        generator: Generator that is searched, with the fit that its coordinates need.
        config: Settings of the search.
        w: One row for all layers (1, d), one for each (L, d), or one for each filter (`num_filters`, d).

    Raises:
        ValueError: The search is in "z", or there are more rows than its space has, or another number.
    """
    if config.space == "z":
        raise ValueError("space: expected a search of w, got 'z', to which no way leads back from w")
    rows, width = _rows(generator, config)
    layers, filters = generator.num_layers, generator.config.filters
    if w.shape not in ((1, width), (layers, width), (rows, width)):
        raise ValueError(f"w: expected shape {(layers, width)}, got {w.shape}")
    if config.space == "w" and len(w) > 1:
        w = jnp.mean(w, axis=0, keepdims=True)
    elif config.space == "w++" and len(w) < rows:
        w = jnp.repeat(jnp.broadcast_to(w, (layers, width)), np.array(filters), axis=0, total_repeat_length=rows)
    latent = jnp.broadcast_to(w, (rows, width))
    if config.coordinates != "plain":
        assert generator.gaussian_fit is not None
        latent = w_to_whitened(latent, generator.gaussian_fit)
    if config.geometry == "sphere" and config.start != "gaussian":
        latent = project(latent, radius=math.sqrt(width))
    return jnp.pad(latent, [(0, latent_shape(generator, config)[0] - rows), (0, 0)])


def styles(
    generator: Generator, config: SearchConfig, variables: Variables
) -> tuple[Float[Array, "rows d"], dict[int, Float[Array, "_ _ _"]]]:
    """Return what `Generator.synthesize` takes of a point beside noise: w (L, d), in "w++" (`num_filters`, d), and
    the searched offsets by their blocks.
    """
    _, w = mapped(generator, config, variables["latent"])
    return w, dict(zip(searched_blocks(config), variables.get("features", ()), strict=True))


def search_manifold(config: SearchConfig, latent_dim: int) -> dict[str, Sphere | Euclidean]:
    """Return a sphere per latent row, a flat space, or one with a border, and a sphere per noise channel.

    A Gaussian start and noise images keep their own norms, other starts lie on the radius √d. Source: PULSE, section
    3.2, and its program.
    """
    manifold: dict[str, Sphere | Euclidean] = {
        "latent": Euclidean(axes=(-1,)),
        "noise": Sphere(axes=(-3, -2), centred=config.noise in _NORMALIZED),
    }
    if config.geometry == "sphere":
        manifold["latent"] = Sphere(radius=None if config.start == "gaussian" else math.sqrt(latent_dim))
    elif config.geometry == "l1_ball":
        manifold["latent"] = NearStart(axes=(-1,), norm=config.latent_radius * math.sqrt(latent_dim))
    if searched_blocks(config):
        radius = config.feature_radius
        manifold["features"] = Euclidean() if radius is None else L1Ball(mean_absolute=radius)
    return manifold


def start(
    generator: Generator,
    config: SearchConfig,
    key: PRNGKeyArray,
    target: Float[Array, "size size 3"],
    first: bool | Array = True,
) -> tuple[Variables, tuple[Float[Array, "_ _ 1"] | None, ...]]:
    """Draw a start: the searched variables, and the fixed noise inputs with None where one is searched.

    `target`, the low-resolution image, is what a surrogate brings its start near to; `first` is whether it is an
    image's first search, which a start at the mean of w is for.
    """
    latent_key, _ = jax.random.split(key)
    shape = _rows(generator, config)
    if config.start == "mean":
        latent = _near_mean(generator, config, latent_key, first)
    elif config.start == "gaussian":
        latent = jax.random.normal(latent_key, shape)
    elif starts_near(config) and generator.surrogate is not None:
        latent = _near_target(generator, latent_key, target)
    else:
        drawn = shape if config.start == "uniform" else (1, shape[1])
        latent = random_uniform(latent_key, drawn, radius=math.sqrt(shape[1]))
    latent = jnp.broadcast_to(latent, shape)
    searched, fixed = start_noise(generator, config, key)
    variables = Variables(latent=latent, noise=searched)
    if blocks := searched_blocks(config):
        variables["features"] = tuple(jnp.zeros(generator.block_shape(block)) for block in blocks)
    return variables, fixed


def start_noise(
    generator: Generator, config: SearchConfig, key: PRNGKeyArray
) -> tuple[tuple[Float[Array, "_ _ 1"], ...], tuple[Float[Array, "_ _ 1"] | None, ...]]:
    """Draw the noise inputs of a start: those that are searched, and all, with None where one is searched.

    Args:
        generator: Generator that takes them.
        config: Settings of the search.
        key: Random key of the start, as for `start`.
    """
    _, noise_key = jax.random.split(key)
    return init_noise(
        noise_key,
        generator.noise_shapes,
        config.noise,
        trainable=config.trainable_noise_layers,
        zeroed=config.zeroed_noise_layers,
    )


def searched_layers(config: SearchConfig, count: int) -> tuple[int, ...]:
    """Return which of `count` noise inputs a search of these settings varies (see `searched_noise`)."""
    return searched_noise(
        count, config.noise, trainable=config.trainable_noise_layers, zeroed=config.zeroed_noise_layers
    )


def _near_target(generator: Generator, key: PRNGKeyArray, target: Array) -> Float[Array, "rows d"]:
    """A random style on the sphere, one for all rows, and where the surrogate leads from there."""
    assert generator.gaussian_fit is not None and generator.surrogate is not None
    width = generator.latent_dim
    style = w_to_whitened(generator.map(jax.random.normal(key, (1, width))), generator.gaussian_fit)
    rows = jnp.broadcast_to(project(style, radius=math.sqrt(width)), (generator.num_layers, width))
    return approach(generator.surrogate, rows, target, generator.resolution)


def _near_mean(generator: Generator, config: SearchConfig, key: PRNGKeyArray, first: bool | Array) -> Array:
    """The mean of w (1, d) in the searched coordinates, or a point on the way from it to a random style."""
    assert generator.w_avg is not None
    z_key, way_key = jax.random.split(key)
    style = generator.map(jax.random.normal(z_key, (1, generator.latent_dim)))
    low, high = config.start_ways
    way = jnp.where(first, 0.0, jax.random.uniform(way_key, (), minval=low, maxval=high))
    w = generator.w_avg + way * (style - generator.w_avg)
    if config.mean_offset:
        assert generator.w_std is not None
        w += config.mean_offset * generator.w_std
    if config.coordinates == "plain":
        return w
    assert generator.gaussian_fit is not None
    return w_to_whitened(w, generator.gaussian_fit)


def mapped(
    generator: Generator, config: SearchConfig, latent: Float[Array, "rows d"]
) -> tuple[Float[Array, "rows d"], Float[Array, "layers d"]]:
    """Return the rows of w that a searched latent stands for, and w as the generator takes it (see `to_w`)."""
    return to_w(
        config.space,
        latent,
        mapping=generator.map,
        fit=generator.gaussian_fit,
        num_layers=generator.num_layers,
        num_filters=generator.num_filters,
        coordinates=config.coordinates,
    )
