"""Intervals and tests, against closed forms, published examples and simulation."""

import math

import numpy as np
import pytest

from pulse_jax.reports.statistics import bootstrap_interval, holm, mcnemar, signed_rank, wilson_interval


def test_the_bootstrap_of_many_numbers_is_the_normal_interval():
    values = np.random.default_rng(1).normal(3.0, 2.0, 2000)
    low, high = bootstrap_interval(values)
    half = 1.959964 * values.std() / math.sqrt(len(values))
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.006)
    assert bootstrap_interval(values) == (low, high) != bootstrap_interval(values, seed=1)


def test_the_bootstrap_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.exponential(1.0, (400, 60))
    inside = [low <= 1.0 <= high for low, high in (bootstrap_interval(row, resamples=500) for row in draws)]
    assert 0.90 < np.mean(inside) < 0.98


def test_the_bootstrap_of_one_number_is_that_number_and_of_none_an_error():
    assert bootstrap_interval([2.5]) == (2.5, 2.5)
    with pytest.raises(ValueError, match="values: expected at least one"):
        bootstrap_interval([])


def test_wilson_by_its_formula():
    # (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)
    z, n, p = 1.959963985, 25, 20 / 25
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = [(p + z * z / (2 * n) + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
    np.testing.assert_allclose(wilson_interval(20, 25), expected, rtol=1e-8)
    low, high = wilson_interval(100, 100)
    assert high == 1.0 and 0.96 < low < 0.97


def test_signed_ranks_by_counting_all_signs():
    # Differences 1, 2, 3, 4, -5 without ties: W- = 5; of 32 sign patterns 10 have a rank sum of at most 5.
    first = np.zeros(5)
    assert signed_rank(first, [1.0, 2.0, 3.0, 4.0, -5.0]) == pytest.approx(2 * 10 / 32)
    assert signed_rank([1.0, 2.0], [1.0, 2.0]) == 1.0


def test_mcnemar_by_binomials():
    first = np.array([True] * 9 + [False] * 11)
    other = np.array([True] * 8 + [False] + [True] * 7 + [False] * 4)
    # One lost, seven gained: 2 (C(8,0) + C(8,1)) / 2⁸.
    assert mcnemar(first, other) == pytest.approx(2 * 9 / 256)
    assert mcnemar(first, first) == 1.0
    with pytest.raises(ValueError, match="other: expected as many"):
        mcnemar(first, other[:3])


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    corrected = holm([0.5, math.nan, 0.4])
    assert corrected[0] == corrected[2] == pytest.approx(0.8) and math.isnan(corrected[1])
    assert holm([]) == []
