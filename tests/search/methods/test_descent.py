"""Methods that descend by curvature: laws that hold for any loss, and how fast they must be where theory says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.search import presets
from pulse_jax.search.methods.protocol import Products
from pulse_jax.search.objective import Evaluation
from tests.search.methods.driver import FLAT, NOISE, ROUND, D, as_residual, driven, method_of, spread, start_of
from tests.tiny_networks import searchable_generator

LINE_SEARCHES = ("barzilai_borwein", "conjugate_gradient", "riemannian_lbfgs")
ALL = (*LINE_SEARCHES, "gauss_newton")
MATRIX, FEW, GOAL = spread(), spread(1.0, 3.0, seed=3, count=3), start_of(seed=9)


def of_eigenvalues(latent):
    """The loss is half the Rayleigh quotient, on the unit sphere."""
    return as_residual((latent @ MATRIX.T) * (latent.size / 2) ** 0.5)


def of_quadratic(latent):
    """Zero at GOAL alone, of the condition 30."""
    return as_residual((latent - GOAL) @ MATRIX.T)


def of_few(latent):
    """Three numbers of twelve variables that are not linear in them: zero on a whole surface that GOAL lies on."""
    return as_residual(jnp.sin(latent @ FEW.T) - jnp.sin(GOAL @ FEW.T))


def of_logarithms(latent):
    """Zero on a surface that GOAL lies on; not a number beyond another one."""
    return as_residual(jnp.log(1.0 + (latent - GOAL) @ FEW.T))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_eigenvalue_is_found(name, seed):
    _, losses = driven(name, of_eigenvalues, ROUND, start_of(seed=seed), 60)
    np.testing.assert_allclose(jnp.min(losses), 0.5, rtol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_every_row_stays_on_its_own_sphere(name):
    radii = jnp.asarray([[1.0], [2.0], [0.5]])
    points, losses = driven(name, of_eigenvalues, ROUND, start_of(3) * radii, 60)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), np.tile(radii[:, 0], (60, 1)), rtol=2e-5)
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("largest", [0.05, 0.3])
def test_no_row_turns_further_than_it_may(name, largest):
    points, _ = driven(name, of_eigenvalues, ROUND, start_of(3), 30, largest)
    turns = np.arccos(np.clip(np.sum(points[1:] * points[:-1], axis=-1), -1, 1))
    assert turns.max() < largest * 1.4 + 1e-3  # back from a refused trial it turns by less than twice as much


@pytest.mark.parametrize("name", ALL)
def test_rotating_the_problem_rotates_the_way(name):
    rotation = jnp.asarray(np.linalg.qr(np.random.default_rng(7).standard_normal((D, D)))[0], jnp.float32)
    points, losses = driven(name, of_eigenvalues, ROUND, start_of(2), 10)
    rotated, same = driven(name, lambda x: of_eigenvalues(x @ rotation.T), ROUND, start_of(2) @ rotation, 10)
    np.testing.assert_allclose(rotated, points @ rotation, atol=2e-3)
    np.testing.assert_allclose(same, losses, rtol=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_lanes_are_searches_of_their_own(name):
    starts = jnp.stack([start_of(seed=seed) for seed in range(4)])
    together = jax.vmap(lambda start: driven(name, of_quadratic, ROUND, start, 10))(starts)
    for k in range(4):
        for one, all_of in zip(driven(name, of_quadratic, ROUND, starts[k], 10), together, strict=True):
            np.testing.assert_allclose(all_of[k], one, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_other_numbers_compile_nothing(name):
    traces = []

    @jax.jit
    def second(start, largest):
        traces.append(1)
        method = method_of(name, ROUND, largest)
        point = {"latent": start, "noise": NOISE}
        zero = jnp.float32(0)
        left = lambda point: of_quadratic(point["latent"])  # noqa: E731
        gradient = jax.grad(lambda point: jnp.mean(jnp.square(left(point))))(point)
        picture = jnp.zeros((1, 1, 3), jnp.uint8)
        seen = Evaluation(zero, left(point), zero, zero, {}, picture, point, gradient, products=Products(left, point))
        return method.update(jax.random.key(0), method.init(point, jax.random.key(0)), seen)[0]["latent"]

    found = [second(start_of(), jnp.float32(largest)) for largest in (0.01, 0.02, 0.03)]
    assert len(traces) == 1 and np.abs(found[0] - found[1]).max() > 1e-4


@pytest.mark.parametrize("name", ALL)
def test_a_loss_without_slope_moves_nothing_and_makes_no_nan(name):
    points, losses = driven(name, lambda latent: as_residual(0.0 * latent + 1.0), ROUND, start_of(2), 10)
    np.testing.assert_allclose(points, np.tile(start_of(2), (10, 1, 1)), atol=1e-6)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("name", ALL)
def test_a_trial_that_is_not_a_number_is_refused_and_forgotten(name):
    """Newton's step for log u = 0 from u = 10 leads to −13, half of it to −1.5."""
    start = GOAL + 9.0 * jnp.ones((1, 3)) @ jnp.linalg.pinv(FEW).T
    points, losses = driven(name, of_logarithms, FLAT, start, 60, largest=100.0)
    assert np.isnan(losses).any() and np.isfinite(points).all()
    assert np.nanmin(losses) < 1e-6 * losses[0]


