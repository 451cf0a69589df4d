"""How far latents of solutions lie from where a generator's own samples do: norms of w under its priors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors import flow
from pulse_jax.generators.priors.gaussian import w_to_whitened

__all__ = ["relative_norms"]


def relative_norms(generator: Generator, w: Float[np.ndarray, "n rows d"]) -> dict[str, Float[np.ndarray, " n"]]:
    """Return the norm over √d of each solution's w, made nearly Gaussian; of the generator's own samples it is near 1.

    Args:
        generator: Generator with its priors.
        w: What the generator took of each solution; of several rows, norms are averaged.

    Returns:
        Numbers by the prior that made w Gaussian, of those that the generator has: `norm_flow`, `norm_whitened`.
    """
    return {name: np.asarray(norms, np.float64) for name, norms in _norms(generator, jnp.asarray(w)).items()}


@jax.jit
def _norms(generator: Generator, w: jax.Array) -> dict[str, jax.Array]:
    rows = w.reshape(-1, w.shape[-1])
    found: dict[str, jax.Array] = {}
    if generator.flow is not None:
        found["norm_flow"] = flow.forward(generator.flow, rows)[0]
    if generator.gaussian_fit is not None:
        found["norm_whitened"] = w_to_whitened(rows, generator.gaussian_fit)
    radius = math.sqrt(w.shape[-1])
    return {
        name: jnp.linalg.norm(vectors, axis=-1).reshape(w.shape[:2]).mean(axis=1) / radius
        for name, vectors in found.items()
    }
