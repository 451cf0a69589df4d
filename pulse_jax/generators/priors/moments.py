"""Random latents through a mapping network, and the mean and scatter of what comes out, however many there are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

__all__ = ["SLOPE", "Mapping", "draw_latents", "measure_moments", "undo_leaky_relu"]

Mapping = Callable[[Float[Array, "*batch d"]], Float[Array, "*batch d_w"]]
"""A mapping network z -> w on the last axis, as `generator.map`."""
SLOPE = 0.2
"""Slope of the leaky ReLU that ends the mapping network."""


class Moments(NamedTuple):
    """Moments of n vectors of width d, in float64.

    Attributes:
        count: Number n of vectors.
        mean: Mean (d,).
        scatter: Sum over the vectors of (x − mean)², (d,), or of (x − mean)(x − mean)ᵀ, (d, d).
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    def spread(self, centre: np.ndarray) -> float:
        """Return sqrt(mean ‖x − centre‖²), which may be around another centre than the mean; not of a full scatter."""
        return np.sqrt(self.scatter.sum() / self.count + np.square(self.mean - centre).sum())


def undo_leaky_relu(w: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return lrelu_5(w): what the mapping network had before its last leaky ReLU."""
    return jax.nn.leaky_relu(w, 1.0 / SLOPE)


def draw_latents(key: PRNGKeyArray, numbers: Integer[Array, " n"], latent_dim: int) -> Float[Array, "n d"]:
    """Draw z ~ N(0, I), (n, latent_dim) float32; sample i depends on `fold_in(key, i)` alone."""
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (latent_dim,), jnp.float32))(numbers)


def measure_moments(
    mapping: Mapping,
    key: PRNGKeyArray,
    latent_dim: int,
    *,
    samples: int,
    batch: int = 8192,
    full: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
) -> Moments:
    """Measure the moments of mapping(z), z ~ N(0, I): samples 0 to `samples` − 1 of `draw_latents`.

    Samples are drawn, mapped and reduced `batch` at a time by one compiled function and never held together; batches
    are joined in float64 (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance"). `batch`
    changes the result only in rounding.

    Args:
        mapping: Function z (n, latent_dim) -> (n, d).
        key: Random key of the samples.
        latent_dim: Width of z.
        samples: Number of samples, at least 2.
        batch: Number of samples at a time.
        full: Whether to measure the scatter of every two dimensions, not only of each one.
        on_progress: Function that is called after every batch with how many samples are done, and `samples`.

    Raises:
        ValueError: A size is out of range, `mapping` does not keep the batch axis, or its outputs are not all finite.
    """
    for name, value, least in (("latent_dim", latent_dim, 1), ("samples", samples, 2), ("batch", batch, 1)):
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")
    batch = min(batch, samples)

    def scatter_of(deviation: Array) -> Array:
        if not full:
            return jnp.sum(jnp.square(deviation), axis=0)
        return jnp.matmul(deviation.T, deviation, precision=jax.lax.Precision.HIGHEST)

    @jax.jit
    def moments(key: PRNGKeyArray, start: Array, count: Array) -> tuple[Array, Array]:
        row = jnp.arange(batch, dtype=jnp.uint32)
        z = draw_latents(key, start + row, latent_dim)
        x = mapping(z)
        if x.ndim != 2 or x.shape[0] != batch:
            raise ValueError(f"mapping: expected outputs of shape ({batch}, d) for z of {z.shape}, got {x.shape}")
        x = x.astype(jnp.float32)
        # The last batch may be longer than what is left: its first `count` rows are.
        valid = row[:, None] < count.astype(jnp.uint32)
        # Two passes, the second correcting the first's rounding.
        mean = jnp.sum(jnp.where(valid, x, 0.0), axis=0) / count
        deviation = jnp.where(valid, x - mean, 0.0)
        shift = jnp.sum(deviation, axis=0) / count
        return mean + shift, scatter_of(deviation) - count * _product(shift, full)

    mean = np.zeros(1)
    scatter = np.zeros(1)
    for start in range(0, samples, batch):
        count = min(batch, samples - start)
        result = moments(key, jnp.asarray(start, jnp.uint32), jnp.asarray(count, jnp.float32))
        batch_mean, batch_scatter = (np.asarray(array, np.float64) for array in result)
        delta = batch_mean - mean
        mean = mean + delta * (count / (start + count))
        scatter = scatter + batch_scatter + _product(delta, full) * (start * count / (start + count))
        if on_progress is not None:
            on_progress(start + count, samples)
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(scatter))):
        raise ValueError("mapping: expected finite outputs, got NaN or infinity")
    return Moments(samples, mean, scatter)


def _product(x: Any, full: bool) -> Any:
    return x[:, None] * x if full else x * x
