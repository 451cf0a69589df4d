"""Principal components: the full-covariance whitening of w before its last leaky ReLU.

Source: the space P_N of Zhu et al. 2020, "Improved StyleGAN Embedding: Where are the Good Latents?" (II2S).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.generators.priors.moments import SLOPE, Mapping, measure_moments, undo_leaky_relu

__all__ = ["LEAST_VARIANCE", "PrincipalFit", "fit_principal", "principal_to_w", "w_to_principal"]

LEAST_VARIANCE = 1e-7
"""Directions with less than this share of the largest variance may be no more than float32's rounding."""


class PrincipalFit(NamedTuple):
    """A Gaussian with a full covariance matrix, of lrelu_5(w).

    Attributes:
        mean: Mean (d,).
        basis: Unit eigenvectors of the covariance matrix as columns, (d, d), the largest variance first.
        std: Standard deviation along each of them, (d,); 0 where there is no more than rounding.
    """

    mean: Float[Array, " d"]
    basis: Float[Array, "d d"]
    std: Float[Array, " d"]


def fit_principal(
    mapping: Mapping,
    key: PRNGKeyArray,
    latent_dim: int,
    *,
    samples: int = 1_000_000,
    batch: int = 8192,
    on_progress: Callable[[int, int], object] | None = None,
) -> PrincipalFit:
    """Fit a Gaussian with a full covariance matrix to lrelu_5(mapping(z)), z ~ N(0, I); float32.

    Arguments, samples and errors are those of `moments.measure_moments`; II2S takes a million samples.
    """
    _, mean, scatter = measure_moments(
        lambda z: undo_leaky_relu(mapping(z)),
        key,
        latent_dim,
        samples=samples,
        batch=batch,
        full=True,
        on_progress=on_progress,
    )
    variances, basis = np.linalg.eigh(scatter / (samples - 1))
    variances, basis = variances[::-1], basis[:, ::-1]
    variances = np.where(variances > LEAST_VARIANCE * variances[0], variances, 0.0)
    # An eigenvector's sign is arbitrary, and differs between libraries: the largest entry is positive.
    signs = np.sign(basis[np.argmax(np.abs(basis), axis=0), np.arange(len(mean))])
    return PrincipalFit(*(jnp.asarray(array, jnp.float32) for array in (mean, basis * signs, np.sqrt(variances))))


def principal_to_w(v: Float[Array, "*batch d"], fit: PrincipalFit) -> Float[Array, "*batch d"]:
    """Return w = lrelu_0.2((v · std) basisᵀ + mean) of v (…, d), nominally standard Gaussian."""
    return jax.nn.leaky_relu(_product(v * fit.std, fit.basis.T) + fit.mean, SLOPE)


def w_to_principal(w: Float[Array, "*batch d"], fit: PrincipalFit) -> Float[Array, "*batch d"]:
    """Return v (…, d), the inverse of `principal_to_w`. Along a direction whose `std` is 0, v is 0 whatever w is."""
    along = _product(undo_leaky_relu(w) - fit.mean, fit.basis)
    return jnp.where(fit.std > 0, along / jnp.where(fit.std > 0, fit.std, 1.0), 0.0)


def _product(x: Array, matrix: Array) -> Array:
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)
