"""Whether chains have mixed, on draws of which that is known; and what draws come to."""

import numpy as np
import pytest

from pulse_jax.reports.mixing import mixing
from pulse_jax.reports.posterior import WHITE, deviation_picture, moments, posterior_sheet

RNG = np.random.default_rng(0)


def test_independent_draws_have_mixed():
    judged = mixing(RNG.standard_normal((400, 5, 5, 3)) * np.linspace(1, 3, 75).reshape(5, 5, 3), 8)
    assert judged.has_mixed and max(judged.r_hat) < 1.05
    assert all(200 < one < 900 for one in judged.effective), judged.effective
    assert judged.components.shape == (8, 50, 10)


def test_components_are_the_principal_ones():
    parts = RNG.standard_normal((40, 12)) @ np.diag(np.arange(1, 13))
    judged = mixing(parts, 4)
    left, values, _ = np.linalg.svd(parts - parts.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(judged.shares, (values**2 / np.sum(values**2))[:10], rtol=1e-8)
    np.testing.assert_allclose(np.abs(judged.components.reshape(40, 10)), np.abs(left * values)[:, :10], atol=1e-8)


def test_chains_that_stay_apart_have_not():
    parts = RNG.standard_normal((4, 50, 6)) + 10 * np.eye(4, 6)[:, None]
    judged = mixing(parts.reshape(200, 6), 4)
    assert not judged.has_mixed and max(judged.r_hat) > 1.5 and min(judged.effective) < 20


def test_of_few_draws_nothing_is_said():
    judged = mixing(RNG.standard_normal((6, 4)), 2)
    assert np.all(np.isnan(judged.r_hat)) and not judged.has_mixed


def test_chains_that_stand_still_have_not_mixed():
    judged = mixing(np.repeat(RNG.standard_normal((3, 6)), 8, axis=0), 3)
    assert not judged.has_mixed
    assert not mixing(np.zeros((16, 4)), 2).has_mixed


def test_one_draw_is_too_few():
    with pytest.raises(ValueError, match="parts: expected two draws or more, got 1"):
        mixing(np.zeros((1, 4)), 1)


def test_moments():
    pictures = RNG.integers(0, 256, (7, 4, 4, 3)).astype(np.uint8)
    mean, deviation = moments(iter(pictures))
    np.testing.assert_allclose(mean, pictures.mean(axis=0) / 255)
    np.testing.assert_allclose(deviation, np.sqrt((pictures / 255).var(axis=0).mean(axis=-1)), rtol=1e-9)


def test_deviations_are_black_to_white():
    grey = deviation_picture(np.array([[0.0, WHITE / 2, WHITE, 1.0]]))
    assert grey.shape == (1, 4, 3) and grey[0, :, 0].tolist() == [0, 0.5, 1, 1]


@pytest.mark.parametrize("count", [1, 10])
def test_a_sheet_shows_everything(count):
    draws = [(f"draw {n}", np.full((8, 8, 3), 20 * n, np.uint8)) for n in range(count)]
    flat = np.full((8, 8, 3), 0.5)
    sheet = posterior_sheet(flat[:2, :2], flat, flat[..., 0] * 0, draws, title="One", lines=["two", "three"])
    assert sheet.dtype == np.uint8 and sheet.shape[0] > 192 * (1 if count < 5 else 2)
    greys = {int(value) for value in np.unique(sheet[sheet[..., 0] == sheet[..., 1]])}
    assert {20 * n for n in range(count)} <= greys
