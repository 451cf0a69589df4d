"""Solutions that differ most: farthest-point selection by its definition, in what downscaling does not see."""

import numpy as np
import pytest

from pulse_jax.images.degradations.bicubic import Bicubic, bicubic_matrix
from pulse_jax.search.diversity import choose, nearest_distances

FACTOR = 2


def pictures(n, seed=0):
    return np.random.default_rng(seed).random((n, 8, 8, 3)).astype(np.float32)


def distance(one, other, factor=FACTOR):
    return np.sqrt(np.mean(Bicubic(factor).unseen(one.astype(np.float64) - other) ** 2))


def farthest_points(images, count):
    """By the definition: each is the one whose smallest distance to those before is largest."""
    picked = [0]
    while len(picked) < count:
        left = [i for i in range(len(images)) if i not in picked]
        picked.append(max(left, key=lambda i: min(distance(images[i], images[j]) for j in picked)))
    return picked


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_the_choice_is_that_of_the_definition(seed, count):
    images = pictures(7, seed)
    assert choose(images, count, FACTOR) == farthest_points(images, count)


def test_fewer_than_wanted_are_all_chosen_and_none_is_none():
    assert sorted(choose(pictures(3), 5, FACTOR)) == [0, 1, 2]
    assert choose([], 2, FACTOR) == []


def test_equal_pictures_are_chosen_in_their_order_each_once():
    assert choose(np.zeros((4, 8, 8, 3), np.float32), 3, FACTOR) == [0, 1, 2]


def test_what_downscaling_sees_does_not_count():
    """The second picture is farthest by its pixels, but differs only in what the input shows."""
    rows = bicubic_matrix(8, FACTOR)
    seen = np.einsum("ph,qw,pqc->hwc", rows, rows, np.random.default_rng(0).random((4, 4, 3)) * 10)
    first = pictures(1)[0]
    images = [first, first + seen, first + 0.1 * Bicubic(FACTOR).unseen(pictures(1, 1)[0])]
    assert choose(images, 2, FACTOR) == [0, 2]
    assert nearest_distances(images[:2], FACTOR) == pytest.approx([0, 0], abs=1e-6)


def test_nearest_distances_are_those_to_the_others():
    images = pictures(4)
    expected = [min(distance(images[i], images[j]) for j in range(4) if j != i) for i in range(4)]
    assert nearest_distances(images, FACTOR) == pytest.approx(expected, rel=1e-6)
    assert nearest_distances(images[:1], FACTOR) == [None]


def test_a_folder_for_what_memory_would_not_hold_is_left_empty(tmp_path):
    images = pictures(6)
    assert choose(iter(images), 4, FACTOR, folder=tmp_path) == farthest_points(images, 4)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        nearest_distances(images, FACTOR, folder=tmp_path / "missing")


def test_at_factor_one_nothing_is_unseen_unless_the_programs_filter_blurs():
    assert nearest_distances(pictures(2), 1) == [0, 0]
    blurring = Bicubic(1, blur_at_factor_one=True)
    assert min(nearest_distances(pictures(2), blurring)) > 1e-3


def test_a_number_stands_for_bicubic_downscaling_by_this_factor():
    images = pictures(6)
    assert nearest_distances(images, FACTOR) == nearest_distances(images, Bicubic(FACTOR))
    assert choose(images, 4, FACTOR) == choose(images, 4, Bicubic(FACTOR))


class _Upper(Bicubic):
    """Sees the upper half of a picture and nothing else."""

    def unseen(self, image):
        return np.where(np.arange(len(image))[:, None, None] < len(image) // 2, 0.0, image)


def test_another_degradation_decides_what_counts():
    first, *_ = pictures(1)
    upper, lower = first.copy(), first.copy()
    upper[:4] += 1.0
    lower[4:] += 0.1
    assert choose([first, upper, lower], 2, _Upper(FACTOR)) == [0, 2]
    assert nearest_distances([first, lower], _Upper(FACTOR)) == pytest.approx([0.1 / np.sqrt(2)] * 2, rel=1e-5)
