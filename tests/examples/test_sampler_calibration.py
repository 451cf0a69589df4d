"""Samplers are calibrated: ranks of truths among draws of their posteriors are uniform."""

import numpy as np
import pytest
import scipy.stats

from examples.benchmarks.sampler_calibration import DRAWS, SIGMA, histograms, ranks
from pulse_jax.search.samplers.registry import SAMPLERS


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_ranks_are_uniform(sampler):
    found = ranks(sampler, 256)
    assert found.shape == (256, 4)
    for column in found.T:
        counts = np.bincount(column, minlength=DRAWS + 1)
        assert scipy.stats.chisquare(counts).pvalue > 1e-4, counts


def test_a_posterior_that_is_too_narrow_is_seen():
    """Truths lie beyond its draws; so much is seen by 256 simulations."""
    found = ranks("geodesic_hmc", 256, told=SIGMA / 2)
    worst = min(scipy.stats.chisquare(np.bincount(column, minlength=DRAWS + 1)).pvalue for column in found.T)
    assert worst < 1e-4
    assert histograms({"one": found, "two": found}).shape[2] == 3
