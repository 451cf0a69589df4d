"""The table of loss terms, what each of them needs, and their sum."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.generators.networks.lpips import lpips
from pulse_jax.generators.priors.bundle import MissingPrior, Priors, how_to_fit
from pulse_jax.generators.priors.flow import forward
from pulse_jax.objectives import regularizers
from pulse_jax.objectives.language import LossTerm
from pulse_jax.objectives.losses import gaussian, l1, l2, laplace, mae, multiscale
from pulse_jax.objectives.regularizers import geocross

__all__ = ["check_priors", "total_loss"]

_NEEDED = {
    "FLOW": ("flow",),
    "NORM": ("flow",),
    "WPRIOR": ("w_avg", "w_std"),
    "PRINCIPAL": ("principal",),
    "LPIPS": ("perceptual",),
}


def check_priors(names: Sequence[str], priors: Priors) -> None:
    """See that all is there that the losses of these `names` take.

    Raises:
        MissingPrior: something is not, and how to get it.
    """
    for name in names:
        for field in _NEEDED.get(name, ()):
            if getattr(priors, field) is not None:
                continue
            if field == "perceptual":
                raise MissingPrior(
                    f"the loss {name} needs a VGG16 with the heads of LPIPS, which do not come with this package; "
                    "give --perceptual FILE, or Generator.perceptual in Python"
                )
            raise MissingPrior(f"the loss {name} needs this generator's {field}; {how_to_fit(field)}")


def total_loss(
    terms: Sequence[LossTerm],
    *,
    generated_low_res: Float[Array, "h w c"],
    target: Float[Array, "h w c"],
    w: Float[Array, "rows d"],
    eps: float | Float[Array, ""],
    weights: Sequence[float | Float[Array, ""]] | None = None,
    latent: Float[Array, "rows d"] | None = None,
    noise: Sequence[Float[Array, "_ _ 1"]] = (),
    noise_scale: float | Float[Array, ""] = 1.0,
    priors: Priors | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The weighted sum of `terms` (of `parse_loss`) and each term's value without its weight, by name.

    Args:
        terms: at least one term.
        generated_low_res: the downscaled generated image (h, w, C).
        target: the low-resolution image (h, w, C) that was given.
        w: the rows (L, d) that are compared and judged; one row (1, d) when all layers share it.
        eps: where L2 (a mean squared error) and L1 (a mean absolute error) stop falling.
        weights: instead of the terms' own.
        latent: what is searched; needed for LATENT only.
        noise: the searched noise images, for NOISE.
        noise_scale: of LAPLACE and GAUSSIAN.
        priors: for FLOW, NORM, WPRIOR, PRINCIPAL and LPIPS.

    Raises:
        MissingPrior: a term needs what `priors` lacks.
        ValueError: no terms, or shapes that do not fit, for LPIPS those with a side below 16 too.
    """
    if not terms:
        raise ValueError("terms: expected at least one loss term, got none")
    images = generated_low_res, target
    known: Any = Priors() if priors is None else priors
    check_priors([term.name for term in terms], known)
    searched: Any = latent
    # Once for both losses: XLA would run a loop over the flow's blocks for each.
    through_flow = functools.cache(lambda: forward(known.flow, w))
    losses: dict[str, Callable[[], Array]] = {
        "L2": lambda: l2(*images, eps),
        "L1": lambda: l1(*images, eps),
        "MAE": lambda: mae(*images),
        "LAPLACE": lambda: laplace(*images, noise_scale),
        "GAUSSIAN": lambda: gaussian(*images, noise_scale),
        "MULTISCALE": lambda: multiscale(*images),
        "LPIPS": lambda: lpips(known.perceptual, *images),
        "GEOCROSS": lambda: geocross(w),
        "FLOW": lambda: regularizers.flow_prior(*through_flow()),
        "NORM": lambda: regularizers.flow_norm(through_flow()[0]),
        "CROSS": lambda: regularizers.cross(w),
        "CROSS_SQUARED": lambda: regularizers.cross_squared(w),
        "WPRIOR": lambda: regularizers.w_prior(w, known.w_avg, known.w_std),
        "COLINEAR": lambda: regularizers.colinear(w),
        "PRINCIPAL": lambda: regularizers.principal_prior(w, known.principal),
        "LATENT": lambda: regularizers.squared_norm(searched),
        "NOISE": lambda: regularizers.noise_correlation(noise),
    }
    values = {term.name: losses[term.name]() for term in terms}
    factors = [term.weight for term in terms] if weights is None else weights
    total = jnp.sum(jnp.stack([weight * values[term.name] for weight, term in zip(factors, terms, strict=True)]))
    return total, values
