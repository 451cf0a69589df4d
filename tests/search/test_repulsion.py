"""Repulsion between an image's searches: the kernel by its formula, what it makes of points, and steps together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pulse_jax
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.problems import Status
from pulse_jax.search.repulsion import Repulsion, median_bandwidth
from pulse_jax.search.together import step_together
from tests.search.methods.driver import NOISE, ROUND, D, look_at, method_of, spread, start_of

METHODS = ("gradient", "riemannian_lbfgs")
MATRIX = spread()


@jax.jit
def of(points, place, weight=2.0):
    """What all other points do to the one at a place."""
    present = jnp.ones(len(points), bool)
    others = jnp.arange(len(points)) != place
    return Repulsion(points, others, median_bandwidth(points, present), jnp.float32(weight))


@jax.jit
def at(repulsion, latent):
    return repulsion.at(latent)


def cloud(count, rows=2, seed=0):
    return np.stack([start_of(rows, seed=seed + k) for k in range(count)])


def energy(points, place, weight, latent):
    """The term by NumPy alone, in float64."""
    points = np.asarray(points, np.float64)
    count = len(points)
    squares = [np.sum((points[i] - points[j]) ** 2) for i in range(count) for j in range(i)]
    width = np.median(squares) / np.log(count)
    kernels = [np.exp(-np.sum((latent - points[j]) ** 2) / width) for j in range(count) if j != place]
    return weight * np.mean(kernels)


@pytest.mark.parametrize("count", [2, 4])
def test_the_term_and_its_gradient_are_those_of_the_formula(count):
    points = cloud(count)
    repulsion, latent = of(points, 1), np.asarray(points[1], np.float64)
    value, gradient = at(repulsion, points[1])
    np.testing.assert_allclose(value, energy(points, 1, 2.0, latent), rtol=1e-5)
    automatic = jax.jit(jax.grad(lambda x: repulsion.at(x)[0]))(points[1])
    np.testing.assert_allclose(gradient, automatic, rtol=1e-5, atol=1e-7)
    for seed in range(3):
        way = np.random.default_rng(seed).standard_normal(latent.shape)
        ahead, back = (energy(points, 1, 2.0, latent + sign * 1e-5 * way) for sign in (1, -1))
        np.testing.assert_allclose(np.sum(gradient * way), (ahead - back) / 2e-5, rtol=1e-4)


def test_the_bandwidth_is_that_of_those_present():
    points, present = cloud(4), np.array([True, False, True, False])
    points[3] = np.nan
    width = jax.jit(median_bandwidth)
    expected = np.sum(np.square(points[0] - points[2])) / np.log(2)
    np.testing.assert_allclose(width(points, present), expected, rtol=1e-6)
    assert np.isfinite(width(points, np.zeros(4, bool)))


def test_who_does_not_count_does_nothing_not_even_a_nan():
    points = cloud(3)
    wanted = Repulsion(points, np.array([False, True, False]), np.float32(1), np.float32(1))
    poisoned = points.copy()
    poisoned[2] = np.nan
    jax.tree.map(np.testing.assert_array_equal, at(wanted._replace(points=poisoned), points[0]), at(wanted, points[0]))
    value, gradient = at(of(np.stack([points[0]] * 3), 0), points[0])
    assert np.isfinite(value) and not np.any(gradient)


def test_rotating_the_points_rotates_the_push():
    points = cloud(4)
    rotation = np.linalg.qr(np.random.default_rng(7).standard_normal((D, D)))[0].astype(np.float32)
    value, gradient = at(of(points, 2), points[2])
    turned = points @ rotation
    same, rotated = at(of(turned, 2), turned[2])
    np.testing.assert_allclose(same, value, rtol=1e-5)
    np.testing.assert_allclose(rotated, gradient @ rotation, atol=1e-6)


def rayleigh(latent):
    return 0.5 * jnp.sum(latent * (latent @ MATRIX))


@functools.partial(jax.jit, static_argnames=("name", "whole"))
def driven(name, starts, share, weight, held, whole=False):
    """The latents (60, k, rows, D) that k methods look at, of `share` times a loss and the repulsion beside it; `held`,
    what repels stays at the starts; `whole`, repulsion is put into the loss instead.
    """
    method = method_of(name, ROUND, 0.2, optimizer="riemannian_sgd", schedule="fixed")
    points = {"latent": starts, "noise": jnp.broadcast_to(NOISE, (len(starts), *NOISE.shape))}
    states = jax.vmap(lambda point: method.init(point, jax.random.key(0)))(points)

    def look(carry, _):
        points, states = carry
        others = jnp.where(held, starts, points["latent"])

        def one(point, state, place):
            repulsion = of(others, place, weight)

            def loss(latent):
                return share * rayleigh(latent) + (repulsion.at(latent)[0] if whole else 0.0)

            seen = look_at(loss, point)._replace(repulsion=None if whole else repulsion)
            return method.update(jax.random.key(0), state, seen)

        return jax.vmap(one)(points, states, jnp.arange(len(starts))), points["latent"]

    return jax.lax.scan(look, (points, states), length=60)[1]


@pytest.mark.parametrize("name", METHODS)
def test_two_points_without_another_loss_go_to_antipodes(name):
    """On every row's sphere: there the distance of two points is the largest."""
    near = np.asarray(start_of(2))
    starts = np.stack([near, near + 0.1 * start_of(2, seed=1)])
    starts /= np.linalg.norm(starts, axis=-1, keepdims=True)
    ways = np.asarray(driven(name, starts, 0.0, 3.0, False))
    np.testing.assert_allclose(np.sum(ways[-1, 0] * ways[-1, 1], axis=-1), -1.0, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(ways[-1], axis=-1), 1.0, rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_among_others_that_stand_still_the_way_is_that_of_the_sum(name):
    """A line search sees one loss then, whether the term is in it or beside it."""
    starts = cloud(2)
    beside, inside = (np.asarray(driven(name, starts, 1.0, 5.0, True, whole=whole)) for whole in (False, True))
    np.testing.assert_allclose(beside[:8], inside[:8], atol=5e-4)
    apart = driven(name, starts, 1.0, 0.0, True)
    assert np.abs(beside[7] - apart[7]).max() > 1e-2


SIDE, WIDTH = 8, 6
SETTINGS = {"space": "z", "start": "uniform", "loss": "100*L2", "noise": "zero", "steps": 12, "stop": "never"}


@pytest.fixture(scope="module")
def generator():
    def draw(params, w, noise):
        del noise
        return 0.5 + 0.3 * jnp.tanh(params @ w[0]).reshape(SIDE, SIDE, 3)

    matrix = np.random.default_rng(0).standard_normal((SIDE * SIDE * 3, WIDTH)).astype(np.float32) / 10
    return pulse_jax.Generator.from_function(draw, matrix, resolution=SIDE, latent_dim=WIDTH)


CONFIGS = {name: presets.PRESETS[name](**SETTINGS, repulsion=5.0) for name in ("fast", "pulse")}


@pytest.fixture(scope="module")
def states(generator):
    """Three searches of one image, by preset."""
    target = jnp.asarray(Bicubic(2).apply(generator.sample(jax.random.key(1), 1)[0]))
    keys = jax.random.split(jax.random.key(2), 3)
    init = jax.jit(jax.vmap(search.init, (None, None, None, 0)), static_argnums=1)
    return {name: init(generator, config, target, keys) for name, config in CONFIGS.items()}


_together = jax.jit(step_together, static_argnames=("config", "in_turn"))
_alone = jax.jit(search.step, static_argnames="config")


def stepped(generator, states, name, *, in_turn=True, weight=5.0):
    config = CONFIGS[name]
    return _together(generator, config.structure, states, config.numbers | {"repulsion": weight}, in_turn=in_turn)


def one_by_one(generator, states, name, repulsion):
    """Each by `step`, with what repels it if anything does."""
    config = CONFIGS[name]
    lanes = [jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], states) for k in range(3)]
    stepped = [
        _alone(generator, config.structure, lane, config.numbers, repulsion(k))[0] for k, lane in enumerate(lanes)
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *stepped)


