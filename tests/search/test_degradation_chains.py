"""A search inverts a chain as it does downscaling: it follows its gradient and is judged by it."""

import dataclasses

import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.search.degradation import starts_near
from pulse_jax.search.presets import fast, pulse
from tests.tiny_networks import tiny_generator

SIDE = 8
MASK = "mask(0, 0, 0.5, 0.5)"


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-8", contrast=0.1)


@pytest.mark.parametrize("text", [f"{MASK}|gray"])
def test_solutions_are_judged_by_the_chain_and_come_nearer_by_it(generator, text):
    known = np.ones((SIDE, SIDE, 1))
    known[: SIDE // 2, : SIDE // 2] = 0
    target = (known * np.full((SIDE, SIDE, 3), 0.4)).astype(np.float32)
    errors = []
    for steps in (1, 30):
        found = upsample(generator, target, config=pulse(steps=steps, degradation=text, stop="never"))
        image = found.images[0, 0].astype(np.float64) * known
        if "gray" in text:
            image = np.repeat(image @ np.array([[0.299], [0.587], [0.114]]), 3, axis=-1)
        np.testing.assert_allclose(found.downscaled[0, 0], image, atol=1e-6)
        np.testing.assert_allclose(found.downscaling_error[0, 0], np.mean(np.square(image - target)), rtol=1e-5)
        errors.append(found.downscaling_error[0, 0])
    assert errors[1] < 0.7 * errors[0]


def test_a_chain_of_one_is_its_degradation(generator):
    target = np.full((2, 2, 3), 0.4, np.float32)
    one, other = (upsample(generator, target, config=pulse(steps=2, degradation=name)) for name in ("area", "area(4)"))
    np.testing.assert_array_equal(one.images, other.images)


def test_starts_by_a_surrogate_are_for_plain_downscaling():
    assert starts_near(fast()) and starts_near(fast(degradation="area"))
    assert not starts_near(fast(degradation="blur(1)|bicubic")) and not starts_near(pulse())


def test_what_no_search_inverts_is_refused_by_its_settings():
    for text, message in (("bicubic|jpeg(50)", "degradation: expected what a search can invert"), ("sinc", "place 1")):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(pulse(), degradation=text)
