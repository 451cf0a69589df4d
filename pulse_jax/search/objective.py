"""One scalar function of the searched variables: generator, search space, degradation, losses and precision joined.

Everything here is for one problem; `jax.vmap` makes lanes of it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.layers import BLOCK
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.rounding import quantize
from pulse_jax.objectives.language import parse_loss
from pulse_jax.objectives.terms import TermInputs, total_loss
from pulse_jax.search.config import Numbers, SearchConfig
from pulse_jax.search.degradation import degradation_of
from pulse_jax.search.requirements import output_size
from pulse_jax.search.space import Variables, mapped, merge_noise, searched_blocks, split_features

__all__ = ["Evaluation", "decode", "degrade", "evaluate", "residual_at"]


class Evaluation(NamedTuple):
    """What a point is worth, found by one look at it: the value and gradient of the loss, and the verdict.

    Attributes:
        loss: Total loss.
        residual: D(image) − target, of the float image.
        search_error: Mean squared residual: the original program's criterion.
        delivered_error: Mean squared error of the 8-bit picture, in float32.
        terms: Each term of the loss without its weight, by name.
        picture: 8-bit picture that would be delivered.
        point: Where the search stands; with noise on the latent, what was looked at lies around it.
        gradient: Ambient gradient of the loss, of the point's structure.
        feasible: Whether the delivered error is within ε, a hair's breadth left for rounding.
        repulsion: What the image's other searches add to the loss (see `repulsion.Repulsion`), which neither `loss` nor
            `gradient` has in it; None of a search by itself.
        products: Products with the residual's Jacobian (see `methods.protocol.Products`), for a method's update only.
    """

    loss: Float[Array, ""]
    residual: Float[Array, "size size 3"]
    search_error: Float[Array, ""]
    delivered_error: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]
    picture: UInt8[Array, "h w 3"]
    point: Any = None
    gradient: Any = None
    feasible: Any = None
    repulsion: Any = None
    products: Any = None


def decode(
    generator: Generator,
    config: SearchConfig,
    variables: Variables,
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...],
) -> tuple[Float[Array, "h w 3"], Float[Array, "rows d"]]:
    """Return the image of these variables, and the rows that GEOCROSS compares.

    Args:
        generator: Generator that is searched.
        config: Settings of the search.
        variables: Point to decode.
        fixed_noise: Noise inputs that are not searched, None where one is.

    Returns:
        The image (H, W, 3) of the configured size, nominally in [0, 1], unclipped; and the rows (rows, d).
    """
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
    return image if factor == 1 else Bicubic(factor).apply(image), rows


def degrade(config: SearchConfig, image: Float[Array, "h w 3"], target_size: int) -> Float[Array, "size size 3"]:
    """Return D(image) in JAX, at the size of the low-resolution input."""
    return degradation_of(config, image.shape[-3], target_size).apply(image)


def residual_at(
    generator: Generator,
    config: SearchConfig,
    target: Float[Array, "size size 3"],
    variables: Variables,
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...],
) -> Float[Array, "size size 3"]:
    """Return D(G(x)) − y, of the float image."""
    image, _ = decode(generator, config, variables, fixed_noise)
    return degrade(config, image, target.shape[0]) - target


def evaluate(
    generator: Generator,
    config: SearchConfig,
    target: Float[Array, "size size 3"],
    variables: Variables,
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...],
    numbers: Numbers | None = None,
) -> tuple[Float[Array, ""], Evaluation]:
    """Return the total loss, differentiable in `variables`, and beside it (for `has_aux`) what the look has found.

    `step` fills in point, gradient and feasibility. `numbers` stand for the config's own where given.
    """
    numbers = config.numbers if numbers is None else numbers
    image, rows = decode(generator, config, variables, fixed_noise)
    low = degrade(config, image, target.shape[0])
    names = [term.name for term in parse_loss(config.loss)]
    inputs = TermInputs(
        generated_low_res=low,
        target=target,
        w=rows,
        latent=variables["latent"],
        noise=variables["noise"],
        eps=numbers["eps"] if config.clamp_loss else 0.0,
        noise_scale=numbers["noise_scale"],
        factor=image.shape[0] / target.shape[0],
        priors=generator.priors,
    )
    loss, terms = total_loss(dict(zip(names, numbers["weights"], strict=True)), inputs)
    picture, rounded = quantize(jax.lax.stop_gradient(image))
    delivered = degrade(config, rounded, target.shape[0])
    evaluation = Evaluation(
        loss=loss,
        residual=low - target,
        search_error=jnp.mean(jnp.square(low - target)),
        delivered_error=jnp.mean(jnp.square(delivered - target)),
        terms=terms,
        picture=picture,
    )
    return loss, jax.lax.stop_gradient(evaluation)