def close(one, other):
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        one.variables["latent"],
        other.variables["latent"],
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_steps_in_turn_are_those_of_each_with_what_repels_it(generator, states, name):
    state = states[name]
    for _ in range(3):
        points = np.asarray(state.variables["latent"])
        expected = one_by_one(generator, state, name, lambda k, points=points: of(points, k, 5.0))
        state = stepped(generator, state, name)
        close(state, expected)
        assert np.array_equal(state.steps, expected.steps)


def test_steps_at_once_are_those_in_turn(generator, states):
    at_once = in_turn = states["pulse"]
    for _ in range(4):
        at_once = stepped(generator, at_once, "pulse", in_turn=False)
        in_turn = stepped(generator, in_turn, "pulse")
    close(at_once, in_turn)


def test_without_weight_each_goes_its_own_way(generator, states):
    state = states["pulse"]
    for _ in range(3):
        expected = one_by_one(generator, state, "pulse", lambda k: None)
        state = stepped(generator, state, "pulse", weight=0.0)
        close(state, expected)


def test_who_has_ended_repels_and_who_failed_does_not(generator, states):
    state = states["pulse"]

    def after(status, latent):
        points, statuses = np.array(state.variables["latent"]), np.array(state.status)
        points[0], statuses[0] = latent, status
        changed = state._replace(status=statuses, variables=state.variables | {"latent": points})
        result = stepped(generator, changed, "pulse")
        np.testing.assert_array_equal(result.variables["latent"][0], points[0])
        assert int(result.steps[0]) == 0
        return np.asarray(result.variables["latent"][1:])

    here = np.asarray(state.variables["latent"][0])
    assert np.abs(after(Status.FEASIBLE, here) - after(Status.FEASIBLE, -here)).max() > 1e-3
    failed = [after(status, latent) for status in (Status.NONFINITE, Status.EMPTY) for latent in (here, np.nan)]
    for found in failed:
        np.testing.assert_array_equal(found, failed[0])


def test_another_weight_is_data_of_one_program(generator, states):
    found = [stepped(generator, states["fast"], "fast", weight=1.0)]
    programs = _together._cache_size()
    found.append(stepped(generator, states["fast"], "fast", weight=7.0))
    assert _together._cache_size() == programs
    assert CONFIGS["fast"].structure == presets.fast(**SETTINGS, repulsion=7.0).structure
    assert CONFIGS["fast"].structure != presets.fast(**SETTINGS).structure
