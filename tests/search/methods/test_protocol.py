"""Methods behind the inner protocol: one evaluation per update, products counted, states saved and resumed."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pulse_jax
from pulse_jax.engine.stream import solve_stream
from pulse_jax.images.degradations.bicubic import Bicubic, bicubic_matrix
from pulse_jax.search import step as search
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.methods.registry import METHODS
from pulse_jax.search.problems import Problem, Status
from tests.toys.methods import SUFFICIENT, TOYS

SIDE, WIDTH = 8, 6
# L2 is the mean squared residual, whose gradient is 2/n Jᵀr.
SETTINGS = {"space": "z", "geometry": "euclidean", "start": "gaussian", "loss": "L2", "noise": "zero", "stop": "never"}


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    for name, method in TOYS.items():
        monkeypatch.setitem(METHODS, name, method)


@pytest.fixture(scope="module")
def matrix():
    return np.random.default_rng(0).standard_normal((SIDE * SIDE * 3, WIDTH)).astype(np.float32) / 10


@pytest.fixture(scope="module")
def generator(matrix):
    def draw(params, w, noise):
        del noise
        return 0.5 + 0.3 * jnp.tanh(params @ w[0]).reshape(SIDE, SIDE, 3)

    return pulse_jax.Generator.from_function(draw, matrix, resolution=SIDE, latent_dim=WIDTH)


@pytest.fixture(scope="module")
def low_res(generator):
    pictures = generator.sample(jax.random.key(1), 3)
    return np.asarray(Bicubic(2).apply(pictures), np.float32)


def config_of(name, **settings):
    return SearchConfig(method=name, **(SETTINGS | {"steps": 25, "learning_rate": 0.5} | settings))


@functools.partial(jax.jit, static_argnames=("config", "count"))
def looks(generator, config, target, key, count):
    """The state after so many looks, and where each of them was and what it found."""

    def one(state, _):
        after, seen = search.step(generator, config, state)
        return after, (seen.point["latent"], seen.loss, seen.gradient["latent"], seen.residual)

    return jax.lax.scan(one, search.init(generator, config, target, key), length=count)


def residual_and_jacobian(matrix, target, z):
    """The residual (48,) and its Jacobian (48, 6) by NumPy alone, in float64."""
    down = np.kron(np.kron(bicubic_matrix(SIDE, 2), bicubic_matrix(SIDE, 2)), np.eye(3))
    inner = matrix.astype(np.float64) @ z
    residual = down @ (0.5 + 0.3 * np.tanh(inner)) - target.ravel()
    return residual, down @ (0.3 * (1 - np.tanh(inner) ** 2)[:, None] * matrix)


def loss_and_gradient(matrix, target, z):
    residual, jacobian = residual_and_jacobian(matrix, target, z)
    return np.mean(residual**2), 2 / residual.size * jacobian.T @ residual


def test_an_evaluation_is_what_the_point_is_worth(generator, matrix, low_res):
    _, (points, losses, gradients, residuals) = looks(
        generator, config_of("random_walk"), low_res[0], jax.random.key(3), 4
    )
    assert len(np.unique(points[:, 0, 0])) > 1
    for point, loss, gradient, found in zip(points, losses, gradients, residuals, strict=True):
        z = np.asarray(point[0], np.float64)
        expected, slope = loss_and_gradient(matrix, low_res[0], z)
        np.testing.assert_allclose(loss, expected, rtol=1e-4)
        np.testing.assert_allclose(gradient[0], slope, atol=1e-5)
        expected, _ = residual_and_jacobian(matrix, low_res[0], z)
        np.testing.assert_allclose(np.asarray(found).ravel(), expected, atol=1e-5)


def test_a_line_search_of_states_goes_the_way_of_one_with_loops(generator, matrix, low_res):
    """The looks are those of an ordinary program with an inner loop, refused ones included."""
    count, rate = 25, 200.0
    config = config_of("backtracking", steps=count, learning_rate=rate)
    state, (points, *_) = looks(generator, config, low_res[0], jax.random.key(3), count)
    z = np.asarray(points[0, 0], np.float64)
    expected, refused, length = [], 0, 2 * rate
    loss, gradient = loss_and_gradient(matrix, low_res[0], z)
    expected.append(z)
    while len(expected) < count:
        trial = z - length * gradient
        expected.append(trial)
        found, slope = loss_and_gradient(matrix, low_res[0], trial)
        if found <= loss - SUFFICIENT * length * gradient @ gradient:
            z, loss, gradient, length = trial, found, slope, 2 * length
        else:
            refused += 1
            length /= 2
    assert 2 < refused < count - 2
    np.testing.assert_allclose(points[:, 0], expected, atol=2e-3)
    assert int(state.evaluations) == int(state.steps) == count


@pytest.mark.parametrize(("name", "each"), [("gradient", 1), ("backtracking", 1), ("gauss_newton_step", 3)])
def test_evaluations_are_looks_and_products(name, each, generator, low_res):
    solutions = pulse_jax.upsample(generator, low_res, restarts=2, config=config_of(name, steps=7))
    np.testing.assert_array_equal(solutions.steps, 7)
    np.testing.assert_array_equal(solutions.evaluations, 7 * each)


def test_products_are_those_of_the_residuals_jacobian(generator, matrix, low_res):
    """The steps along Jᵀr, as long as J makes them, are those of NumPy."""
    config = config_of("gauss_newton_step", steps=4)
    _, (points, *_) = looks(generator, config, low_res[1], jax.random.key(0), 4)
    for before, after in zip(points[:-1, 0], points[1:, 0], strict=True):
        residual, jacobian = residual_and_jacobian(matrix, low_res[1], np.asarray(before, np.float64))
        direction = jacobian.T @ residual
        change = jacobian @ direction
        length = change @ residual / (change @ change)
        np.testing.assert_allclose(after - before, -length * direction, rtol=1e-3, atol=1e-4)


def test_gauss_newton_steps_find_what_gradients_do_not_yet(generator, low_res):
    """What products are for: the curvature; ten steps of the same start, and the true latent is known to exist."""
    found = {
        name: pulse_jax.upsample(generator, low_res, config=config_of(name, steps=10)).search_error.max()
        for name in ("gradient", "gauss_newton_step")
    }
    assert found["gauss_newton_step"] < 0.1 * found["gradient"]


@pytest.mark.parametrize("name", [*TOYS, "riemannian_lbfgs"])
def test_any_method_is_saved_and_resumed_bit_for_bit(name, generator, low_res, tmp_path):
    """Its state and its keys too: stopped after every chunk, in a folder, with other lanes' company each time."""
    problems = [Problem(low_res=image, index=i, restarts=2, seed=4) for i, image in enumerate(low_res)]
    config = config_of(name, steps=23, learning_rate=0.3)
    options = {"config": config, "lanes": 2, "chunk_steps": 5}
    undisturbed = {(s.index, s.restart): s for s in solve_stream(problems, generator, **options)}
    assert len(undisturbed) == 6

    class Stop(Exception):
        pass

    def stop(progress):
        if progress.done < 6:
            raise Stop

    found = {}
    for _ in range(60):
        left = [
            Problem(
                low_res=problem.low_res,
                index=problem.index,
                restarts=2,
                seed=4,
                ended={r: s.feasible for (i, r), s in found.items() if i == problem.index},
            )
            for problem in problems
        ]
        stream = solve_stream(left, generator, checkpoint_dir=tmp_path / "searches", on_chunk=stop, **options)
        with contextlib.suppress(Stop), contextlib.closing(stream):
            for solution in stream:
                found[solution.index, solution.restart] = solution
        if len(found) == 6:
            break
    assert found.keys() == undisturbed.keys()
    for place, solution in found.items():
        expected = undisturbed[place]
        assert (solution.loss, solution.steps, solution.status) == (expected.loss, expected.steps, expected.status)
        assert solution.evaluations == expected.evaluations
        np.testing.assert_array_equal(solution.latent, expected.latent)


def test_chance_is_the_searchs_own(generator, low_res):
    """Two restarts walk apart, the same one walks the same way again."""
    config = config_of("random_walk", steps=9)
    same = [looks(generator, config, low_res[0], jax.random.key(k), 9)[1][0] for k in (1, 1, 2)]
    np.testing.assert_array_equal(same[0], same[1])
    steps = [np.diff(way[:, 0], axis=0) for way in same]
    assert np.abs(steps[0] - steps[2]).max() > 0.1
    assert np.abs(steps[0]).min(axis=0).max() < np.abs(steps[0]).max()


def test_an_unknown_method_is_refused_before_the_search(generator, low_res):
    with pytest.raises(ValueError, match=r"method: expected one of gradient, .*, got 'newton'"):
        solve_stream([low_res[0]], generator, config=config_of("newton"))


def test_methods_see_feasibility(generator, low_res):
    config = config_of("gauss_newton_step", steps=40, stop="feasible", eps=1e-3)
    solutions = pulse_jax.upsample(generator, low_res, config=config)
    assert (solutions.status == Status.FEASIBLE).all()
    assert (solutions.steps < 40).all() and (solutions.steps == solutions.feasible_at).all()
