"""One scalar function of the searched variables: generator, search space, degradation, losses and precision joined.

Everything here is for one problem; `jax.vmap` makes lanes of it.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from pulse_jax.config import Numbers, SearchConfig, UpsamplingConfig
from pulse_jax.degradations import bicubic, bicubic_matrix
from pulse_jax.generator import Generator
from pulse_jax.latents import init_noise, merge_noise, search_shape, to_w, w_to_whitened
from pulse_jax.layers import BLOCK
from pulse_jax.loss_terms import parse_loss
from pulse_jax.losses import total_loss
from pulse_jax.manifold import Euclidean, L1Ball, Sphere
from pulse_jax.perceptual import SMALLEST_SIDE
from pulse_jax.regularizers import MissingPrior, check_priors, how_to_fit
from pulse_jax.sphere import random_uniform

__all__ = [
    "Evaluation",
    "Variables",
    "check_fits",
    "decode",
    "degrade",
    "evaluate",
    "join_features",
    "latent_shape",
    "mapped",
    "output_size",
    "quantize",
    "search_manifold",
    "searched_blocks",
    "smallest_target",
    "split_features",
    "start",
]

# SRLS: how far diverse starts lie from the mean of w towards a random style.
_TOWARDS = (0.2, 0.4)

Variables = dict[str, Any]
"""What a search moves: `latent` (rows, d) and `noise`, the tuple of searched noise images (r, r, 1).

Where phases search offsets to blocks, `features` too, the tuple of them (r, r, c), which a solution carries in further
rows of its latent.
"""


class Evaluation(NamedTuple):
    """One look at a point: the loss, the float image's error, and the 8-bit picture it would deliver with its error."""

    loss: Float[Array, ""]
    search_error: Float[Array, ""]
    delivered_error: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]
    picture: UInt8[Array, "h w 3"]


def check_fits(generator: Generator, config: SearchConfig) -> None:
    """See that all has been fitted to the generator's w that the search takes.

    Raises:
        MissingPrior: something has not, and how to make it.
    """
    needed = {
        "gaussian_fit": config.space != "z" and config.coordinates == "whitened",
        "w_avg": config.start == "mean",
        "w_std": config.latent_noise > 0,
    }
    for name, wanted in needed.items():
        if wanted and getattr(generator, name) is None:
            raise MissingPrior(f"the search needs this generator's {name}; {how_to_fit(name)}")
    check_priors([term.name for term in parse_loss(config.loss)], generator.priors)


def searched_blocks(config: SearchConfig) -> tuple[int, ...]:
    """The blocks to whose outputs offsets are searched, ascending."""
    return tuple(sorted({phase.block for phase in config.phases if phase.block is not None}))


def _rows(generator: Generator, config: SearchConfig) -> tuple[int, int]:
    return search_shape(config.space, generator.num_layers, generator.latent_dim, generator.num_filters)


