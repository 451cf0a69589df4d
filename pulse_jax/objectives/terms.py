"""The table of loss terms, what each of them needs, and their weighted sum.

A new term is a function of `losses` or `regularizers` (or a file of its own) and a row of `TERMS`: from then on the
loss language knows its name, searches refuse generators that lack what it needs, and inputs that are too small for it.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.generators.networks.lpips import SMALLEST_SIDE, lpips, vgg_error
from pulse_jax.generators.priors.bundle import MissingPrior, Priors, what_is_missing
from pulse_jax.generators.priors.flow import forward
from pulse_jax.objectives import losses, regularizers

__all__ = ["TERMS", "Term", "TermInputs", "check_priors", "total_loss"]

_NOTHING_KNOWN = Priors()


@dataclass(frozen=True, kw_only=True, eq=False)
class TermInputs:
    """Everything that a term may look at, of one image.

    Attributes:
        generated_low_res: Downscaled generated image (h, w, C), nominally in [0, 1].
        target: Low-resolution image (h, w, C) that was given.
        w: Rows (L, d) that are compared and judged; one row (1, d) where all layers share it.
        latent: Rows that are searched, in the coordinates of the search.
        noise: Noise images that are searched.
        eps: Value at which L2 (a mean squared error) and L1 (a mean absolute error) stop falling.
        noise_scale: Scale of the noise in the likelihoods LAPLACE and GAUSSIAN.
        factor: By how many times the generated image's sides were longer before it was downscaled.
        priors: What is known of w and the perceptual network, a `Priors`. It holds what a term's row says it needs.
    """

    generated_low_res: Float[Array, "h w c"]
    target: Float[Array, "h w c"]
    w: Float[Array, "rows d"]
    latent: Float[Array, "searched width"]
    noise: tuple[Float[Array, "_ _ 1"], ...] = ()
    eps: float | Float[Array, ""] = 0.0
    noise_scale: float | Float[Array, ""] = 1.0
    factor: float = 1.0
    # Not annotated as a `Priors`: a row reads what `check_priors` has found there, where types would say "or None".
    priors: Any = _NOTHING_KNOWN

    @property
    def images(self) -> tuple[Array, Array]:
        """The generated image and the target, as the losses of the image take them."""
        return self.generated_low_res, self.target

    @functools.cached_property
    def through_flow(self) -> tuple[Float[Array, "rows d"], Float[Array, " rows"]]:
        """What `flow.forward` makes of w: u and log |det du/dw|.

        One pass serves all terms, for XLA would run a loop over the flow's blocks for each of them.
        """
        return forward(self.priors.flow, self.w)


@dataclass(frozen=True)
class Term:
    """A row of `TERMS`.

    Attributes:
        value: Function from the inputs to the term's value, a scalar.
        needs: Names of the fields of `Priors` without which there is no value.
        smallest_side: Least side of the low-resolution images that the term can judge, in pixels.
    """

    value: Callable[[TermInputs], Float[Array, ""]]
    needs: tuple[str, ...] = ()
    smallest_side: int = 1


TERMS: dict[str, Term] = {
    "L2": Term(lambda x: losses.l2(*x.images, x.eps)),
    "L1": Term(lambda x: losses.l1(*x.images, x.eps)),
    "MAE": Term(lambda x: losses.mae(*x.images)),
    "LAPLACE": Term(lambda x: losses.laplace(*x.images, x.noise_scale)),
    "GAUSSIAN": Term(lambda x: losses.gaussian(*x.images, x.noise_scale)),
    "SQUARES": Term(lambda x: losses.squares(*x.images, x.factor)),
    "COARSE_MAE": Term(lambda x: losses.coarse_mae(*x.images)),
    "LPIPS": Term(lambda x: lpips(x.priors.perceptual, *x.images), needs=("perceptual",), smallest_side=SMALLEST_SIDE),
    "MULTISCALE_LPIPS": Term(lambda x: losses.multiscale_lpips(x.priors.perceptual, *x.images), needs=("perceptual",)),
    "VGG": Term(lambda x: vgg_error(x.priors.perceptual, *x.images), needs=("perceptual",)),
    "GEOCROSS": Term(lambda x: regularizers.geocross(x.w)),
    "GEOCROSS_LATENT": Term(lambda x: regularizers.geocross(x.latent)),
    "FLOW": Term(lambda x: regularizers.flow_prior(*x.through_flow), needs=("flow",)),
    "NORM": Term(lambda x: regularizers.flow_norm(x.through_flow[0]), needs=("flow",)),
    "MEAN_NORM": Term(lambda x: regularizers.mean_norm(x.through_flow[0]), needs=("flow",)),
    "CROSS": Term(lambda x: regularizers.cross(x.w)),
    "CROSS_SQUARED": Term(lambda x: regularizers.cross_squared(x.w)),
    "WPRIOR": Term(lambda x: regularizers.w_prior(x.w, x.priors.w_avg, x.priors.w_std), needs=("w_avg", "w_std")),
    "COLINEAR": Term(lambda x: regularizers.colinear(x.w)),
    "COLINEAR_SUM": Term(lambda x: regularizers.colinear_sum(x.w)),
    "PRINCIPAL": Term(lambda x: regularizers.principal_prior(x.w, x.priors.principal), needs=("principal",)),
    "PRINCIPAL_MEAN": Term(lambda x: regularizers.principal_mean(x.w, x.priors.principal), needs=("principal",)),
    "LATENT": Term(lambda x: regularizers.squared_norm(x.latent)),
    "NOISE": Term(lambda x: regularizers.noise_correlation(x.noise)),
}
"""Every term that a loss may name: those of the image first, then those of latent and noise."""


def check_priors(names: Iterable[str], priors: Priors, *, has_mapping: bool = True) -> None:
    """See that all is there that the terms of these `names` need.

    Raises:
        MissingPrior: Something is not; the message says how to get it.
    """
    for name in names:
        for field in TERMS[name].needs:
            if getattr(priors, field) is None:
                raise MissingPrior(f"the loss {name} needs {what_is_missing(field, has_mapping)}")


def total_loss(
    weights: Mapping[str, float | Float[Array, ""]], inputs: TermInputs
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Return the weighted sum of terms, and each term's value without its weight, by name.

    Args:
        weights: Factor of every term by the term's name, at least one; they are added up in this order.
        inputs: What the terms look at.

    Raises:
        MissingPrior: A term needs what `inputs.priors` lacks.
        ValueError: There are no terms, or shapes do not fit, for LPIPS those with a side below 16 too.
    """
    if not weights:
        raise ValueError("terms: expected at least one loss term, got none")
    check_priors(weights, inputs.priors)
    values = {name: TERMS[name].value(inputs) for name in weights}
    return jnp.sum(jnp.stack([weight * values[name] for name, weight in weights.items()])), values
