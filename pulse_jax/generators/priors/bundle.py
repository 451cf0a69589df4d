"""What losses take of a generator beside its networks, and how to get what is missing."""

from typing import NamedTuple

from jaxtyping import Array

from pulse_jax.generators.networks.lpips import Perceptual
from pulse_jax.generators.priors.flow import Flow
from pulse_jax.generators.priors.principal import PrincipalFit

__all__ = ["MissingPrior", "Priors", "what_is_missing"]


class Priors(NamedTuple):
    """What losses take from outside the search, as far as it is there.

    Attributes:
        flow: Flow fitted to w.
        principal: Whitening of w with its full covariance.
        w_avg: Mean of w (d,).
        w_std: Standard deviation of w, a number, as `Generator.w_std`.
        perceptual: Network of the loss LPIPS.
    """

    flow: Flow | None = None
    principal: PrincipalFit | None = None
    w_avg: Array | None = None
    w_std: Array | None = None
    perceptual: Perceptual | None = None


class MissingPrior(ValueError):
    """A search needs something that has not been fitted to the generator's w, or not been given."""


def _fitted(name: str, kind: str) -> str:
    return f"this generator's {name}; pulse-jax fit-prior GENERATOR --kind {kind} makes it"


_MISSING = {
    "mapping": (
        "the mapping network, without which this generator came: only searches of w can be made, with pulse for "
        "instance; convert it again with that network's file beside (PULSE's mapping.pt)"
    ),
    "flow": _fitted("flow", "flow"),
    "principal": _fitted("principal", "pca"),
    "gaussian_fit": _fitted("gaussian_fit", "gaussian"),
    "w_avg": _fitted("w_avg", "gaussian"),
    "w_std": _fitted("w_std", "gaussian"),
    "surrogate": "this generator's surrogate; pulse-jax fit-start GENERATOR makes it",
    "plausibility": (
        "to know what this generator's samples are like; pulse-jax fit-prior GENERATOR --kind plausibility finds out"
    ),
    "perceptual": (
        "a VGG16 with the heads of LPIPS, which do not come with this package; give --perceptual FILE, or "
        "Generator.perceptual in Python"
    ),
}


def what_is_missing(name: str, has_mapping: bool = True) -> str:
    """Return, for messages, what a generator without a fit or network of this name lacks, and how to get it.

    Args:
        name: Name of the fit or network.
        has_mapping: Whether the generator has a mapping network, without which nothing can be fitted.
    """
    return _MISSING[name if has_mapping or name == "perceptual" else "mapping"]
