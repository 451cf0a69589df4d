"""Methods that descend: laws that hold for any loss, and where they must end.

A new one joins by its name.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.search import presets
from tests.search.methods.driver import FLAT, NOISE, ROUND, D, driven, look_at, method_of, spread, start_of

DESCENTS = ("riemannian_lbfgs",)
MATRIX, GOAL = spread(), start_of(seed=9)

pytestmark = pytest.mark.parametrize("name", DESCENTS)


def rayleigh(latent):
    return 0.5 * jnp.sum(latent * (latent @ MATRIX))


def quadratic(latent):
    """Its minimum, 0 at 1.5 GOAL, lies outside of the unit sphere."""
    return rayleigh(latent - 1.5 * GOAL)


def logarithms(latent):
    """Zero where every coordinate is 1; not a number where one is negative."""
    return jnp.sum(jnp.square(jnp.log(latent)))


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_eigenvalue_is_found(name, seed):
    """On the unit sphere half the Rayleigh quotient has its least value at half the smallest eigenvalue, 0.5."""
    points, losses = driven(name, rayleigh, ROUND, start_of(seed=seed), 60)
    np.testing.assert_allclose(jnp.min(losses), 0.5, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1.0, rtol=1e-5)


def test_pymanopt_finds_the_same_minimum(name):
    """Of a quadratic on the sphere; pymanopt computes in float64."""
    wide = jax.config.jax_enable_x64
    pymanopt = pytest.importorskip("pymanopt")
    jax.config.update("jax_enable_x64", wide)  # importing pymanopt sets it
    from pymanopt.manifolds import Sphere
    from pymanopt.optimizers import TrustRegions

    matrix, centre, sphere = np.asarray(MATRIX, np.float64), 1.5 * np.asarray(GOAL[0], np.float64), Sphere(D)
    problem = pymanopt.Problem(
        sphere,
        pymanopt.function.numpy(sphere)(lambda x: 0.5 * (x - centre) @ matrix @ (x - centre)),
        euclidean_gradient=pymanopt.function.numpy(sphere)(lambda x: matrix @ (x - centre)),
        euclidean_hessian=pymanopt.function.numpy(sphere)(lambda x, v: matrix @ v),
    )
    start = start_of(seed=4)
    found = TrustRegions(verbosity=0, min_gradient_norm=1e-10).run(problem, initial_point=np.asarray(start[0], float))
    points, losses = driven(name, quadratic, ROUND, start, 80)
    np.testing.assert_allclose(np.min(losses), found.cost, rtol=1e-5)
    np.testing.assert_allclose(points[np.argmin(losses), 0], found.point, atol=1e-3)


def test_every_row_stays_on_its_own_sphere(name):
    radii = jnp.asarray([[1.0], [2.0], [0.5]])
    points, losses = driven(name, rayleigh, ROUND, start_of(3) * radii, 40)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), np.tile(radii[:, 0], (40, 1)), rtol=2e-5)
    np.testing.assert_allclose(losses[-1], 0.5 * jnp.sum(radii**2), rtol=1e-2)


@pytest.mark.parametrize("largest", [0.05, 0.3])
def test_no_row_turns_further_than_it_may(name, largest):
    points, _ = driven(name, rayleigh, ROUND, start_of(3), 30, largest)
    turns = np.arccos(np.clip(np.sum(points[1:] * points[:-1], axis=-1), -1, 1))
    assert turns.max() < largest * 1.4 + 1e-3  # back from a refused trial it turns by less than twice as much
    np.testing.assert_allclose(turns[0].max(), largest / 3, rtol=1e-3)


def test_rotating_the_problem_rotates_the_way(name):
    rotation = jnp.asarray(np.linalg.qr(np.random.default_rng(7).standard_normal((D, D)))[0], jnp.float32)
    points, losses = driven(name, rayleigh, ROUND, start_of(2), 12)
    rotated, same = driven(name, lambda x: rayleigh(x @ rotation.T), ROUND, start_of(2) @ rotation, 12)
    np.testing.assert_allclose(rotated, points @ rotation, atol=1e-3)
    np.testing.assert_allclose(same, losses, rtol=1e-4)


def test_lanes_are_searches_of_their_own(name):
    starts = jnp.stack([start_of(2, seed=seed) for seed in range(4)])
    together = jax.vmap(lambda start: driven(name, rayleigh, ROUND, start, 15))(starts)
    for k in range(4):
        for one, all_of in zip(driven(name, rayleigh, ROUND, starts[k], 15), together, strict=True):
            np.testing.assert_allclose(all_of[k], one, rtol=1e-4, atol=1e-5)


def test_other_numbers_compile_nothing(name):
    traces = []

    @jax.jit
    def second(start, largest):
        traces.append(1)
        method, point = method_of(name, ROUND, largest), {"latent": start, "noise": NOISE}
        state = method.init(point, jax.random.key(0))
        return method.update(jax.random.key(0), state, look_at(rayleigh, point))[0]["latent"]

    found = [second(start_of(), jnp.float32(largest)) for largest in (0.01, 0.02, 0.03)]
    assert len(traces) == 1 and np.abs(found[0] - found[1]).max() > 1e-4


def test_a_loss_without_slope_moves_nothing_and_makes_no_nan(name):
    """However large the largest step is."""
    for largest in (0.5, 1e6):
        points, losses = driven(name, lambda latent: 0.0 * jnp.sum(latent), FLAT, start_of(2), 10, largest)
        np.testing.assert_array_equal(points, np.tile(start_of(2), (10, 1, 1)))
        assert np.isfinite(losses).all()


def test_a_trial_that_is_not_a_number_is_refused_and_forgotten(name):
    """The first one leaves a start where no coordinate is above 10 by a third of 300."""
    start = jnp.linspace(3.0, 10.0, D)[None]
    points, losses = driven(name, logarithms, FLAT, start, 60, largest=300.0)
    assert np.isnan(losses[1]) and np.isfinite(points).all()
    assert np.nanmin(losses) < 1e-6 * losses[0]


def test_phases_are_refused(name):
    with pytest.raises(ValueError, match=f"phases: expected none with the method {name}"):
        method_of(name, ROUND, phases=presets.robust().phases)
