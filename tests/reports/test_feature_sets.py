"""Sets of features against each other, by definitions and by sets whose answer is known."""

import itertools

import numpy as np
import pytest

from pulse_jax.reports.feature_sets import kernel_distance, precision_recall

RNG = np.random.default_rng(0)


def test_the_kernel_distance_is_its_definition():
    x, y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3)) + 1

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    within = sum(kernel(p[i], p[j]) for p in (x, y) for i, j in itertools.permutations(range(6), 2)) / 30
    across = sum(kernel(a, b) for a in x for b in y) / 36
    mean, deviation = kernel_distance(x, y, subsets=3)
    assert mean == pytest.approx(within - 2 * across) and deviation == pytest.approx(0, abs=1e-12)


def test_the_kernel_distance_has_no_bias():
    found = [kernel_distance(RNG.normal(size=(20, 8)), RNG.normal(size=(20, 8)), subsets=1)[0] for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    apart = kernel_distance(RNG.normal(size=(200, 8)), RNG.normal(size=(100, 8)) + 1, subsets=20, size=50)
    assert apart[0] > 5 * np.std(found) / 20 and apart[1] > 0


def test_precision_and_recall_of_equal_and_of_distant_clouds():
    x = RNG.normal(size=(300, 4))
    assert precision_recall(x, x) == (1, 1)
    assert precision_recall(x, x + 100) == (0, 0)


def test_a_generator_of_half_the_modes_is_precise_and_recalls_half():
    mode = RNG.normal(size=(20, 4))
    real = np.concatenate([mode, mode + 100])
    assert precision_recall(real, mode) == (1, 0.5)
    assert precision_recall(mode, real) == (0.5, 1)


def test_neighbours_are_the_kth_other_points():
    line = np.array([[0.0], [1], [3], [6], [10]])
    # To −2 from 0 takes the ball that reaches its second neighbour, 3, not the one to its first.
    assert precision_recall(line, np.array([[-2.0]] * 5), neighbours=2)[0] == 1
    assert precision_recall(line, np.array([[-2.0]] * 5), neighbours=1)[0] == 0


def test_sets_that_cannot_be_compared_are_refused(unchecked):
    with pytest.raises(ValueError, match="more than 3 rows in each set, got 3 and 9"):
        precision_recall(np.zeros((3, 2)), np.zeros((9, 2)))
    with pytest.raises(ValueError, match="of one width, got 2 and 3"):
        kernel_distance(np.zeros((9, 2)), np.zeros((9, 3)))
