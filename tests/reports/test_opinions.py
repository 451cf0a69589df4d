"""What raters think: means, intervals and tests, against formulas, scipy's documentation and the paper's claim."""

import csv
import io

import numpy as np
import pytest

from pulse_jax.reports.opinion_tables import methods_csv, opinion_tables, opinions_markdown, ratings_csv
from pulse_jax.reports.opinions import Opinions, compare_pairs, mean_opinions


def opinions(scores, methods=None):
    """Ratings (raters, inputs, methods), 0 for none."""
    scores = np.asarray(scores, np.uint8)
    methods = methods or [f"m{i}" for i in range(scores.shape[2])]
    return Opinions(tuple(methods), tuple(f"i{i}" for i in range(scores.shape[1])), scores)


def test_the_best_method_comes_first_and_only_ratings_count():
    scores = [[[1, 5, 0], [2, 4, 0]], [[0, 5, 0], [3, 0, 0]]]
    best, second, none = mean_opinions(opinions(scores, ["a", "b", "c"]), resamples=100)
    assert (best.method, best.mos, best.ratings) == ("b", 14 / 3, 3)
    assert (second.method, second.mos, second.ratings) == ("a", 2.0, 3)
    assert (none.method, none.mos, none.low, none.high, none.ratings) == ("c", None, None, None, 0)


@pytest.mark.parametrize(("raters", "inputs"), [(40, 40), (1, 40), (40, 1)])
def test_intervals_are_those_of_raters_and_inputs_drawn_again(raters, inputs):
    """Where a rating is a rater's part and an input's, a resample's mean is the sum of both parts' means."""
    rng = np.random.default_rng(1)
    strict, easy = rng.integers(0, 3, raters), rng.integers(1, 4, inputs)
    (one,) = mean_opinions(opinions((strict[:, None] + easy)[:, :, None]), seed=3)
    deviation = np.sqrt(strict.var() / raters + easy.var() / inputs)
    middle = strict.mean() + easy.mean()
    assert one.mos == pytest.approx(middle) and one.low is not None and one.high is not None
    # Percentiles of 10,000 draws of a mean that is nearly normal: its steps are 1/40.
    assert (one.high - one.low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.06)
    assert one.low < middle < one.high


def test_drawing_ratings_alone_would_make_intervals_far_too_narrow():
    """Raters differ, and nothing else: the mean is only as sure as there are raters, whatever they rate."""
    scores = np.repeat([[1], [5], [1], [5], [3], [4]], 100, axis=1)[:, :, None]
    (one,) = mean_opinions(opinions(scores))
    assert one.low is not None and one.high is not None and one.ratings == 600
    assert one.high - one.low > 10 * 2 * 1.96 * scores.std() / np.sqrt(scores.size) / 2


def test_intervals_repeat_themselves_and_follow_the_seed():
    scores = np.random.default_rng(0).integers(1, 6, (5, 7, 2))
    assert mean_opinions(opinions(scores)) == mean_opinions(opinions(scores))
    assert mean_opinions(opinions(scores)) != mean_opinions(opinions(scores), seed=1)


def test_resamples_without_a_rating_are_left_out():
    scores = np.zeros((6, 1, 2))
    scores[0, 0] = 4, 2
    for one in mean_opinions(opinions(scores)):
        assert one.low == one.mos == one.high


def test_the_test_is_that_of_scipys_documentation(monkeypatch):
    """U 17 of 20 pairs and p 0.111 are there, of ages at which diabetes was found."""
    males, females = [19, 22, 16, 29, 24], [20, 11, 17, 12]
    ages = {"males": np.array(males, np.uint8), "females": np.array(females, np.uint8)}
    monkeypatch.setattr(Opinions, "of", lambda self, method: ages[method])
    (pair,) = compare_pairs(opinions(np.ones((1, 1, 2)), [*ages]), [*ages])
    assert (pair.first, pair.second, pair.u, pair.share) == ("males", "females", 17, 17 / 20)
    assert pair.p == pytest.approx(0.1111, abs=1e-4) and pair.p_holm == pair.p


def test_u_counts_pairs_and_ties_half_and_p_is_corrected_for_all_pairs():
    rng = np.random.default_rng(2)
    scores = rng.integers(1, 6, (6, 5, 3))
    scores[1, 2, 0] = 0
    given = opinions(scores)
    tests = compare_pairs(given, ["m1", "m0", "m2"])
    assert [(one.first, one.second) for one in tests] == [("m1", "m0"), ("m1", "m2"), ("m0", "m2")]
    for one in tests:
        a, b = (given.of(name).astype(int)[:, None] for name in (one.first, one.second))
        assert one.u == np.sum(a > b.T) + np.sum(a == b.T) / 2 and one.share == one.u / (len(a) * len(b))
    smallest, middle, largest = sorted(tests, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(min(1, 3 * smallest.p))
    assert middle.p_holm == pytest.approx(max(smallest.p_holm, min(1, 2 * middle.p)))
    assert largest.p_holm == pytest.approx(max(middle.p_holm, largest.p))


def test_scores_like_the_papers_differ_as_it_says():
    """Menon et al. 2020, table 1: with 40 raters of 240 pictures all 15 differences had p below 1e-5."""
    means = {"HR": 3.74, "Nearest": 1.01, "Bicubic": 1.34, "FSRNet": 2.77, "FSRGAN": 2.92, "PULSE": 3.60}
    rng = np.random.default_rng(0)
    scores = np.clip(np.round(rng.normal([*means.values()], 0.5, (40, 40, 6))), 1, 5)
    found = opinions(scores, [*means])
    assert [one.method for one in mean_opinions(found, resamples=500)] == sorted(means, key=lambda name: -means[name])
    tests = compare_pairs(found, [*means])
    assert len(tests) == 15 and all(one.p_holm < 1e-5 for one in tests)


def test_ratings_that_are_all_alike_do_not_differ():
    same = opinions(np.full((3, 2, 2), 4))
    assert all(one.low == one.mos == one.high == 4 for one in mean_opinions(same, resamples=50))
    (pair,) = compare_pairs(same, ["m0", "m1"])
    assert (pair.share, pair.p, pair.p_holm) == (0.5, 1, 1)
    assert compare_pairs(same, ["m0"]) == []


def test_tables_hold_the_numbers():
    given = opinions([[[1, 5, 0], [2, 4, 0]], [[0, 5, 0], [3, 0, 0]]], ["a|b", "\x1b[31mred", "none"])
    methods = mean_opinions(given, resamples=50)
    tables = opinion_tables(methods, compare_pairs(given, [one.method for one in methods if one.ratings]))
    text = opinions_markdown(tables)
    assert "| a\\|b | 2.00 |" in text and "\x1b" not in text and "| none |  |" in text and "independent" in text
    rows = [*csv.reader(io.StringIO(methods_csv(methods)))]
    assert rows[0] == ["method", "mos", "low", "high", "ratings"] and rows[-1] == ["none", "", "", "", "0"]
    assert rows[1][:2] == ["\x1b[31mred", str(14 / 3)]
    rows = [*csv.reader(io.StringIO(ratings_csv(given)))]
    assert rows[0] == ["rater", "method", "input", "score"] and len(rows) == 7
    assert rows[1] == ["1", "a|b", "i0", "1"] and rows[-1] == ["2", "a|b", "i1", "3"]
    assert len(opinion_tables(methods[:1], [])) == 1
