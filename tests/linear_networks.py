"""A generator that is linear in what searches move, and the surrogate that is exact for it."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit, w_to_whitened
from pulse_jax.generators.priors.surrogate import Surrogate
from pulse_jax.images.degradations.bicubic import Bicubic

LAYERS, WIDTH, RESOLUTION, FACTOR = 2, 6, 8, 4


def linear_generator() -> Generator:
    """Pictures that are linear in whitened w; a mapping network that is not."""
    fit = GaussianFit(jnp.arange(WIDTH) / WIDTH, 1 + jnp.arange(WIDTH) / WIDTH)
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.standard_normal((3, RESOLUTION, RESOLUTION, LAYERS, WIDTH)) / 20, jnp.float32)

    def picture(params, w, noise):
        return jnp.einsum("chwld,ld->hwc", params, w_to_whitened(w, fit)) + 0.5

    return Generator.from_function(
        picture,
        params,
        resolution=RESOLUTION,
        latent_dim=WIDTH,
        num_layers=LAYERS,
        gaussian_fit=fit,
        mapping=lambda params, z: jnp.tanh(z) * 2 + 1,
    )


def with_exact_surrogate(generator: Generator) -> Generator:
    """The linear generator with D∘G itself as its surrogate, in the metric of C̃ = I: a sum over rows, and a tenth."""
    pictures = np.moveaxis(np.asarray(generator.params, float), 0, 2).reshape(RESOLUTION, RESOLUTION, 3, -1)
    lows = Bicubic(FACTOR).apply_float64(np.moveaxis(pictures, 3, 0)).reshape(LAYERS * WIDTH, -1)
    metric = np.kron(np.ones((LAYERS, LAYERS)) + 0.1 * np.eye(LAYERS), np.eye(WIDTH))
    # Columns that span everything and are orthonormal in the metric.
    basis = np.linalg.inv(np.linalg.cholesky(metric)).T
    count = LAYERS * WIDTH
    surrogate = Surrogate(
        basis=jnp.asarray(basis.reshape(LAYERS, WIDTH, count), jnp.float32),
        metric=jnp.eye(WIDTH),
        weight_1=jnp.ones((count, 1)),
        bias_1=jnp.zeros(1),
        weight_2=jnp.ones((1, 1)),
        bias_2=jnp.zeros(1),
        weight_3=jnp.zeros((1, lows.shape[1])),
        linear=jnp.asarray(np.linalg.solve(basis, lows), jnp.float32),
        bias_3=jnp.full(lows.shape[1], 0.5),
    )
    return dataclasses.replace(generator, surrogate=surrogate)
