"""Variations: one latent, other noise, judged anew; each depends on its solution and its number alone."""

import dataclasses

import jax
import numpy as np
import pytest

from pulse_jax.engine.stream import solve_stream
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search import presets
from pulse_jax.search.problems import Problem
from pulse_jax.search.space import start
from pulse_jax.search.variations import redraw, redrawn_layers
from tests.tiny_networks import tiny_generator

# Of three noise inputs one is searched, one is zero, and the last is drawn and stays.
SETTINGS = {"noise": "trainable", "trainable_noise_layers": 1, "zeroed_noise_layers": (1,), "steps": 3, "eps": 0.03}
CONFIG = presets.pulse(**SETTINGS)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-8", contrast=0.05)


@pytest.fixture(scope="module")
def problem(generator):
    picture = np.clip(np.asarray(generator.sample(jax.random.key(3), 1)[0]), 0, 1)
    return Problem(low_res=Bicubic(2).apply_float64(picture).astype(np.float32), index=4, restarts=2, seed=9)


@pytest.fixture(scope="module")
def solution(generator, problem):
    return next(iter(solve_stream([problem], generator, config=CONFIG, lanes=2)))


@pytest.fixture(scope="module")
def variations(generator, problem, solution):
    return list(redraw(generator, CONFIG, problem, solution, range(1, 7)))


def test_only_noise_that_was_not_searched_is_drawn_anew(generator, solution, variations):
    assert redrawn_layers(CONFIG, len(generator.noise_shapes)) == (2,)
    assert [s.variation for s in variations] == [1, 2, 3, 4, 5, 6] and solution.variation == 0
    for one in variations:
        assert (one.index, one.restart, one.steps) == (solution.index, solution.restart, solution.steps)
        np.testing.assert_array_equal(one.latent, solution.latent)
        np.testing.assert_array_equal(one.key, solution.key)
        for layer, (new, old) in enumerate(zip(one.noise, solution.noise, strict=True)):
            assert np.array_equal(new, old) == (layer < 2)
    drawn = [one.noise[-1] for one in (solution, *variations)]
    assert len({noise.tobytes() for noise in drawn}) == len(drawn)
    # Standard normal, and with nothing in common with what the search drew.
    everything = np.stack([noise.ravel() for noise in drawn])
    assert abs(np.corrcoef(everything)[np.triu_indices(7, 1)]).max() < 0.5
    assert everything.std() == pytest.approx(1, abs=0.15)


def test_pictures_and_verdicts_are_their_own(problem, solution, variations):
    assert len({one.image.tobytes() for one in (solution, *variations)}) == 7
    for one in variations:
        small = Bicubic(2).apply_float64(np.rint(one.image * 255.0) / 255)
        assert one.downscaling_error == pytest.approx(np.mean((small - problem.low_res) ** 2), rel=1e-6)
        assert one.feasible == (one.downscaling_error <= CONFIG.eps)
        np.testing.assert_allclose(one.downscaled, small, atol=1e-6)
    assert len({one.loss for one in variations}) == 6


def test_a_verdict_can_be_either(generator, problem, solution, variations):
    errors = sorted(one.downscaling_error for one in variations)
    between = dataclasses.replace(CONFIG, eps=(errors[2] + errors[3]) / 2)
    again = list(redraw(generator, between, problem, solution, range(1, 7)))
    assert sum(one.feasible for one in again) == 3


def test_a_variation_depends_on_its_solution_and_number_alone(generator, problem, solution, variations):
    for numbers in ([6], [5, 2], [3, 1, 4, 1, 5]):
        for one in redraw(generator, CONFIG, problem, solution, numbers):
            other = variations[one.variation - 1]
            np.testing.assert_array_equal(one.image, other.image)
            assert (one.loss, one.downscaling_error) == (other.loss, other.downscaling_error)
            for a, b in zip(one.noise, other.noise, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("noise", ["zero", "fixed", "trainable"])
@pytest.mark.parametrize("trainable", [0, 2, 9])
@pytest.mark.parametrize("zeroed", [(), (0, 3)])
def test_what_is_redrawn_is_what_a_start_draws_and_does_not_search(generator, noise, trainable, zeroed):
    config = presets.pulse(noise=noise, trainable_noise_layers=trainable, zeroed_noise_layers=zeroed)
    _, fixed = start(generator, config, jax.random.key(0), jax.numpy.zeros((4, 4, 3)))
    drawn = [i for i, array in enumerate(fixed) if array is not None and array.any()]
    assert list(redrawn_layers(config, len(generator.noise_shapes))) == drawn


def test_wrong_arguments_are_named(generator, problem, solution):
    with pytest.raises(ValueError, match="expected noise inputs that are drawn and not searched"):
        next(redraw(generator, presets.pulse(noise="zero"), problem, solution, [1]))
    with pytest.raises(ValueError, match="numbers: expected 1 or more, got 0"):
        next(redraw(generator, CONFIG, problem, solution, [2, 0]))
