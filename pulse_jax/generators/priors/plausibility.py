"""How usual a picture and its w are among a generator's own samples.

A picture's oddness is what the network that comes with the package says of it (`networks.oddness`); a w's norm is the
root mean square over its rows of ‖F(w)‖, F the generator's flow. Either is compared with that of own samples: the
plausibility is the share of them, in percent, that are odder. So of own samples it is spread evenly over 0 to 100,
whatever the generator and however well the network knows its pictures.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax.generators.priors.flow import Flow, forward

__all__ = ["LEAST_SAMPLES", "QUANTILES", "PlausibilityFit", "fit_distribution", "root_mean_norm", "share_beyond"]

QUANTILES = 201
"""Quantiles that are kept of a distribution, from the least to the largest value."""
LEAST_SAMPLES = 200
"""Samples that a fit takes at least: two lie beyond the 99th percentile."""


class PlausibilityFit(NamedTuple):
    """What a generator's own samples are like: quantiles (q,), evenly from the least to the largest.

    Attributes:
        oddness: Of the oddness of their pictures.
        norms: Of the norms of their w under the flow; None where the generator has no flow.
    """

    oddness: Float[Array, " q"]
    norms: Float[Array, " q"] | None = None


def root_mean_norm(flow: Flow, w: Float[Array, "*n rows d"]) -> Float[Array, "*n"]:
    """Return sqrt(mean over the rows of ‖F(w)‖²)."""
    u, _ = forward(flow, w)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(u), axis=-1), axis=-1))


def share_beyond(quantiles: Float[Array | np.ndarray, " q"], value: float) -> float:
    """Return how many of 100 samples have a larger value, 0 to 100, by their quantiles; 0 for what is not a number."""
    if np.isnan(value):
        return 0.0
    known = np.asarray(quantiles, np.float64)
    return float(100 - np.interp(value, known, np.linspace(0, 100, len(known))))


def fit_distribution(oddness: Float[np.ndarray, " n"], norms: Float[np.ndarray, " n"] | None) -> PlausibilityFit:
    """Return the quantiles of some own samples.

    Args:
        oddness: Oddness of their pictures.
        norms: Norms of their w under the flow, if there is one.

    Raises:
        ValueError: There are fewer than `LEAST_SAMPLES`, or not all numbers are finite.
    """
    if len(oddness) < LEAST_SAMPLES:
        raise ValueError(f"samples: expected at least {LEAST_SAMPLES}, got {len(oddness)}")
    known = oddness if norms is None else np.concatenate([oddness, norms])
    if not np.isfinite(known).all():
        raise ValueError("samples: expected finite pictures and norms, got NaN or infinity")
    return PlausibilityFit(_quantiles(oddness), None if norms is None else _quantiles(norms))


def _quantiles(values: Float[np.ndarray, " n"]) -> Float[Array, " q"]:
    return jnp.asarray(np.quantile(values, np.linspace(0, 1, QUANTILES)), jnp.float32)
