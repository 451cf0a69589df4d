"""PULSE's whitening: a Gaussian fitted to the mapping network's outputs once their last leaky ReLU is undone.

Source: PULSE (Menon et al. 2020), section 3.2, and its program.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.generators.priors.moments import SLOPE, Mapping, measure_moments, undo_leaky_relu

__all__ = ["GaussianFit", "fit_gaussian", "w_to_whitened", "whitened_to_w"]


class GaussianFit(NamedTuple):
    """Mean and standard deviation (d,) of w before its last leaky ReLU, each dimension on its own."""

    mean: Float[Array, " d"]
    std: Float[Array, " d"]


def fit_gaussian(
    mapping: Mapping,
    key: PRNGKeyArray,
    latent_dim: int,
    *,
    samples: int = 1_000_000,
    batch: int = 8192,
    on_progress: Callable[[int, int], object] | None = None,
) -> GaussianFit:
    """Fit a Gaussian to lrelu_5(mapping(z)), z ~ N(0, I): mean and unbiased standard deviation per dimension, float32.

    Samples are drawn, mapped and reduced `batch` at a time by one compiled function and never held together; batches
    are joined in float64 (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance"). Sample i is
    drawn from `fold_in(key, i)`, so `batch` changes the result only in rounding.

    Args:
        mapping: Mapping network, z (n, latent_dim) -> w (n, d).
        key: Random key of the samples.
        latent_dim: Width of z.
        samples: Number of samples, at least 2; PULSE takes a million.
        batch: Number of samples at a time.
        on_progress: Function that is called after every batch with how many samples are done, and `samples`.

    Raises:
        ValueError: A size is out of range, `mapping` does not keep the batch axis, or its outputs are not all finite.
    """
    moments = measure_moments(
        lambda z: undo_leaky_relu(mapping(z)), key, latent_dim, samples=samples, batch=batch, on_progress=on_progress
    )
    std = np.sqrt(np.maximum(moments.scatter, 0.0) / (samples - 1))
    return GaussianFit(jnp.asarray(moments.mean, jnp.float32), jnp.asarray(std, jnp.float32))


def whitened_to_w(u: Float[Array, "*batch d"], fit: GaussianFit) -> Float[Array, "*batch d"]:
    """Return w = lrelu_0.2(u * std + mean) of a whitened latent u (..., d), nominally standard Gaussian."""
    return jax.nn.leaky_relu(u * fit.std + fit.mean, SLOPE)


def w_to_whitened(w: Float[Array, "*batch d"], fit: GaussianFit) -> Float[Array, "*batch d"]:
    """Return the inverse of `whitened_to_w`; it is not finite in a dimension whose standard deviation is 0."""
    return (undo_leaky_relu(w) - fit.mean) / fit.std
