"""L-BFGS on manifolds: how fast it must be where theory says so; laws of all such methods are in `test_descent.py`."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.search import presets
from tests.search.methods.driver import FLAT, D, driven, spread, start_of
from tests.tiny_networks import searchable_generator

_driven = functools.partial(driven, "riemannian_lbfgs")
MATRIX = spread()


def quadratic(latent):
    return 0.5 * jnp.sum((latent - 0.3) * ((latent - 0.3) @ MATRIX))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_faster_than_steepest_descent_can_be(seed):
    """A condition of 30: a step of steepest descent on a quadratic leaves at best (29/31)² of the error, in 30 steps
    2 %; superlinear convergence leaves what rounding does."""
    _, losses = _driven(quadratic, FLAT, start_of(seed=seed), 40, largest=5.0)
    error = np.minimum.accumulate(losses) / losses[0]
    assert error[30] < 1e-2 * (29 / 31) ** 60 and error[-1] < 1e-9


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


@pytest.mark.slow
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
