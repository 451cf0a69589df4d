"""What `fit-prior` measures: chi-squared quantiles from tables, likelihoods and distances of known distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.generators.priors.principal import PrincipalFit
from pulse_jax.reports import prior_plots, prior_quality

WIDTH = 4
COVARIANCE = np.array([[1.0, 0.8, 0, 0], [0.8, 1.0, 0, 0], [0, 0, 4.0, 0], [0, 0, 0, 0.25]])


def _mapping(params, z):
    x = jnp.matmul(z, params, precision="highest")
    return jnp.where(x >= 0, x, 0.2 * x)


@pytest.fixture(scope="module")
def report():
    variances, basis = np.linalg.eigh(COVARIANCE)
    generator = Generator.from_function(
        lambda params, w, noise: jnp.zeros((2, 2, 3)),
        jnp.asarray(np.linalg.cholesky(COVARIANCE).T, jnp.float32),
        resolution=2,
        latent_dim=WIDTH,
        mapping=_mapping,
        gaussian_fit=GaussianFit(jnp.zeros(WIDTH), jnp.asarray(np.sqrt(np.diag(COVARIANCE)), jnp.float32)),
    )
    arrays = (np.zeros(WIDTH), basis, np.sqrt(variances))
    principal = PrincipalFit(*(jnp.asarray(array, jnp.float32) for array in arrays))
    generator = jax.tree.unflatten(jax.tree.structure(generator), jax.tree.leaves(generator))
    object.__setattr__(generator, "principal", principal)
    return prior_quality.measure_priors(generator, jax.random.key(1))


@pytest.mark.parametrize(
    ("d", "share", "quantile"),
    [(1, 0.95, 3.841459), (2, 0.5, 1.386294), (2, 0.95, 5.991465), (10, 0.99, 23.209251), (100, 0.05, 77.929465)],
)
def test_quantiles_are_those_of_the_tables(d, share, quantile):
    np.testing.assert_allclose(prior_quality.chi_squared_quantiles(np.array([share]), d), quantile, rtol=2e-5)


def test_the_mean_of_wide_quantiles_is_the_width():
    shares = (np.arange(100_000) + 0.5) / 100_000
    np.testing.assert_allclose(prior_quality.chi_squared_quantiles(shares, 512).mean(), 512, rtol=1e-5)


def test_likelihoods_are_those_of_the_known_density(report):
    likelihoods = report.numbers["log_likelihood"]
    # Half of all dimensions are negative, and stretched by 5 when their leaky ReLU is undone.
    stretch = 2 * np.log(5)
    entropy = 0.5 * (WIDTH * (1 + np.log(2 * np.pi)) + np.linalg.slogdet(COVARIANCE)[1])
    independent = 0.5 * (WIDTH * (1 + np.log(2 * np.pi)) + np.log(np.diag(COVARIANCE)).sum())
    assert abs(likelihoods["principal"] - (stretch - entropy)) < 0.06
    assert abs(likelihoods["whitening"] - (stretch - independent)) < 0.06
    assert likelihoods["gaussian_of_w"] < likelihoods["principal"]


def test_distances_tell_a_gaussian_from_others(report):
    vectors = report.numbers["vectors"]
    assert vectors["z"]["wasserstein_of_squared_norms"] < 0.2
    assert vectors["principal"]["wasserstein_of_squared_norms"] < 0.2
    assert vectors["whitening"]["wasserstein_of_squared_norms"] > 0.25
    assert vectors["w"]["wasserstein_of_squared_norms"] > 1
    assert vectors["whitening"]["correlation"] == pytest.approx(0.8 / 6, abs=0.02)
    assert vectors["principal"]["correlation"] < 0.02
    assert vectors["w"]["skew"] > 0.5 and vectors["principal"]["skew"] < 0.1


def test_a_shifted_norm_is_as_far_as_the_shift():
    shares = (np.arange(5000) + 0.5) / 5000
    exact = prior_quality.chi_squared_quantiles(shares, 9)
    assert prior_quality._distance(np.random.default_rng(0).permutation(exact), 9) < 1e-9
    assert prior_quality._distance(exact + 3, 9) == pytest.approx(3)


def test_the_pictures_show_every_kind(report):
    for picture in (prior_plots.draw_norms(report), prior_plots.draw_coordinates(report)):
        assert picture.dtype == np.uint8 and picture.shape[2] == 3
        for name in ("whitening", "principal"):
            difference = np.abs(picture.astype(int) - prior_plots.COLOURS[name]).max(axis=2)
            assert (difference < 40).sum() > 100
