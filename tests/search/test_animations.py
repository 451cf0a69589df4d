"""Animations: a search from its start to what it delivers, and the way from one solution to another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.stream import solve_stream
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.rounding import quantize
from pulse_jax.manifold import sphere
from pulse_jax.manifold.sphere import slerp
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.animations import morph, replay
from pulse_jax.search.objective import decode
from pulse_jax.search.problems import Problem, Start, image_number, problem_key
from tests.tiny_networks import tiny_generator

CONFIG = presets.pulse(steps=60, eps=5e-4)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-4", contrast=0.1)


@pytest.fixture(scope="module")
def problem(generator):
    picture = np.clip(np.asarray(generator.sample(jax.random.key(5), 1)[0]), 0, 1)
    return Problem(low_res=Bicubic(2).apply_float64(picture).astype(np.float32), restarts=4)


@pytest.fixture(scope="module")
def solutions(generator, problem):
    found = sorted(solve_stream([problem], generator, config=CONFIG, lanes=2), key=lambda s: s.restart)
    assert any(s.feasible and s.steps > 3 for s in found)
    return found


def levels(image):
    return np.rint(np.asarray(image) * 255).astype(int)


def first_picture(generator, config, problem, restart):
    key = problem_key(problem.seed, image_number(problem.low_res), restart)
    start = jax.tree.map(lambda array: jnp.asarray(array[restart]), problem.start)
    latent, noise = (None, None) if start is None else start
    state = search.init(generator, config, jnp.asarray(problem.low_res), key, latent, noise)
    return np.asarray(quantize(decode(generator, config, state.variables, state.fixed_noise)[0])[0], int)


def test_a_replay_goes_from_the_start_to_what_was_delivered(generator, problem, solutions):
    for solution in solutions:
        frames = replay(generator, CONFIG, problem, solution.restart, solution.steps)
        assert frames.dtype == np.uint8 and frames.shape == (min(solution.steps, 50), 4, 4, 3)
        assert abs(frames[0] - first_picture(generator, CONFIG, problem, solution.restart)).max() <= 1
        if solution.feasible:
            assert abs(frames[-1] - levels(solution.image)).max() <= 1


def test_a_replay_begins_at_a_given_start(generator, problem, solutions):
    latents = np.stack([solution.latent for solution in solutions])
    noise = tuple(np.stack(layer) for layer in zip(*(solution.noise for solution in solutions), strict=True))
    for start in (Start(latents), Start(latents, noise)):
        given = Problem(low_res=problem.low_res, restarts=4, start=start)
        frames = replay(generator, CONFIG, given, 2, 1)
        assert len(frames) == 1
        assert abs(frames[0] - first_picture(generator, CONFIG, given, 2)).max() <= 1
    assert abs(frames[0] - levels(solutions[2].image)).max() <= 1


def test_frames_are_evenly_spaced_looks(generator, problem):
    config = presets.pulse(steps=140, stop="never")
    every = [replay(generator, config, problem, 0, steps)[-1] for steps in (1, 4, 137, 140)]
    frames = replay(generator, config, problem, 0, 140)
    assert len(frames) == 50
    for place, picture in zip((0, 1, 48, 49), every, strict=True):
        np.testing.assert_array_equal(frames[place], picture)


@pytest.mark.slow
@pytest.mark.parametrize("norms", [(2.0, 2.0), (1.0, 3.0)])
def test_slerp_keeps_to_its_spheres_at_constant_speed(norms):
    x, y = (sphere.random_uniform(jax.random.key(i), (3, 5), radius=norm) for i, norm in enumerate(norms))
    ways = np.linspace(0, 1, 9, dtype=np.float32)
    path = jax.vmap(lambda way: slerp(x, y, way))(ways)
    np.testing.assert_allclose(path[0], x, atol=1e-5)
    np.testing.assert_allclose(path[-1], y, atol=1e-5)
    expected = norms[0] + ways * (norms[1] - norms[0])
    np.testing.assert_allclose(sphere.norm(path), np.broadcast_to(expected[:, None], (9, 3)), rtol=1e-5)
    unit = path / sphere.norm(path)[..., None]
    angles = sphere.distance(unit[:-1], unit[1:], radius=1.0)
    np.testing.assert_allclose(angles, jnp.broadcast_to(angles[:1], angles.shape), rtol=1e-3)
    np.testing.assert_allclose(angles.sum(0), sphere.distance(unit[0], unit[-1], radius=1.0), rtol=1e-4)


def test_slerp_of_zeros_and_of_equals_stands_still():
    zero, one = jnp.zeros(4), jnp.ones(4)
    for way in (0.0, 0.3, 1.0):
        np.testing.assert_array_equal(slerp(zero, zero, jnp.float32(way)), zero)
        np.testing.assert_allclose(slerp(one, one, jnp.float32(way)), one, rtol=1e-6)


@pytest.mark.parametrize("preset", [presets.pulse, presets.pulse_2020])
def test_a_morph_ends_at_the_solutions(generator, problem, preset):
    config = preset(steps=3)
    one, other = solve_stream([Problem(low_res=problem.low_res, restarts=2)], generator, config=config, lanes=2)
    frames = morph(generator, config, one, other, frames=5)
    assert frames.dtype == np.uint8 and frames.shape == (5, 4, 4, 3)
    assert abs(frames[0] - levels(one.image)).max() <= 1 and abs(frames[-1] - levels(other.image)).max() <= 1
    assert len({frame.tobytes() for frame in frames}) == 5
    np.testing.assert_allclose(morph(generator, config, other, one, frames=5)[::-1].astype(int), frames, atol=1)
