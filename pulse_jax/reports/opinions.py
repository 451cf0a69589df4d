"""What raters think of methods: mean opinion scores with intervals, and tests between all pairs of methods.

As in the PULSE paper (Menon et al. 2020, section 4.3, table 1): raters give pictures of every method 1 (worst) to 5
(best), and all pairs of methods are compared by the Mann–Whitney U test, here with Holm's correction for their number.

The test takes every rating for an independent one, as the paper does. They are not: a rater who is strict is so with
every picture, and pictures of one input share what is hard in it. Its p-values are therefore too small, the more so the
more pictures each rater has rated. The intervals do not assume it: raters and inputs are drawn again, each with all of
its ratings.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy import stats

from pulse_jax.reports.statistics import holm

__all__ = ["LEVEL", "RESAMPLES", "MethodOpinion", "Opinions", "PairTest", "compare_pairs", "mean_opinions"]

LEVEL = 0.95
"""Level of the intervals."""
RESAMPLES = 10_000
"""How many resamples an interval is of."""
# Numbers that are held at once while resampling.
_HELD = 2**24


@dataclass(frozen=True, eq=False)
class Opinions:
    """Ratings of a study.

    Attributes:
        methods: Names of the methods.
        inputs: Names of the inputs, of which each method made a picture.
        scores: Ratings 1 to 5 by rater, input and method; 0 where there is none.
    """

    methods: tuple[str, ...]
    inputs: tuple[str, ...]
    scores: UInt8[np.ndarray, "raters inputs methods"]

    def of(self, method: str) -> UInt8[np.ndarray, " ratings"]:
        """Return all ratings of a method, by rater and then by input."""
        scores = self.scores[:, :, self.methods.index(method)]
        return scores[scores > 0]


@dataclass(frozen=True)
class MethodOpinion:
    """What raters think of one method.

    Attributes:
        method: Its name.
        mos: Mean of its ratings, 1 to 5; None if it has none.
        low: Lower end of the interval; None without ratings.
        high: Upper end.
        ratings: How many ratings it has.
    """

    method: str
    mos: float | None
    low: float | None
    high: float | None
    ratings: int


@dataclass(frozen=True)
class PairTest:
    """A two-sided Mann–Whitney U test between all ratings of two methods.

    Attributes:
        first: Name of one method.
        second: Name of the other.
        u: U of the first: how many pairs of a rating of each the first wins, ties counting half.
        share: U by the number of such pairs: the chance that a rating of the first is above one of the second.
        p: p-value.
        p_holm: p-value by Holm's correction for all pairs.
    """

    first: str
    second: str
    u: float
    share: float
    p: float
    p_holm: float


def mean_opinions(opinions: Opinions, *, seed: int = 0, resamples: int = RESAMPLES) -> list[MethodOpinion]:
    """Return the mean opinion score of every method with a 95 % interval, the best first.

    The interval is a percentile bootstrap over raters and over inputs, both at once: each resample draws as many
    raters, and as many inputs, as there are, with replacement, and takes the mean of the ratings that drawn raters gave
    drawn inputs, each as often as both were drawn (the pigeonhole bootstrap, Owen 2007, Annals of Applied Statistics
    1(2), 386-411; it errs towards wide intervals). Of a single rater, or input, what others would say is unknown: the
    interval then covers the other kind alone. Percentiles are too narrow where there are few raters.

    Args:
        opinions: The ratings.
        seed: What resamples are drawn from.
        resamples: How many are drawn; methods share them.
    """
    means = np.concatenate([*_resampled_means(opinions.scores, np.random.default_rng(seed), resamples)])
    found = [_opinion(method, opinions.of(method), means[:, i]) for i, method in enumerate(opinions.methods)]
    return sorted(found, key=lambda one: (one.mos is None, -(one.mos or 0), one.method))


def _opinion(
    method: str, scores: UInt8[np.ndarray, " ratings"], means: Float[np.ndarray, " resamples"]
) -> MethodOpinion:
    if not len(scores):
        return MethodOpinion(method, None, None, None, 0)
    # Of sparse ratings some resamples have none.
    low, high = np.quantile(means[~np.isnan(means)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return MethodOpinion(method, float(scores.mean()), float(low), float(high), len(scores))


def _resampled_means(
    scores: UInt8[np.ndarray, "raters inputs methods"], rng: np.random.Generator, resamples: int
) -> Iterator[Float[np.ndarray, "part methods"]]:
    """Means of resamples, some at a time; NaN where nothing is rated."""
    raters, inputs, methods = scores.shape
    part = max(1, _HELD // (raters + inputs))
    for done in range(0, resamples, part):
        size = min(part, resamples - done)
        often = rng.multinomial(raters, np.full(raters, 1 / raters), size).astype(np.float64)
        weight = rng.multinomial(inputs, np.full(inputs, 1 / inputs), size).astype(np.float64)
        means = np.full((size, methods), np.nan)
        for i in range(methods):
            given = scores[:, :, i].astype(np.float64)
            total, count = (((often @ values) * weight).sum(axis=1) for values in (given, np.sign(given)))
            np.divide(total, count, out=means[:, i], where=count > 0)
        yield means


def compare_pairs(opinions: Opinions, methods: Sequence[str]) -> list[PairTest]:
    """Return the test of every pair of methods.

    Args:
        opinions: The ratings.
        methods: Names of methods that have ratings; pairs come in their order.
    """
    tests: list[tuple[str, str, float, float, float]] = []
    for first, second in itertools.combinations(methods, 2):
        one, other = opinions.of(first), opinions.of(second)
        # As float64, since differences of uint8 have no sign.
        result = stats.mannwhitneyu(one.astype(np.float64), other.astype(np.float64), alternative="two-sided")
        share = result.statistic / (len(one) * len(other))
        tests.append((first, second, float(result.statistic), float(share), float(result.pvalue)))
    corrected = holm([test[-1] for test in tests])
    return [PairTest(*test, p_holm) for test, p_holm in zip(tests, corrected, strict=True)]
