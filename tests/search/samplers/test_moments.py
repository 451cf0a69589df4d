"""Draws from densities whose moments are known: flat, von Mises–Fisher's and Bingham's, in few dimensions and in many.

Many short chains that begin in the density itself, or where it is easy to forget: their ends are independent, so that a
mean of n has an error of its deviation over √n.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from tests.search.samplers.driver import SPHERES, run

CHAINS = 200
# How many standard errors a mean may be off: with some forty means, once in ten thousand runs; keys are fixed.
ERRORS = 4.5


def uniform(dimension, chains=CHAINS, seed=1):
    x = np.random.default_rng(seed).standard_normal((chains, dimension))
    return jnp.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), jnp.float32)


def along_first(concentration, x):
    """Von Mises and Fisher's: exp(κ x₁)."""
    return -concentration * x[0]


def bingham(eigenvalues, x):
    """Bingham's: exp(Σ λᵢ xᵢ²)."""
    return -jnp.sum(eigenvalues * jnp.square(x))


def of_first(dimension, log_density, power):
    """Mean of t^power of the first coordinate, of density exp(log_density(t)) (1 − t²)^((d − 3)/2), by quadrature."""
    grid = np.linspace(-1, 1, 200_001)[1:-1]
    log = log_density(grid) + (dimension - 3) / 2 * np.log1p(-(grid**2))
    weights = np.exp(log - log.max())
    return np.sum(weights * grid**power) / np.sum(weights)


def close(values, expected):
    values = np.asarray(values, float)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected) < ERRORS * error, (values.mean(), expected, error)


# Angle of a step at the velocity of √d: eight are a quarter of a turn, two quarters would lead to the other pole.
ANGLE = np.pi / 2 / 8


def drawn_along(dimension, log_density, seed=2):
    """Exact draws (chains, d) of a density that depends on the first coordinate alone, by inversion on a grid."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-1, 1, 200_001)[1:-1]
    log = log_density(grid) + (dimension - 3) / 2 * np.log1p(-(grid**2))
    first = np.interp(rng.random(CHAINS), np.cumsum(np.exp(log - log.max())) / np.sum(np.exp(log - log.max())), grid)
    side = rng.standard_normal((CHAINS, dimension - 1))
    side *= (np.sqrt(1 - first**2) / np.linalg.norm(side, axis=1))[:, None]
    return jnp.asarray(np.concatenate([first[:, None], side], axis=1), jnp.float32)


def moved(name, loss, starts, transitions=12, **settings):
    """Ends of chains that have moved on."""
    looks = transitions * {"geodesic_hmc": 8, "riemannian_langevin": 1}.get(name, 16) + 1
    angle = 0.6 if name == "riemannian_langevin" else ANGLE
    step = angle / np.sqrt(starts.shape[1])
    ends = np.asarray(run(name, loss, starts, transitions, looks, step=step, **settings), float)
    ends = ends[np.isfinite(ends[:, 0])]
    assert len(ends) > 0.97 * len(starts)
    return ends


@pytest.mark.parametrize("name", SPHERES)
@pytest.mark.parametrize("dimension", [3, 16, 512])
def test_where_the_likelihood_is_flat_draws_are_uniform(name, dimension):
    """One pole is the start of all chains; it is forgotten."""
    starts = jnp.tile(uniform(dimension, 1), (CHAINS, 1))
    transitions = 60 if name == "riemannian_langevin" else 8
    ends = moved(name, lambda x: 0.0 * x[0], starts, transitions)
    np.testing.assert_allclose(np.linalg.norm(ends, axis=1), 1, rtol=1e-5)
    along = ends @ np.asarray(starts[0])
    close(along, 0)
    close(along**2, 1 / dimension)
    close(along**4, 3 / dimension / (dimension + 2))


@pytest.mark.parametrize("name", SPHERES)
@pytest.mark.parametrize(("dimension", "concentration"), [(3, 2.0), (16, 10.0), (512, 300.0)])
def test_von_mises_and_fisher(name, dimension, concentration):
    """Mean of x₁: the ratio of Bessel functions I_{d/2}(κ) / I_{d/2−1}(κ) (Mardia and Jupp 2000, section 9.3.2)."""
    expected = scipy.special.ive(dimension / 2, concentration) / scipy.special.ive(dimension / 2 - 1, concentration)
    assert expected == pytest.approx(of_first(dimension, lambda t: concentration * t, 1), rel=2e-5)
    starts = drawn_along(dimension, lambda t: concentration * t)
    first = moved(name, along_first, starts, data=jnp.float32(concentration))[:, 0]
    close(first, expected)
    close(first**2, of_first(dimension, lambda t: concentration * t, 2))


@pytest.mark.parametrize("name", SPHERES)
@pytest.mark.parametrize(("dimension", "concentration"), [(3, 3.0), (16, -20.0), (512, 250.0)])
def test_bingham(name, dimension, concentration):
    """Moments of exp(κ x₁²), Watson's density, by quadrature; it is symmetric."""
    starts = drawn_along(dimension, lambda t: concentration * t**2)
    eigenvalues = jnp.zeros(dimension).at[0].set(concentration)
    first = moved(name, bingham, starts, data=eigenvalues)[:, 0]
    close(first, 0)
    close(first**2, of_first(dimension, lambda t: concentration * t**2, 2))
    close(first**4, of_first(dimension, lambda t: concentration * t**2, 4))


@pytest.mark.parametrize("name", SPHERES)
def test_chains_find_a_density_from_anywhere(name):
    """Of a von Mises–Fisher density in three dimensions, from its opposite pole."""
    starts = jnp.tile(jnp.asarray([-1.0, 0.0, 0.0]), (CHAINS, 1))
    ends = moved(name, along_first, starts, 100 if name == "riemannian_langevin" else 15, data=jnp.float32(4.0))
    close(ends[:, 0], 1 / np.tanh(4.0) - 1 / 4.0)
    close(ends[:, 1], 0)


def test_bingham_of_three_eigenvalues():
    """Second moments on the sphere in three dimensions, by quadrature over both angles."""
    eigenvalues = np.array([2.0, -1.0, 0.5])

    def density(polar, azimuth, power=None):
        x = np.array([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)])
        return np.exp(eigenvalues @ x**2) * np.sin(polar) * (1.0 if power is None else x[power] ** 2)

    total, *seconds = (
        scipy.integrate.dblquad(functools.partial(density, power=power), 0, 2 * np.pi, 0, np.pi)[0]
        for power in (None, 0, 1, 2)
    )
    for name in SPHERES:
        ends = moved(
            name,
            bingham,
            uniform(3),
            100 if name == "riemannian_langevin" else 15,
            data=jnp.asarray(eigenvalues, jnp.float32),
        )
        for axis, second in enumerate(seconds):
            close(ends[:, axis] ** 2, second / total)


def test_elliptical_slices_under_a_linear_likelihood():
    """N(0, I) and one linear observation of noise σ: the posterior is Gaussian (Murray, Adams and MacKay 2010)."""
    design = jnp.asarray([1.0, 2.0, 0.0, -1.0])

    def loss(x):
        return jnp.square(design @ x - 3.0) / 2 / 0.5**2

    ends = moved("elliptical_slice", loss, uniform(4), 40)
    covariance = np.linalg.inv(np.eye(4) + np.outer(design, design) / 0.5**2)
    mean = covariance @ np.asarray(design) * 3.0 / 0.5**2
    for axis in range(4):
        close(ends[:, axis], mean[axis])
        close((ends[:, axis] - mean[axis]) ** 2, covariance[axis, axis])
