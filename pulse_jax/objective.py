"""One scalar function of the searched variables: generator, search space, degradation, losses and precision joined.

Everything here is for one problem; `jax.vmap` makes lanes of it.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from pulse_jax.config import SearchConfig
from pulse_jax.degradations import bicubic, bicubic_matrix
from pulse_jax.generator import Generator
from pulse_jax.latents import init_noise, merge_noise, search_shape, to_w
from pulse_jax.loss_terms import parse_loss
from pulse_jax.losses import total_loss
from pulse_jax.manifold import Sphere
from pulse_jax.sphere import random_uniform

__all__ = [
    "Evaluation",
    "Variables",
    "decode",
    "degrade",
    "evaluate",
    "output_size",
    "quantize",
    "search_manifold",
    "start",
]


Variables = dict[str, Any]
"""What a search moves: `latent` (rows, d) and `noise`, the tuple of searched noise images (r, r, 1)."""


class Evaluation(NamedTuple):
    """One look at a point: the loss, the float image's error, and the 8-bit picture it would deliver with its error."""

    loss: Float[Array, ""]
    search_error: Float[Array, ""]
    delivered_error: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]
    picture: UInt8[Array, "h w 3"]


def search_manifold(config: SearchConfig, latent_dim: int) -> dict[str, Sphere]:
    """One sphere per latent row and per noise channel (PULSE, section 3.2 and its program).

    A Gaussian start and noise images keep their own norms, other starts lie on the radius √d.
    """
    radius = None if config.start == "gaussian" else math.sqrt(latent_dim)
    return {"latent": Sphere(radius=radius), "noise": Sphere(axes=(-3, -2))}


def start(
    generator: Generator, config: SearchConfig, key: PRNGKeyArray
) -> tuple[Variables, tuple[Float[Array, "_ _ 1"] | None, ...]]:
    """A random start: the searched variables, and the fixed noise inputs with None where one is searched."""
    latent_key, noise_key = jax.random.split(key)
    shape = search_shape(config.space, generator.num_layers, generator.latent_dim)
    if config.start == "gaussian":
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
    return Variables(latent=latent, noise=searched), fixed


def output_size(generator: Generator, config: SearchConfig) -> int:
    """The side of the pictures that a search delivers.

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
    return size


def decode(
    generator: Generator,
    config: SearchConfig,
    variables: Variables,
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...],
) -> tuple[Float[Array, "h w 3"], Float[Array, "rows d"]]:
    """The image (H, W, 3) of the configured size, nominally [0, 1], unclipped; and the rows that GEOCROSS compares."""
    rows, w = to_w(
        config.space,
        variables["latent"],
        mapping=generator.map,
        fit=generator.gaussian_fit,
        num_layers=generator.num_layers,
    )
    noise = merge_noise(variables["noise"], fixed_noise)
    image = generator.synthesize(w, noise, precision=config.precision)
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
) -> tuple[Float[Array, ""], Evaluation]:
    """The total loss, differentiable in `variables`, and the whole evaluation beside it (for `has_aux`)."""
    image, rows = decode(generator, config, variables, fixed_noise)
    low = degrade(config, image, target.shape[0])
    floor = config.eps if config.clamp_loss else 0.0
    loss, terms = total_loss(parse_loss(config.loss), generated_low_res=low, target=target, w=rows, eps=floor)
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
