"""Principal components of w: the known covariance, there and back, and directions without variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.priors.moments import draw_latents
from pulse_jax.generators.priors.principal import fit_principal, principal_to_w, w_to_principal

MATRIX = np.array([[2.0, 0.0, 0.0], [1.5, 0.3, 0.0], [0.1, -0.2, 0.01]])
MEAN = np.array([0.5, -1.0, 0.0])
SAMPLES = 20_000


def mapping(z):
    """Its outputs are exactly N(MEAN, MATRIX MATRIXᵀ) once their leaky ReLU is undone."""
    x = jnp.matmul(z, jnp.asarray(MATRIX.T, jnp.float32), precision="highest") + jnp.asarray(MEAN, jnp.float32)
    return jnp.where(x >= 0, x, 0.2 * x)


@pytest.fixture(scope="module")
def fit():
    return fit_principal(mapping, jax.random.key(3), 3, samples=SAMPLES, batch=3000)


def test_the_fit_is_that_of_its_samples_in_float64(fit):
    z = np.asarray(draw_latents(jax.random.key(3), jnp.arange(SAMPLES, dtype=jnp.uint32), 3), np.float64)
    x = z @ MATRIX.T + MEAN
    covariance = np.cov(x.T)
    np.testing.assert_allclose(fit.mean, x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.square(fit.std), np.linalg.eigvalsh(covariance)[::-1], rtol=1e-5, atol=1e-6)
    basis = np.asarray(fit.basis, np.float64)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(basis * np.square(fit.std) @ basis.T, covariance, atol=1e-5)
    assert all(array.dtype == jnp.float32 for array in fit)


def test_the_whitened_samples_are_standard(fit):
    v = np.asarray(w_to_principal(mapping(jax.random.normal(jax.random.key(9), (SAMPLES, 3))), fit))
    np.testing.assert_allclose(v.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(np.cov(v.T), np.eye(3), atol=0.05)


def test_there_and_back(fit):
    v = jax.random.normal(jax.random.key(1), (2, 5, 3))
    w = principal_to_w(v, fit)
    assert w.shape == v.shape
    np.testing.assert_allclose(w_to_principal(w, fit), v, atol=1e-3)
    np.testing.assert_allclose(principal_to_w(w_to_principal(w, fit), fit), w, atol=1e-5)
    np.testing.assert_allclose(principal_to_w(jnp.zeros(3), fit), np.where(MEAN > 0, MEAN, 0.2 * MEAN), atol=0.1)


def test_a_direction_without_variance_is_zero_and_finite():
    def flat(z):
        return z[:, :1] * jnp.asarray([1.0, 2.0, 0.0]) + jnp.asarray([50.0, 50.0, 7.0])

    fit = fit_principal(flat, jax.random.key(0), 3, samples=1000)
    np.testing.assert_array_equal(fit.std[1:], 0)
    w = flat(jax.random.normal(jax.random.key(1), (4, 3)))
    v, gradient = jax.value_and_grad(lambda w: w_to_principal(w, fit).sum())(w)
    assert np.isfinite(v) and np.isfinite(gradient).all()
    np.testing.assert_array_equal(w_to_principal(w, fit)[:, 1:], 0)
    np.testing.assert_allclose(principal_to_w(w_to_principal(w, fit), fit), w, rtol=1e-5)