def order(losses, floor=1e-13):
    """The exponent p of e' = c eᵖ for successive errors, the roots of the lowest losses so far, fitted by least squares
    while they are below a third of the first and above what rounding leaves."""
    errors = np.sqrt(np.minimum.accumulate(np.asarray(losses, np.float64)))
    errors = np.unique(errors[(errors < errors[0] / 3) & (errors > floor**0.5)])[::-1]
    return np.polyfit(np.log(errors[:-1]), np.log(errors[1:]), 1)[0], len(errors)


@pytest.mark.parametrize("manifold", [ROUND, FLAT], ids=["round", "flat"])
def test_gauss_newton_is_superlinear_where_no_residual_is_left(manifold):
    """Three numbers need three iterations: the system is solved exactly, and the damping goes to zero by thirds."""
    for seed in range(5):
        _, losses = driven("gauss_newton", of_few, manifold, start_of(seed=seed), 30)
        assert np.min(losses) < 1e-13
        exponent, count = order(losses)
        assert exponent > 1.3 and count >= 4


@pytest.mark.parametrize("name", LINE_SEARCHES)
def test_line_searches_are_faster_than_steepest_descent_can_be(name):
    """A condition of 30: a step of steepest descent on a quadratic leaves at best (29/31)² of the loss, in 40 steps
    0.5 %; conjugate gradients 4 (√30 − 1)² / (√30 + 1)² a step, which the other two come near to."""
    for seed in range(5):
        _, losses = driven(name, of_quadratic, FLAT, start_of(seed=seed), 40, largest=5.0)
        assert np.min(losses) / losses[0] < 1e-3 * (29 / 31) ** 80


def test_the_two_that_remember_one_step_are_linear_and_lbfgs_needs_fewer_looks():
    """Linear convergence is of the order 1."""
    looks = {}
    for name in LINE_SEARCHES:
        ways = [driven(name, of_quadratic, FLAT, start_of(seed=seed), 60, largest=5.0)[1] for seed in range(5)]
        looks[name] = np.median([np.argmax(np.minimum.accumulate(losses) < 1e-7 * losses[0]) for losses in ways])
        if name != "riemannian_lbfgs":
            assert 0.8 < np.median([order(losses)[0] for losses in ways]) < 1.2
    assert 0 < looks["riemannian_lbfgs"] < 0.8 * min(looks["conjugate_gradient"], looks["barzilai_borwein"])


@pytest.mark.parametrize("name", ALL)
def test_pymanopt_finds_the_same_minimum(name):
    """Of a quadratic on the sphere whose own minimum lies outside of it; pymanopt computes in float64."""
    wide = jax.config.jax_enable_x64
    pymanopt = pytest.importorskip("pymanopt")
    jax.config.update("jax_enable_x64", wide)  # importing pymanopt sets it
    from pymanopt.manifolds import Sphere
    from pymanopt.optimizers import TrustRegions

    matrix, centre, sphere = np.asarray(MATRIX, np.float64), 1.5 * np.asarray(GOAL[0], np.float64), Sphere(D)
    hessian = matrix.T @ matrix
    cost = pymanopt.function.numpy(sphere)(lambda x: np.sum(np.square(matrix @ (x - centre))) / D)
    slope = pymanopt.function.numpy(sphere)(lambda x: 2 / D * hessian @ (x - centre))
    second = pymanopt.function.numpy(sphere)(lambda x, v: 2 / D * hessian @ v)
    problem = pymanopt.Problem(sphere, cost, euclidean_gradient=slope, euclidean_hessian=second)
    start = start_of(seed=4)
    found = TrustRegions(verbosity=0, min_gradient_norm=1e-10).run(problem, initial_point=np.asarray(start[0], float))
    points, losses = driven(name, lambda x: as_residual((x - 1.5 * GOAL) @ MATRIX.T), ROUND, start, 80)
    np.testing.assert_allclose(np.min(losses), found.cost, rtol=1e-5)
    np.testing.assert_allclose(points[np.argmin(losses), 0], found.point, atol=2e-3)


@pytest.mark.parametrize("name", ALL)
def test_phases_are_refused(name):
    with pytest.raises(ValueError, match=f"phases: expected none with the method {name}"):
        method_of(name, ROUND, phases=presets.robust().phases)


def test_gauss_newton_needs_a_squared_residual():
    with pytest.raises(ValueError, match="loss: expected one of L2, SQUARES, GAUSSIAN in it"):
        method_of("gauss_newton", ROUND, loss="MAE+0.05*GEOCROSS")


@pytest.mark.parametrize("loss", ["100*L2", "SQUARES"])
def test_gauss_newton_searches_networks_and_its_products_are_counted(loss):
    """Three products with J and two with Jᵀ beside every look; the weight of the residual makes no difference."""
    generator, targets = searchable_generator(), np.random.default_rng(0).uniform(0.45, 0.55, (3, 2, 2, 3))
    found = {}
    for steps in (1, 10):
        config = presets.pulse(method="gauss_newton", loss=loss, eps=1e-9, steps=steps, learning_rate=0.4)
        found[steps] = upsample(generator, targets.astype(np.float32), config=config)
        np.testing.assert_array_equal(found[steps].evaluations, steps * 6)
    assert (found[10].search_error < 0.2 * found[1].search_error).all()
