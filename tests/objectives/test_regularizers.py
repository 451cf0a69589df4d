"""What is asked of latents and noise: values by hand, gradients against finite differences in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from pulse_jax.generators.networks import lpips
from pulse_jax.generators.priors import flow as flows
from pulse_jax.generators.priors.flow import Flow
from pulse_jax.generators.priors.principal import PrincipalFit
from pulse_jax.objectives import losses, regularizers
from pulse_jax.objectives.terms import TERMS
from tests.tiny_networks import tiny_perceptual

WIDTH, ROWS = 6, 4


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _flow(dtype=jnp.float32):
    """A flow of two blocks with random weights, far from the identity."""
    blocks = flows.init_blocks(jax.random.key(3), 2, 16, WIDTH)
    blocks = jax.tree.map(lambda a: a.astype(dtype), blocks)
    rows = functools.partial(jnp.asarray, dtype=dtype)
    return Flow(
        mean=rows(0.3 * _random(WIDTH, seed=1)),
        std=rows(np.linspace(0.5, 2.0, WIDTH)),
        basis=None,
        blocks=blocks,
        scale=rows(np.linspace(0.8, 1.3, 2 * WIDTH).reshape(2, WIDTH)),
        shift=rows(0.1 * _random(2, WIDTH, seed=2)),
        radial=rows([1.3, 0.8]),
    )


def _principal(dtype=jnp.float32):
    basis, _ = np.linalg.qr(_random(WIDTH, WIDTH, seed=4))
    arrays = (0.2 * _random(WIDTH, seed=5), basis, np.linspace(2.0, 0.3, WIDTH))
    return PrincipalFit(*(jnp.asarray(a, dtype) for a in arrays))


def _terms(dtype):
    mean, std = jnp.asarray(0.1 * _random(WIDTH, seed=6), dtype), jnp.asarray(0.7, dtype)
    target = jnp.asarray(0.5 + 0.2 * _random(4, 4, 3, seed=7), dtype)
    scale = jnp.asarray(0.05, dtype)
    rows = {
        "FLOW": lambda w: regularizers.flow_prior(*flows.forward(_flow(dtype), w)),
        "NORM": lambda w: regularizers.flow_norm(flows.forward(_flow(dtype), w)[0]),
        "MEAN_NORM": lambda w: regularizers.mean_norm(flows.forward(_flow(dtype), w)[0]),
        "CROSS": regularizers.cross,
        "CROSS_SQUARED": regularizers.cross_squared,
        "WPRIOR": lambda w: regularizers.w_prior(w, mean, std),
        "COLINEAR": regularizers.colinear,
        "COLINEAR_SUM": regularizers.colinear_sum,
        "PRINCIPAL": lambda w: regularizers.principal_prior(w, _principal(dtype)),
        "PRINCIPAL_MEAN": lambda w: regularizers.principal_mean(w, _principal(dtype)),
        "LATENT": regularizers.squared_norm,
        "GEOCROSS": regularizers.geocross,
        "GEOCROSS_LATENT": regularizers.geocross,
    }
    images = {
        "L2": lambda x: losses.l2(x, target, 0.0),
        "L1": lambda x: losses.l1(x, target, 0.0),
        "MAE": lambda x: losses.mae(x, target),
        "LAPLACE": lambda x: losses.laplace(x, target, scale),
        "GAUSSIAN": lambda x: losses.gaussian(x, target, scale),
        "SQUARES": lambda x: losses.squares(x, target, 8),
    }
    seen = jnp.asarray(0.5 + 0.2 * _random(16, 16, 3, seed=10), dtype)
    larger_images = {
        "LPIPS": lambda x: lpips.lpips(tiny_perceptual(dtype), x, seen),
        "VGG": lambda x: 1e6 * lpips.vgg_error(tiny_perceptual(dtype), x, seen),
    }
    wide = jnp.asarray(0.5 + 0.2 * _random(34, 34, 3, seed=11), dtype)
    largest_images = {
        "COARSE_MAE": lambda x: losses.coarse_mae(x, wide),
        "MULTISCALE_LPIPS": lambda x: losses.multiscale_lpips(tiny_perceptual(dtype), x, wide),
    }
    noise = {"NOISE": lambda n: regularizers.noise_correlation([n])}
    shapes = [(rows, (ROWS, WIDTH)), (images, (4, 4, 3)), (larger_images, (16, 16, 3))]
    shapes += [(largest_images, (34, 34, 3)), (noise, (16, 16, 1))]
    return {name: (function, shape) for some, shape in shapes for name, function in some.items()}


def test_every_name_of_the_language_is_tested_here():
    assert sorted(_terms(jnp.float32)) == sorted(TERMS)


@pytest.mark.parametrize("name", TERMS)
def test_gradients_equal_finite_differences(unchecked, name):
    with jax.enable_x64(True):
        function, shape = _terms(jnp.float64)[name]
        # Steps small enough to pass no kink of LPIPS.
        point = jnp.asarray(_random(*shape, seed=8))
        check_grads(jax.jit(function), (point,), order=1, modes=["rev"], eps=1e-6, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMS)
def test_float32_is_close_to_float64(unchecked, name):
    function, shape = _terms(jnp.float32)[name]
    single = jax.jit(jax.value_and_grad(function))(jnp.asarray(_random(*shape, seed=9), jnp.float32))
    with jax.enable_x64(True):
        function, _ = _terms(jnp.float64)[name]
        double = jax.jit(jax.value_and_grad(function))(jnp.asarray(_random(*shape, seed=9)))
    for got, expected in zip(single, double, strict=True):
        # VGG's gradients add up thousands of terms a layer, in orders that differ from CPU to CPU: 2e-5 was seen.
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=5e-5 * np.abs(expected).max())


def test_values_by_hand():
    w = jnp.asarray([[3.0, 0.0], [0.0, 4.0], [-3.0, 0.0]])
    # Distances 5, 6 and 5.
    np.testing.assert_allclose(regularizers.cross(w), 16 / 3, rtol=1e-6)
    np.testing.assert_allclose(regularizers.cross_squared(w), 25 + 36 + 25, rtol=1e-6)
    # 1 − cos is 0 thrice, 1 four times and 2 twice.
    np.testing.assert_allclose(regularizers.colinear(w), 8 / 9, rtol=1e-6)
    np.testing.assert_allclose(regularizers.colinear_sum(w), 8, rtol=1e-6)
    np.testing.assert_allclose(regularizers.squared_norm(w), 9 + 16 + 9, rtol=1e-6)
    np.testing.assert_allclose(
        regularizers.w_prior(w, jnp.asarray([1.0, 2.0]), jnp.float32(2.0)), (4 + 4 + 1 + 4 + 16 + 4) / 4 / 6, rtol=1e-6
    )


def test_image_losses_by_hand():
    g, y = jnp.full((2, 2, 3), 0.5), jnp.full((2, 2, 3), 0.25)
    np.testing.assert_allclose(losses.mae(g, y), 0.25, rtol=1e-6)
    np.testing.assert_allclose(losses.laplace(g, y, 0.1), 12 * (2.5 + np.log(0.2)), rtol=1e-5)
    np.testing.assert_allclose(losses.gaussian(g, y, 0.1), 12 * (3.125 + np.log(0.1 * np.sqrt(2 * np.pi))), rtol=1e-5)
    # A checkerboard is gone once it is halved, which pictures of 16 pixels are not, nor a last row that is odd.
    for side, left in ((16, 0.5), (17, 0.0), (32, 0.0)):
        checks = jnp.indices((side, side)).sum(0)[..., None] % 2 * jnp.ones(3)
        value = losses.coarse_mae(0.5 + checks, jnp.full((side, side, 3), 1.0))
        np.testing.assert_allclose(value, left, rtol=1e-6, atol=1e-7)


def test_likelihoods_are_densities():
    """exp(−loss) integrates to one over the observation of a single pixel."""
    grid = jnp.linspace(-4.0, 4.0, 8001)[:, None, None, None]
    for density in (losses.laplace, losses.gaussian):
        values = jax.vmap(lambda y, f=density: f(jnp.zeros((1, 1, 1)), y, 0.3))(grid)
        np.testing.assert_allclose(jnp.sum(jnp.exp(-values)) * 1e-3, 1.0, rtol=1e-3)


def test_the_flow_terms_are_its_density_and_its_norm():
    w, flow = jnp.asarray(_random(ROWS, WIDTH), jnp.float32), _flow()
    u, log_det = flows.forward(flow, w)
    normal = -0.5 * np.sum(np.square(u), -1) - 0.5 * WIDTH * np.log(2 * np.pi)
    np.testing.assert_allclose(regularizers.flow_prior(u, log_det), -np.mean(normal + log_det), rtol=1e-5)
    expected = np.mean((np.linalg.norm(u, axis=-1) - WIDTH**0.5) ** 2)
    np.testing.assert_allclose(regularizers.flow_norm(u), expected, rtol=1e-5)
    lengths = np.linalg.norm(u, axis=-1)
    np.testing.assert_allclose(regularizers.mean_norm(u), (lengths.mean() - u.shape[-1] ** 0.5) ** 2, rtol=1e-4)


def test_the_covariance_prior_is_a_mahalanobis_distance():
    w, fit = _random(ROWS, WIDTH), _principal()
    o = np.where(w > 0, w, 5 * w) - np.asarray(fit.mean)
    covariance = np.asarray(fit.basis) @ np.diag(np.square(fit.std)) @ np.asarray(fit.basis).T
    expected = np.mean(np.einsum("ri,ij,rj->r", o, np.linalg.inv(covariance), o))
    np.testing.assert_allclose(regularizers.principal_prior(jnp.asarray(w, jnp.float32), fit), expected, rtol=1e-4)


def test_noise_is_correlated_with_its_neighbours_at_every_scale():
    flat = jnp.ones((16, 16, 1))  # 16 and 8, two directions each
    np.testing.assert_allclose(regularizers.noise_correlation([flat, flat]), 8.0, rtol=1e-6)
    stripes = jnp.where(jnp.arange(16) % 2, 1.0, -1.0)[:, None, None] * jnp.ones((16, 16, 1))
    # Against the neighbour below −1, to the right 1, and nothing once halved.
    np.testing.assert_allclose(regularizers.noise_correlation([stripes]), 2.0, rtol=1e-6)
    assert regularizers.noise_correlation([]) == 0


@pytest.mark.parametrize(
    "function",
    [regularizers.cross, regularizers.cross_squared, regularizers.colinear, regularizers.geocross],
)
@pytest.mark.parametrize("rows", [1, ROWS])
def test_rows_that_coincide_cost_nothing_and_have_a_finite_gradient(function, rows):
    w = jnp.broadcast_to(jnp.asarray(_random(WIDTH), jnp.float32), (rows, WIDTH))
    value, gradient = jax.value_and_grad(function)(w)
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    assert np.all(np.isfinite(gradient))
