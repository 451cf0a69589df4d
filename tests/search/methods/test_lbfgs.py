"""L-BFGS on manifolds: laws that hold for any loss, and how fast it must be where theory says so."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.manifold.product import Sphere
from pulse_jax.search import presets
from tests.search.methods.driver import FLAT, NOISE, ROUND, D, driven_by_loss, method_of
from tests.search.methods.driver import start_of as _start
from tests.tiny_networks import searchable_generator

_method = functools.partial(method_of, "riemannian_lbfgs")
_driven = functools.partial(driven_by_loss, "riemannian_lbfgs")


def _symmetric(low=1.0, high=30.0, seed=1):
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))
    return jnp.asarray(basis @ np.diag(np.linspace(low, high, D)) @ basis.T, jnp.float32)


MATRIX = _symmetric()


def rayleigh(latent):
    return 0.5 * jnp.sum(latent * (latent @ MATRIX))


def quadratic(latent):
    return rayleigh(latent - 0.3)


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_eigenvalue_is_found(seed):
    """On the unit sphere half the Rayleigh quotient has its least value at half the smallest eigenvalue, 0.5."""
    points, losses = _driven(rayleigh, ROUND, _start(seed=seed), 60)
    np.testing.assert_allclose(jnp.min(losses), 0.5, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_faster_than_steepest_descent_can_be(seed):
    """A condition of 30: a step of steepest descent on a quadratic leaves at best (29/31)² of the error, in 30 steps
    2 %; superlinear convergence leaves what rounding does."""
    _, losses = _driven(quadratic, FLAT, _start(seed=seed), 40, largest=5.0)
    error = np.minimum.accumulate(losses) / losses[0]
    assert error[30] < 1e-2 * (29 / 31) ** 60 and error[-1] < 1e-9


def test_every_row_stays_on_its_own_sphere():
    radii = jnp.asarray([[1.0], [2.0], [0.5]])
    manifold = {"latent": Sphere(), "noise": Sphere()}
    points, losses = _driven(rayleigh, manifold, _start(3) * radii, 40)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), np.tile(radii[:, 0], (40, 1)), rtol=2e-5)
    np.testing.assert_allclose(losses[-1], 0.5 * jnp.sum(radii**2), rtol=1e-2)


@pytest.mark.parametrize("largest", [0.05, 0.3])
def test_no_row_turns_further_than_it_may(largest):
    points, _ = _driven(rayleigh, ROUND, _start(3), 30, largest)
    turns = np.arccos(np.clip(np.sum(points[1:] * points[:-1], axis=-1), -1, 1))
    assert turns.max() < largest * 1.4 + 1e-3  # back from a refused trial it turns by less than twice as much
    np.testing.assert_allclose(turns[0].max(), largest / 3, rtol=1e-3)


def test_rotating_the_problem_rotates_the_way():
    rotation = jnp.asarray(np.linalg.qr(np.random.default_rng(7).standard_normal((D, D)))[0], jnp.float32)
    points, losses = _driven(rayleigh, ROUND, _start(2), 12)
    rotated, same = _driven(lambda x: rayleigh(x @ rotation.T), ROUND, _start(2) @ rotation, 12)
    np.testing.assert_allclose(rotated, points @ rotation, atol=1e-3)
    np.testing.assert_allclose(same, losses, rtol=1e-4)


def test_a_refused_trial_is_an_update_and_the_next_one_is_shorter():
    """A valley so narrow that the first step overshoots it."""

    def narrow(latent):
        return 1e4 * jnp.sum(jnp.square(latent[:, 0])) + 1e-3 * jnp.sum(jnp.square(latent))

    start = jnp.zeros((1, D)).at[0, 0].set(0.01)
    points, losses = _driven(narrow, FLAT, start, 30, largest=3.0)
    moved = np.abs(points[1:, 0, 0] - 0.01)
    assert losses[1] > losses[0] and losses[2] > losses[0]
    np.testing.assert_allclose(moved[1] / moved[0], 0.3, rtol=1e-3)
    assert losses[-1] < 1e-3 * losses[0]


def test_a_loss_without_slope_moves_nothing_and_makes_no_nan():
    points, losses = _driven(lambda latent: 0.0 * jnp.sum(latent), ROUND, _start(2), 10)
    np.testing.assert_allclose(points, np.tile(_start(2), (10, 1, 1)), atol=1e-6)
    assert np.isfinite(losses).all()


def test_lanes_are_searches_of_their_own():
    starts = jnp.stack([_start(2, seed=seed) for seed in range(4)])
    together = jax.vmap(lambda start: _driven(rayleigh, ROUND, start, 15))(starts)
    for k in range(4):
        for one, all_of in zip(_driven(rayleigh, ROUND, starts[k], 15), together, strict=True):
            np.testing.assert_allclose(all_of[k], one, rtol=1e-4, atol=1e-5)


def test_another_largest_step_compiles_nothing():
    """It is an argument of the program."""
    traces = []

    @functools.partial(jax.jit)
    def first(start, largest):
        traces.append(1)
        point = {"latent": start, "noise": NOISE}
        return _method(ROUND, largest).init(point, jax.random.key(0)).base["latent"]

    for largest in (0.1, 0.2, 0.3):
        first(_start(), jnp.float32(largest))
    assert len(traces) == 1


def test_phases_are_refused():
    with pytest.raises(ValueError, match="phases: expected none with the method riemannian_lbfgs"):
        _method(ROUND, phases=presets.robust().phases)


@pytest.mark.parametrize("settings", [{}, {"geometry": "euclidean", "space": "w", "coordinates": "plain"}])
def test_searches_find_more_with_it_in_the_same_number_of_looks(settings):
    generator = searchable_generator()
    targets = np.random.default_rng(0).uniform(0.45, 0.55, (6, 2, 2, 3)).astype(np.float32)
    found = {}
    for method in ("gradient", "riemannian_lbfgs"):
        config = presets.pulse(
            method=method, loss="100*L2", eps=1e-9, steps=25, learning_rate=0.3, start="gaussian", **settings
        )
        found[method] = upsample(generator, targets, config=config).downscaling_error
    assert np.median(found["riemannian_lbfgs"]) < np.median(found["gradient"])