def latent_shape(generator: Generator, config: SearchConfig) -> tuple[int, int]:
    """The shape (rows, d) of a solution's latent, the rows that hold offsets to blocks included.

    Raises:
        ValueError: the generator has no such space or block.
    """
    rows, width = _rows(generator, config)
    sizes = (math.prod(generator.block_shape(block)) for block in searched_blocks(config))
    return rows + sum(-(-size // width) for size in sizes), width


def join_features(variables: Variables) -> Float[Array, "*lanes rows d"]:
    """The latent with the searched offsets in further rows, each offset filled up with zeros."""
    parts = [variables["latent"]]
    *lanes, _, width = parts[0].shape
    for feature in variables.get("features", ()):
        flat = feature.reshape(*lanes, -1)
        parts.append(jnp.pad(flat, [(0, 0)] * len(lanes) + [(0, -flat.shape[-1] % width)]).reshape(*lanes, -1, width))
    return jnp.concatenate(parts, axis=-2) if len(parts) > 1 else parts[0]


def split_features(
    generator: Generator, config: SearchConfig, latent: Float[Array, "rows d"]
) -> tuple[Float[Array, "rows d"], tuple[Float[Array, "_ _ _"], ...]]:
    """The inverse of `join_features`."""
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


def search_manifold(config: SearchConfig, latent_dim: int) -> dict[str, Sphere | Euclidean]:
    """A sphere per latent row, or a flat space, and a sphere per noise channel (PULSE, section 3.2 and its program).

    A Gaussian start and noise images keep their own norms, other starts lie on the radius √d.
    """
    manifold: dict[str, Sphere | Euclidean] = {
        "latent": Euclidean(axes=(-1,)),
        "noise": Sphere(axes=(-3, -2), centred=config.noise == "normalized"),
    }
    if config.geometry == "sphere":
        manifold["latent"] = Sphere(radius=None if config.start == "gaussian" else math.sqrt(latent_dim))
    if searched_blocks(config):
        manifold["features"] = L1Ball(mean_absolute=config.feature_radius)
    return manifold


def start(
    generator: Generator, config: SearchConfig, key: PRNGKeyArray, first: bool | Array = True
) -> tuple[Variables, tuple[Float[Array, "_ _ 1"] | None, ...]]:
    """A random start: the searched variables, and the fixed noise inputs with None where one is searched.

    `first` is whether it is an image's first search, which a start at the mean of w is for.
    """
    latent_key, noise_key = jax.random.split(key)
    shape = _rows(generator, config)
    if config.start == "mean":
        latent = _near_mean(generator, config, latent_key, first)
    elif config.start == "gaussian":
        latent = jax.random.normal(latent_key, shape)
    else:
        drawn = shape if config.start == "uniform" else (1, shape[1])
        latent = random_uniform(latent_key, drawn, radius=math.sqrt(shape[1]))
    latent = jnp.broadcast_to(latent, shape)
    searched, fixed = init_noise(
        noise_key,
        generator.noise_shapes,
        config.noise,
        trainable=config.trainable_noise_layers,
        zeroed=config.zeroed_noise_layers,
    )
    variables = Variables(latent=latent, noise=searched)
    if blocks := searched_blocks(config):
        variables["features"] = tuple(jnp.zeros(generator.block_shape(block)) for block in blocks)
    return variables, fixed


def _near_mean(generator: Generator, config: SearchConfig, key: PRNGKeyArray, first: bool | Array) -> Array:
    """The mean of w (1, d) in the searched coordinates, or a point on the way from it to a random style."""
    assert generator.w_avg is not None
    z_key, way_key = jax.random.split(key)
    style = generator.map(jax.random.normal(z_key, (1, generator.latent_dim)))
    low, high = _TOWARDS
    way = jnp.where(first, 0.0, jax.random.uniform(way_key, (), minval=low, maxval=high))
    w = generator.w_avg + way * (style - generator.w_avg)
    if config.coordinates == "plain":
        return w
    assert generator.gaussian_fit is not None
    return w_to_whitened(w, generator.gaussian_fit)


def output_size(generator: Generator, config: UpsamplingConfig) -> int:
    """The side of the pictures that are delivered.

    Raises:
        ValueError: the configured one is no whole part of the generator's resolution, or too small a part for D.
    """
    resolution = generator.resolution
    size = resolution if config.output_size is None else config.output_size
    try:
        if size != resolution:
            bicubic_matrix(resolution, resolution // size if resolution % size == 0 else 0)
    except ValueError:
        raise ValueError(
            f"output_size: expected {resolution} or a part of it that D can make, {resolution // 2} for instance, "
            f"got {size}"
        ) from None
    if size < smallest_target(config):
        raise ValueError(f"output_size: expected {smallest_target(config)} at least for the loss LPIPS, got {size}")
    return size


def smallest_target(config: UpsamplingConfig) -> int:
    """The smallest side of a low-resolution image that the loss can judge."""
    judged = isinstance(config, SearchConfig) and any(term.name == "LPIPS" for term in parse_loss(config.loss))
    return SMALLEST_SIDE if judged else 1


def mapped(
    generator: Generator, config: SearchConfig, latent: Float[Array, "rows d"]
) -> tuple[Float[Array, "rows d"], Float[Array, "layers d"]]:
    """The rows of w that a searched latent stands for, and w as the generator takes it (see `latents.to_w`)."""
    return to_w(
        config.space,
        latent,
        mapping=generator.map,
        fit=generator.gaussian_fit,
        num_layers=generator.num_layers,
        num_filters=generator.num_filters,
        coordinates=config.coordinates,
    )


def decode(
    generator: Generator,
    config: SearchConfig,
    variables: Variables,
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...],
) -> tuple[Float[Array, "h w 3"], Float[Array, "rows d"]]:
    """The image (H, W, 3) of the configured size, nominally [0, 1], unclipped; and the rows that GEOCROSS compares."""
    latent, features = variables["latent"], variables.get("features")
    if features is None:
        latent, features = split_features(generator, config, latent)
    rows, w = mapped(generator, config, latent)
    noise = merge_noise(variables["noise"], fixed_noise)
    offsets = dict(zip(searched_blocks(config), features, strict=True))

    def synthesize(
        generator: Generator, w: Array, noise: tuple[Array, ...], offsets: dict[int, Array]
    ) -> Float[Array, "h w 3"]:
        return generator.synthesize(w, noise, precision=config.precision, offsets=offsets)

    if config.rematerialize:
        policy = jax.checkpoint_policies.save_only_these_names(BLOCK)
        synthesize = jax.checkpoint(synthesize, policy=policy)  # pyright: ignore[reportPrivateImportUsage]
    image = synthesize(generator, w, noise, offsets)
    factor = generator.resolution // output_size(generator, config)
    return image if factor == 1 else bicubic(image, factor), rows


def quantize(image: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """The image as an 8-bit PNG holds it: clipped to [0, 1] and rounded to multiples of 1/255."""
    return jnp.floor(jnp.clip(image, 0.0, 1.0) * 255.0 + 0.5) / 255.0


def degrade(config: SearchConfig, image: Float[Array, "h w 3"], target_size: int) -> Float[Array, "size size 3"]:
    """D(image), at the size of the low-resolution input."""
    factor = image.shape[-3] // target_size
    return bicubic(image, factor, identity_at_one=not config.blur_at_factor_one)


def evaluate(
    generator: Generator,
    config: SearchConfig,
    target: Float[Array, "size size 3"],
    variables: Variables,
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...],
    numbers: Numbers | None = None,
) -> tuple[Float[Array, ""], Evaluation]:
    """The total loss, differentiable in `variables`, and the whole evaluation beside it (for `has_aux`).

    `numbers` stand for the config's own where given.
    """
    numbers = config.numbers if numbers is None else numbers
    image, rows = decode(generator, config, variables, fixed_noise)
    low = degrade(config, image, target.shape[0])
    loss, terms = total_loss(
        parse_loss(config.loss),
        generated_low_res=low,
        target=target,
        w=rows,
        eps=numbers.eps if config.clamp_loss else 0.0,
        weights=numbers.weights,
        latent=variables["latent"],
        noise=variables["noise"],
        noise_scale=numbers.noise_scale,
        priors=generator.priors,
    )
    levels = quantize(jax.lax.stop_gradient(image))
    delivered = degrade(config, levels, target.shape[0])
    evaluation = Evaluation(
        loss=loss,
        search_error=jnp.mean(jnp.square(low - target)),
        delivered_error=jnp.mean(jnp.square(delivered - target)),
        terms=terms,
        picture=jnp.rint(levels * 255.0).astype(jnp.uint8),
    )
    return loss, jax.lax.stop_gradient(evaluation)
