"""Pictures that downscale to an input exactly: what moves, how far, and what is left of the error."""

import numpy as np
import pytest

from pulse_jax.images.back_projection import back_projected
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.rounding import to_uint8

SIDE = 64


def _picture(seed, low=40, high=216):
    """A smooth picture with noise, in 8 bits, far from black and white."""
    rng = np.random.default_rng(seed)
    coarse = np.repeat(np.repeat(rng.uniform(low, high, (8, 8, 3)), 8, 0), 8, 1)
    return np.clip(coarse + rng.normal(0, 8, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def _target(picture, factor):
    """What an 8-bit file of the downscaled picture holds."""
    return to_uint8(Bicubic(factor).apply_float64(picture / 255)) / 255


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_what_is_left_is_rounding(factor):
    """Rounding x to 8 bits is an error of variance 1/12 of a level, which D, of rows that sum to one, only averages."""
    degradation = Bicubic(factor)
    for seed in range(5):
        target = _target(_picture(seed + 50), factor)
        found = back_projected(_picture(seed), target, degradation)
        assert found.dtype == np.uint8 and found.shape == (SIDE, SIDE, 3)
        assert degradation.error(found / 255, target) < 1e-8 + 1 / (12 * 255**2)


@pytest.mark.parametrize("factor", [2, 8])
def test_no_other_picture_that_downscales_so_is_nearer(factor):
    """Without clipping the way is x + D⁺(y − Dx), square to all that D does not see."""
    degradation = Bicubic(factor)
    picture, other = (_picture(seed, 100, 150) for seed in (1, 2))
    target = degradation.apply_float64(other / 255)
    found = back_projected(picture, target, degradation) / 255
    np.testing.assert_allclose(degradation.unseen(found - picture / 255), 0.0, atol=1.01 / 255)
    assert np.linalg.norm(found - picture / 255) <= np.linalg.norm(other / 255 - picture / 255) + 1 / 255 * SIDE


def test_what_downscales_exactly_is_left_alone():
    picture = _picture(3)
    target = Bicubic(8).apply_float64(picture / 255)
    np.testing.assert_array_equal(back_projected(picture, target, Bicubic(8)), picture)


@pytest.mark.parametrize("factor", [4, 8, 16])
def test_black_and_white_are_reached_by_turns(factor):
    """Half of the pixels lie on the borders of [0, 1], where one step alone is undone by clipping."""
    degradation = Bicubic(factor)
    saturated = to_uint8(np.clip(1.5 * (_picture(4) / 255 - 0.5) + np.where(_picture(5) > 128, 0.9, 0.1), 0, 1))
    assert np.mean((saturated == 0) | (saturated == 255)) > 0.3
    target = _target(saturated, factor)
    found = back_projected(_picture(6), target, degradation)
    picture = _picture(6) / 255
    once = picture + degradation.pseudo_inverse(target - degradation.apply_float64(picture))
    assert degradation.error(found / 255, target) < 1e-5
    assert degradation.error(found / 255, target) < degradation.error(to_uint8(np.clip(once, 0, 1)) / 255, target)
