"""The priors of w that losses take of a generator, and how to make a missing one."""

from typing import NamedTuple

from jaxtyping import Array

from pulse_jax.generators.networks.lpips import Perceptual
from pulse_jax.generators.priors.flow import Flow
from pulse_jax.generators.priors.principal import PrincipalFit

__all__ = ["MissingPrior", "Priors", "how_to_fit"]


class Priors(NamedTuple):
    """What losses take from outside the search, as far as it is there: see `pulse_jax.generator.Generator`."""

    flow: Flow | None = None
    principal: PrincipalFit | None = None
    w_avg: Array | None = None
    w_std: Array | None = None
    perceptual: Perceptual | None = None


class MissingPrior(ValueError):
    """A search needs something that has not been fitted to the generator's w, or not been given."""


_KINDS = {"flow": "flow", "principal": "pca", "gaussian_fit": "gaussian", "w_avg": "gaussian", "w_std": "gaussian"}


def how_to_fit(name: str) -> str:
    """What to do about a generator that lacks this of its fits."""
    return f"pulse-jax fit-prior GENERATOR --kind {_KINDS[name]} makes it"
