"""How sure a number is: intervals of means and shares, and tests of paired differences, as papers' tables need them.

Everything is a function of its arguments; what is drawn at random comes from a seed.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats

__all__ = ["bootstrap_interval", "holm", "mcnemar", "signed_rank", "wilson_interval"]

# Numbers that are drawn at once.
_AT_ONCE = 2**22


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, *, share: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of a mean by the percentiles of resampled means (Efron 1979).

    Args:
        values: Independent numbers, at least one; of one alone the interval is that number.
        share: Confidence, in (0, 1).
        resamples: How often as many numbers are drawn with replacement.
        seed: What draws come from.

    Raises:
        ValueError: No values.
    """
    numbers = np.asarray(values, np.float64)
    if not len(numbers):
        raise ValueError("values: expected at least one")
    rng = np.random.default_rng(seed)
    means: list[np.ndarray] = []
    at_once = max(1, _AT_ONCE // len(numbers))
    for begin in range(0, resamples, at_once):
        chosen = rng.integers(0, len(numbers), (min(at_once, resamples - begin), len(numbers)))
        means.append(numbers[chosen].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def wilson_interval(successes: int, trials: int, *, share: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share by Wilson 1927, which is none of width 0 where all or none succeed.

    Raises:
        ValueError: No trials, or more successes than trials.
    """
    found: Any = scipy.stats.binomtest(successes, trials)
    interval = found.proportion_ci(confidence_level=share, method="wilson")
    return float(interval.low), float(interval.high)


def signed_rank(first: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """Return the p-value of Wilcoxon's signed-rank test (1945), two-sided, of paired numbers; 1 where none differ.

    Raises:
        ValueError: They are not as many.
    """
    differences = np.asarray(other, np.float64) - np.asarray(first, np.float64)
    if not np.any(differences):
        return 1.0
    tested: Any = scipy.stats.wilcoxon(differences)
    return float(tested.pvalue)


def mcnemar(first: Sequence[bool] | np.ndarray, other: Sequence[bool] | np.ndarray) -> float:
    """Return the p-value of McNemar's test (1947), exact and two-sided, of paired verdicts; 1 where none differ.

    Raises:
        ValueError: They are not as many.
    """
    before, after = np.asarray(first, bool), np.asarray(other, bool)
    if before.shape != after.shape:
        raise ValueError(f"other: expected as many verdicts as in first, {before.shape}, got {after.shape}")
    gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    return float(scipy.stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being several by Holm's step-down method (1979), in their order.

    A value that is no number, of a test that could not be made, stays one and is not counted.
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    corrected, highest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected
