"""Chains driven together: what is tuned, what is kept, and how a killed run goes on."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from pulse_jax.engine.posterior import Sampling, drawn_pictures, sample_posterior
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search.posterior import posterior_config
from pulse_jax.search.samplers.registry import SAMPLERS
from tests.linear_networks import FACTOR, RESOLUTION, linear_generator

SIDE = RESOLUTION // FACTOR
EPS = 2e-3


linear = functools.cache(linear_generator)


def input_of(seed=0):
    return (0.5 + 0.1 * np.random.default_rng(seed).standard_normal((SIDE, SIDE, 3))).astype(np.float32)


def sampled(sampler="geodesic_hmc", *, generator=None, keep=lambda state: None, saved=None, **settings):
    given = {"chains": 3, "draws": 6, "warm_up": 160, "leapfrogs": 4} | settings
    return sample_posterior(
        linear() if generator is None else generator,
        input_of(),
        posterior_config(sampler, eps=EPS),
        Sampling(sampler=sampler, **given),
        keep=keep,
        saved=saved,
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_keeps_its_draws(sampler):
    drawn = sampled(sampler)
    assert drawn.draws["latent"].shape == (3, 6, 2, 6) and drawn.errors.shape == (3, 6)
    flat = drawn.draws["latent"].reshape(18, -1)
    assert np.all(np.isfinite(flat)) and len(np.unique(flat, axis=0)) > 9
    if sampler != "elliptical_slice":
        np.testing.assert_allclose(np.linalg.norm(drawn.draws["latent"], axis=-1), math.sqrt(6), rtol=1e-5)
    replicas = len(drawn.temperatures)
    assert drawn.temperatures[0] == 1 and sorted(drawn.temperatures) == list(drawn.temperatures)
    assert drawn.warm_up_looks == 160 * 3 * replicas and drawn.looks >= 3 * 6 * replicas
    assert 0 < drawn.acceptance[0] <= 1 and len(drawn.acceptance) == replicas
    assert len(drawn.exchanges) == replicas - 1 and all(0 <= one <= 1 for one in drawn.exchanges)


def test_sigma_is_such_that_draws_have_the_error_eps():
    drawn = sampled(chains=6, draws=60, warm_up=1600)
    assert drawn.errors.mean() == pytest.approx(EPS, rel=0.15)
    assert 0.6 < drawn.acceptance[0] < 0.97  # the step is tuned for 0.8


def test_a_given_sigma_is_that_of_the_draws():
    """The residuals of a posterior with less σ are smaller; that σ is given back."""
    narrow, wide = sampled(sigma=0.02, draws=30), sampled(sigma=0.2, draws=30)
    assert narrow.sigma == pytest.approx(0.02, rel=1e-6) and wide.sigma == pytest.approx(0.2, rel=1e-6)
    assert narrow.errors.mean() < wide.errors.mean()


def test_a_very_small_sigma_is_come_to_evenly():
    """Half of the warm-up is left to tune the step for it; random starts' errors are a hundred times σ²."""
    drawn = sampled(sigma=0.003, warm_up=640, draws=10)
    assert drawn.sigma == pytest.approx(0.003, rel=1e-6) and drawn.acceptance[0] > 0.4


def test_another_loss_is_refused():
    config = dataclasses.replace(posterior_config("geodesic_hmc"), loss="100*L2")
    with pytest.raises(ValueError, match="config: expected one of posterior_config, got the loss '100"):
        sample_posterior(linear(), input_of(), config, Sampling())


def test_pictures_that_are_no_numbers_are_told():
    broken = dataclasses.replace(linear(), params=linear().params * float("nan"))
    with pytest.raises(ValueError, match="expected finite pictures of random latents"):
        sampled(generator=broken)


class Killed(Exception):
    pass


@pytest.mark.parametrize("sampler", ["geodesic_hmc", "parallel_tempering"])
@pytest.mark.parametrize("at", [2, 11])
def test_a_killed_run_goes_on_bit_for_bit(sampler, at):
    """Killed while warming up, and while drawing."""
    kept = []

    def keep(state):
        kept.append([np.asarray(leaf) for leaf in jax.tree.leaves(state)])
        if len(kept) == at:
            raise Killed

    with pytest.raises(Killed):
        sampled(sampler, keep=keep)
    whole, resumed = sampled(sampler), sampled(sampler, saved=kept[-1])
    assert np.array_equal(whole.draws["latent"], resumed.draws["latent"])
    assert whole.sigma == resumed.sigma and whole.looks == resumed.looks


def test_pictures_are_those_of_the_draws():
    generator, config = linear(), posterior_config("geodesic_hmc", eps=EPS)
    drawn = sampled(generator=generator)
    pictures = np.stack([*drawn_pictures(generator, config, drawn)])
    assert pictures.shape == (18, RESOLUTION, RESOLUTION, 3) and pictures.dtype == np.uint8
    errors = np.mean(np.square(Bicubic(FACTOR).apply_float64(pictures / 255) - input_of()), axis=(1, 2, 3))
    np.testing.assert_allclose(errors, drawn.errors.reshape(-1), rtol=0.2, atol=1e-4)  # clipped and rounded


def test_another_seed_draws_others():
    assert not np.array_equal(sampled().draws["latent"], sampled(seed=1).draws["latent"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sampler": "gibbs"}, "sampler: expected one of geodesic_hmc, .*, got 'gibbs'"),
        ({"chains": 0}, "chains: expected 1 or more, got 0"),
        ({"draws": 0}, "draws: expected 1 or more"),
        ({"sigma": 0.0}, "sigma: expected a positive number"),
        ({"sigma": float("nan")}, "sigma: expected a positive number"),
    ],
)
def test_numbers_out_of_range_are_told(settings, text):
    with pytest.raises(ValueError, match=text):
        Sampling(**settings)
