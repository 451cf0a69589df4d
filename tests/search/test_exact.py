"""`exact`: the delivered picture downscales to its input, is judged as all else, and says how far it was moved."""

import dataclasses

import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.search import presets
from pulse_jax.search.curve import SLOTS
from pulse_jax.search.judge import Result, judge
from pulse_jax.search.problems import Problem, Status
from tests.tiny_networks import searchable_generator

TARGETS = np.random.default_rng(0).integers(90, 160, (3, 2, 2, 3)).astype(np.float32) / 255


@pytest.mark.parametrize("preset", ["pulse", "bicubic", "nearest"])
def test_an_exact_solution_is_the_plain_one_moved(preset):
    generator = searchable_generator()
    plain, exact = (
        upsample(generator, TARGETS, config=presets.PRESETS[preset](steps=5, eps=1e-4, exact=exact))
        for exact in (False, True)
    )
    assert not np.any(plain.moved) and np.all(exact.moved > 0)
    assert np.all(exact.downscaling_error < 2e-6) and np.all(exact.feasible) and not np.all(plain.feasible)
    assert np.all(exact.status == Status.FEASIBLE)
    moved = np.sqrt(np.mean(np.square(exact.images.astype(np.float64) - plain.images), axis=(2, 3, 4)))
    np.testing.assert_allclose(exact.moved, moved, rtol=1e-5)
    # The search is the same: its latents, and what it says of the picture as the generator drew it.
    for name in ("latents", "w", "search_error", "loss", "steps"):
        np.testing.assert_array_equal(getattr(exact, name), getattr(plain, name))


def test_it_compiles_nothing():
    config = presets.pulse(exact=True)
    assert config.structure == dataclasses.replace(config, exact=False).structure


def test_a_search_of_which_nothing_was_finite_stays_black():
    result = Result(
        picture=np.zeros((8, 8, 3), np.uint8),
        loss=np.float32(np.inf),
        search_error=np.float32(np.inf),
        latent=np.zeros((1, 2), np.float32),
        w=np.zeros((1, 2), np.float32),
        offsets={},
        noise=(),
        steps=np.int32(1),
        evaluations=np.int32(1),
        feasible_at=np.int32(0),
        curve=np.full(SLOTS, np.inf, np.float32),
        status=np.int32(Status.NONFINITE),
    )
    found = judge(Problem(low_res=TARGETS[0]), 0, result, presets.pulse(exact=True), np.zeros(2, np.uint32))
    assert not np.any(found.image) and found.moved == 0 and found.status == Status.NONFINITE and not found.feasible
