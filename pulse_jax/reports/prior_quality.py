"""How Gaussian a prior makes w: norms, likelihood and single coordinates, over samples that nothing was fitted to.

After SRLS, figure 2: the squared norm of a standard Gaussian vector is chi-squared distributed with d degrees of
freedom. Closeness of the norm alone proves little, since two numbers that rescale a poor whitening's come close too:
therefore that is measured beside, and the likelihood, and coordinates.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors import flow as flows
from pulse_jax.generators.priors.gaussian import w_to_whitened
from pulse_jax.generators.priors.moments import SLOPE, draw_latents, measure_moments
from pulse_jax.generators.priors.principal import w_to_principal

__all__ = ["PriorReport", "chi_squared_quantiles", "measure_priors"]

_NORMS = 5_000  # SRLS's
_SAMPLES = 20_000
_GAUSSIAN_SAMPLES = 200_000
_ROWS = 1_000
_LOG_2PI = math.log(2 * math.pi)


@dataclasses.dataclass(frozen=True)
class PriorReport:
    """What was measured.

    Attributes:
        numbers: JSON values by name: of every kind of vector the Wasserstein-1 distance of its squared norms to those
            of a standard Gaussian, moments of its coordinates, and of every prior the mean log likelihood of w.
        vectors: The vectors themselves, (n, d), by the same names: `z`, `w`, and `whitening`, `principal` and `flow`
            as far as the generator has them.
    """

    numbers: dict[str, Any]
    vectors: dict[str, np.ndarray]


def measure_priors(
    generator: Generator, key: PRNGKeyArray, *, on_progress: Callable[[int, int], object] | None = None
) -> PriorReport:
    """Measure the priors that a generator has.

    Args:
        generator: Generator with its priors. If it has classes, its label is fixed, or drawn for every sample.
        key: Key of the samples, none that a prior was fitted with.
        on_progress: Function that is called with how many samples are done, and how many there are.
    """
    mapping, width = generator.latent_sampler()
    sample_key, other_key, fit_key = jax.random.split(key, 3)
    kinds = [name for name in ("whitening", "principal", "flow") if _has(generator, name)]

    @jax.jit
    def vectors_of(generator: Generator, w: Array) -> dict[str, Array]:
        return {name: _vectors(generator, name, w) for name in kinds}

    @jax.jit
    def densities_of(generator: Generator, w: Array) -> dict[str, Array]:
        return {name: _log_prob(generator, name, w) for name in kinds}

    def measured(key: PRNGKeyArray, count: int, done: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        vectors, densities = [], []
        for first in range(0, count, _ROWS):
            z = draw_latents(key, jnp.arange(first, first + _ROWS, dtype=jnp.uint32), width)
            w = mapping(z)
            vectors.append({"z": z[:, : w.shape[1]], "w": w, **vectors_of(generator, w)})
            densities.append(densities_of(generator, w))
            if on_progress is not None:
                on_progress(done + first + _ROWS, _SAMPLES + _NORMS)
        return _joined(vectors), _joined(densities)

    vectors, densities = measured(sample_key, _SAMPLES, 0)
    others, _ = measured(other_key, _NORMS, _SAMPLES)
    d = vectors["w"].shape[1]
    numbers: dict[str, Any] = {"width": d, "samples": _SAMPLES, "samples_of_norms": _NORMS, "vectors": {}}
    for name, x in vectors.items():
        squares = np.square(x[:_NORMS], dtype=np.float64).sum(axis=1)
        numbers["vectors"][name] = {
            "wasserstein_of_squared_norms": _distance(squares, d),
            "wasserstein_of_rescaled_squared_norms": _rescaled_distance(squares, others[name], d),
            **_coordinates(x),
        }
    numbers["log_likelihood"] = {name: float(np.mean(values, dtype=np.float64)) for name, values in densities.items()}
    moments = measure_moments(mapping, fit_key, width, samples=_GAUSSIAN_SAMPLES, full=True)
    numbers["log_likelihood"]["gaussian_of_w"] = _gaussian_likelihood(vectors["w"], moments.mean, moments.scatter)
    return PriorReport(numbers, vectors)


def _has(generator: Generator, name: str) -> bool:
    return getattr(generator, {"whitening": "gaussian_fit"}.get(name, name)) is not None


def _vectors(generator: Generator, name: str, w: Array) -> Array:
    if name == "flow":
        assert generator.flow is not None
        return flows.forward(generator.flow, w)[0]
    if name == "principal":
        assert generator.principal is not None
        return w_to_principal(w, generator.principal)
    assert generator.gaussian_fit is not None
    return w_to_whitened(w, generator.gaussian_fit)


def _log_prob(generator: Generator, name: str, w: Array) -> Array:
    """The log density over w itself, so that the priors can be compared."""
    if name == "flow":
        assert generator.flow is not None
        return flows.log_prob(generator.flow, w)
    fit = generator.principal if name == "principal" else generator.gaussian_fit
    assert fit is not None
    u = _vectors(generator, name, w)
    # Both are Gaussians over lrelu_5(w); undoing the leaky ReLU stretches negative dimensions.
    log_det = -jnp.sum(jnp.log(fit.std)) - jnp.sum(w < 0, axis=-1) * math.log(SLOPE)
    return log_det - 0.5 * (jnp.sum(jnp.square(u), axis=-1) + u.shape[-1] * _LOG_2PI)


def _joined(parts: list[dict[str, Array]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def _gaussian_likelihood(w: np.ndarray, mean: np.ndarray, scatter: np.ndarray) -> float:
    """Mean log likelihood under a Gaussian with a full covariance matrix, of w as it is."""
    covariance = scatter / (_GAUSSIAN_SAMPLES - 1)
    deviation = w - mean
    distance = np.einsum("nd,nd->n", deviation, np.linalg.solve(covariance, deviation.T).T)
    return float(-0.5 * (distance.mean() + len(mean) * _LOG_2PI + np.linalg.slogdet(covariance)[1]))


def chi_squared_quantiles(shares: np.ndarray, d: int) -> np.ndarray:
    """Return quantiles of the chi-squared distribution.

    Args:
        shares: Shares of the distribution that lie below, in (0, 1).
        d: Degrees of freedom, at least 1.
    """
    # Over the root, whose density is bounded; far beyond what float64 tells from 1.
    root = np.linspace(0.0, math.sqrt(d) + 12.0, 200_001)[1:]
    log_density = (d - 1) * np.log(root) - 0.5 * np.square(root) - (d / 2 - 1) * math.log(2) - math.lgamma(d / 2)
    density = np.exp(log_density)
    step = root[1] - root[0]
    below = np.concatenate(
        [[density[0] * step], density[0] * step + np.cumsum(0.5 * step * (density[1:] + density[:-1]))]
    )
    return np.square(np.interp(shares, below / below[-1], root))


def _distance(squares: np.ndarray, d: int) -> float:
    """The Wasserstein-1 distance of samples to the chi-squared distribution, quantile by quantile."""
    shares = (np.arange(len(squares)) + 0.5) / len(squares)
    return float(np.abs(np.sort(squares) - chi_squared_quantiles(shares, d)).mean())


def _rescaled_distance(squares: np.ndarray, others: np.ndarray, d: int) -> float:
    """The same after an affine map with which the squared norms of `others` have the mean d and the variance 2d."""
    known = np.square(others, dtype=np.float64).sum(axis=1)
    return _distance(d + (squares - known.mean()) * (math.sqrt(2 * d) / known.std()), d)


def _coordinates(x: np.ndarray) -> dict[str, float]:
    """How far single and paired coordinates are from independent Gaussians, on average, each standardised first."""
    standard = (x - x.mean(axis=0, dtype=np.float64)) / np.maximum(x.std(axis=0, dtype=np.float64), 1e-30)
    pairs = (standard.T @ standard / len(x))[np.triu_indices(x.shape[1], 1)]
    return {
        "skew": float(np.abs(np.mean(standard**3, axis=0)).mean()),
        "excess_kurtosis": float(np.abs(np.mean(standard**4, axis=0) - 3).mean()),
        "correlation": float(np.abs(pairs).mean()) if pairs.size else 0.0,
    }
