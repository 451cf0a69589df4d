"""Metrics: recorded values of BasicSR for PSNR and SSIM, everything else by its mathematics."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import wasserstein_distance

from pulse_jax.images.degradations.bicubic import Bicubic, bicubic_matrix
from pulse_jax.reports import metrics
from tests.golden_weights import GOLDENS

RNG = np.random.default_rng(0)
RECORDED = json.loads((GOLDENS / "h_psnr_ssim.json").read_text())["values"]


# --- one picture against another ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_psnr_and_ssim_are_those_of_basicsr(name):
    data = pytest.importorskip("skimage.data")
    how, down, _ = name.split("_")
    truth = Image.fromarray(data.astronaut())
    side = truth.width // int(down.removeprefix("down"))
    method = Image.Resampling[how.upper()]
    small = truth.resize((side, side), method)
    image, truth = (np.asarray(picture) / 255 for picture in (small.resize(truth.size, method), truth))
    assert float(metrics.psnr(image, truth)) == pytest.approx(RECORDED[name]["psnr"], abs=1e-9)
    assert metrics.ssim(image, truth) == pytest.approx(RECORDED[name]["ssim"], abs=1e-9)


def test_psnr_of_a_batch_is_that_of_each_picture():
    truth = RNG.random((2, 3, 4, 5, 3))
    offset = np.array([[0.1, 0.01, 0.0], [1.0, 0.001, 0.5]])
    with np.errstate(divide="raise"):  # the caller's own settings do not matter
        found = metrics.psnr(truth + offset[..., None, None, None], truth)
    np.testing.assert_allclose(found, [[20, 40, np.inf], [0, 60, -20 * np.log10(0.5)]], rtol=1e-9)


def test_ssim_of_a_picture_and_itself_is_one_and_of_its_negative_is_negative():
    pytest.importorskip("skimage")
    picture = RNG.random((16, 16, 3))
    assert metrics.ssim(picture, picture) == pytest.approx(1, abs=1e-12)
    assert metrics.ssim(picture, 1 - picture) < -0.5


def test_pictures_that_cannot_be_compared_are_refused(unchecked):
    for measure in (metrics.psnr, metrics.ssim):
        with pytest.raises(ValueError, match=r"expected the image's shape \(16, 16, 3\), got \(16, 15, 3\)"):
            measure(np.zeros((16, 16, 3)), np.zeros((16, 15, 3)))
        with pytest.raises(ValueError, match=r"image: expected floating-point pictures in .* got uint8"):
            measure(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3)))
    with pytest.raises(ValueError, match="at least 11 pixels"):
        metrics.ssim(np.zeros((10, 16, 3)), np.zeros((10, 16, 3)))


def test_ssim_without_scikit_image_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pulse-jax\[metrics\]'$"):
        metrics.ssim(np.zeros((16, 16, 3)), np.zeros((16, 16, 3)))


# --- a picture against its input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize("factor", [1, 4])
def test_downscaling_error_and_consistency_psnr_are_of_the_downscaled_picture(factor, blur):
    images = RNG.random((2, 16, 16, 3))
    small = Bicubic(factor, blur).apply_float64(images)
    low_res = small + np.array([0.1, 0.03])[:, None, None, None]
    error = metrics.downscaling_error(images, low_res, blur_at_factor_one=blur)
    np.testing.assert_allclose(error, [1e-2, 9e-4], rtol=1e-9)
    decibels = metrics.consistency_psnr(images, low_res, blur_at_factor_one=blur)
    np.testing.assert_allclose(decibels, [20, -10 * np.log10(9e-4)], rtol=1e-9)
    if factor == 1:
        other = metrics.downscaling_error(images, low_res, blur_at_factor_one=not blur)
        assert (np.abs(other - error) > 1e-3).all()


@pytest.mark.parametrize("side", [5, 32])
def test_an_input_of_another_size_is_refused(unchecked, side):
    for measure in (metrics.downscaling_error, metrics.consistency_psnr):
        with pytest.raises(ValueError, match="low_res: expected a whole part"):
            measure(np.zeros((16, 16, 3)), np.zeros((side, side, 3)))


# --- solutions against each other -----------------------------------------------------------------------------------


def test_pairwise_differences_of_flat_pictures():
    pictures = np.array([0.0, 0.5, 2.0])[:, None, None, None] * np.ones((3, 4, 4, 3))
    np.testing.assert_allclose(metrics.pairwise_differences(pictures), [0.5, 2.0, 1.5])
    assert len(metrics.pairwise_differences(pictures[:1])) == 0


def test_diversity_is_the_mean_over_pairs_and_zero_for_copies():
    pictures = np.array([0.0, 0.5, 2.0])[:, None, None, None] * np.ones((3, 4, 4, 3))
    assert metrics.pairwise_diversity(pictures) == pytest.approx(4 / 3)
    assert metrics.pairwise_diversity(pictures[[1, 1]]) == 0
    with pytest.raises(ValueError, match="at least two"):
        metrics.pairwise_diversity(pictures[:1])


def test_diversity_of_what_downscaling_does_not_see():
    rows = bicubic_matrix(16, 4)
    # What D⁺ makes of an input lies wholly in what D sees.
    seen = np.einsum("ph,qw,pqc->hwc", rows, rows, RNG.random((4, 4, 3)))
    hidden = Bicubic(4).unseen(RNG.random((16, 16, 3)))
    assert metrics.pairwise_diversity(np.stack([0 * seen, seen])) > 0.01
    assert metrics.pairwise_diversity(np.stack([0 * seen, seen]), 4) == pytest.approx(0, abs=1e-12)
    expected = np.sqrt(np.mean(hidden**2))
    assert metrics.pairwise_diversity(np.stack([seen, seen + hidden]), 4) == pytest.approx(expected)


# --- latents --------------------------------------------------------------------------------------------------------


def test_gaussian_rows_are_near_the_shell_and_far_ones_are_counted():
    # E|u| = √2 Γ((d + 1) / 2) / Γ(d / 2) ≈ √(d − 1/2), its variance 1/2; beyond three deviations are 0.27 %.
    rows = np.random.default_rng(1).standard_normal((20000, 256))
    found = metrics.norm_statistics(rows)
    assert found.count == 20000
    assert found.mean == pytest.approx(np.sqrt(255.5 / 256), abs=3e-4)
    assert found.deviation == pytest.approx(np.sqrt(0.5 / 256), rel=0.03)
    assert found.far == pytest.approx(0.0027, abs=0.0012)
    assert found.least < 0.9 and found.greatest > 1.1


@pytest.mark.parametrize("norm, far", [(16, 0), (18.1, 0), (18.2, 1), (13.9, 0), (13.8, 1), (0, 1), (np.inf, 1)])
def test_far_is_three_deviations_of_a_gaussians_norm(norm, far):
    row = np.zeros((1, 1, 256))
    row[..., 3] = norm  # √256 = 16, 3/√2 = 2.121
    found = metrics.norm_statistics(row)
    assert found.far == far
    assert found.mean == found.least == found.greatest == norm / 16


def test_norm_statistics_of_layers_and_solutions_count_every_row():
    rows = np.ones((2, 3, 4)) * np.array([1, 1, 4])[:, None]
    found = metrics.norm_statistics(rows)
    assert (found.count, found.mean, found.least, found.greatest) == (6, 2, 1, 4)
    assert found.deviation == pytest.approx(np.sqrt(2))
    # √4 = 2: of 2 and 8, the latter is more than 2.12 away.
    assert found.far == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="at least one"):
        metrics.norm_statistics(np.zeros((0, 4)))


# --- sliced Wasserstein ---------------------------------------------------------------------------------------------


def test_sliced_wasserstein_is_zero_for_one_set_in_any_order():
    x = RNG.normal(size=(50, 7)).astype(np.float32)
    assert metrics.sliced_wasserstein_distance(x, RNG.permutation(x)) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 5), st.floats(-3, 3), st.floats(0.1, 3))
def test_sliced_wasserstein_is_that_of_projections_and_moves_and_scales_with_the_points(seed, d, shift, scale):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 30, d)).astype(np.float32)
    distance = metrics.sliced_wasserstein_distance(x, y, directions=50, seed=3)
    axes = np.random.default_rng(3).normal(size=(50, d))
    unit = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    expected = np.mean([wasserstein_distance(x @ u, y @ u) for u in unit])
    assert distance == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert metrics.sliced_wasserstein_distance(y, x, directions=50, seed=3) == distance
    moved, scaled = (np.float32(scale) * points + np.float32(shift) for points in (x, y))
    assert metrics.sliced_wasserstein_distance(moved, scaled, directions=50, seed=3) == pytest.approx(
        scale * distance, rel=1e-3, abs=1e-5
    )


def test_sliced_wasserstein_of_two_gaussians_a_shift_apart_is_the_shift():
    # On a line, N(0, 1) and N(δ, 1) are δ apart; independent samples of 20,000 add little.
    x, y = np.random.default_rng(2).normal(size=(2, 20000, 1)).astype(np.float32)
    assert metrics.sliced_wasserstein_distance(x, y + 2) == pytest.approx(2, abs=0.04)
    assert metrics.sliced_wasserstein_distance(x, y) < 0.04


def test_sliced_wasserstein_on_a_line_is_the_wasserstein_distance():
    x = RNG.normal(size=(101, 1)).astype(np.float32)
    assert metrics.sliced_wasserstein_distance(x, x + 0.75) == pytest.approx(0.75, rel=1e-6)
    # {0, 1} to {0, 3}: the second point moves by 2, half of the mass.
    a, b = (np.array(rows, np.float32)[:, None] for rows in ([1, 0], [0, 3]))
    assert metrics.sliced_wasserstein_distance(a, b) == pytest.approx(1.0, rel=1e-6)


def test_sliced_wasserstein_of_a_shift_in_the_plane_is_the_mean_of_its_projections():
    # The mean of |cos| is 2 / π.
    x = RNG.normal(size=(20, 2)).astype(np.float32)
    shifted = x + np.array([3.0, 4.0], np.float32)
    assert metrics.sliced_wasserstein_distance(x, shifted, directions=4000) == pytest.approx(10 / np.pi, rel=0.03)


def test_unequal_sets_are_refused(unchecked):
    with pytest.raises(ValueError, match="as many points"):
        metrics.sliced_wasserstein_distance(np.zeros((3, 2), np.float32), np.zeros((4, 2), np.float32))
    with pytest.raises(ValueError, match="as many pictures"):
        metrics.patch_distances(np.zeros((3, 16, 16, 3)), np.zeros((4, 16, 16, 3)))


def test_the_pyramid_adds_up_to_the_pictures():
    images = RNG.random((2, 16, 8, 3))
    *details, coarsest = metrics.laplacian_pyramid(images, 3)
    for detail in reversed(details):
        coarsest = detail + coarsest.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(coarsest, images, atol=1e-12)


@pytest.mark.parametrize("side, levels", [(16, 1), (32, 2), (64, 3)])
def test_patch_distances_are_zero_for_one_set_on_every_level_down_to_16(side, levels):
    images = RNG.random((3, side, side, 3))
    assert metrics.patch_distances(images, images) == [0] * levels
    # Standardised channel by channel: neither contrast nor colour counts.
    assert max(metrics.patch_distances(images, 0.5 * images + np.array([0.1, 0.2, 0.3]))) < 1e-5
    assert min(metrics.patch_distances(images, images**4)) > 0.01


def test_patch_distances_follow_their_definition():
    """The whole measure restated, patch by patch, with SciPy's Wasserstein distance."""
    sets = RNG.random((2, 4, 32, 32, 3)) ** np.array([1, 2])[:, None, None, None, None]
    halves = sets.reshape(2, 4, 16, 2, 16, 2, 3).mean((3, 5))
    levels = [sets - np.kron(halves, np.ones((1, 1, 2, 2, 1))), halves]
    expected = []
    for number, (level, size) in enumerate(zip(levels, (32, 16), strict=True)):
        places = np.random.default_rng(number)
        tops, lefts = (places.integers(0, size - 6, (4, 64)) for _ in range(2))
        points = []
        for pictures in level:
            cut = [pictures[i, y : y + 7, x : x + 7] for i in range(4) for y, x in zip(tops[i], lefts[i], strict=True)]
            cut = np.array(cut)
            cut = (cut - cut.mean((0, 1, 2))) / cut.std((0, 1, 2))
            points.append(cut.transpose(0, 3, 1, 2).reshape(256, 147))
        axes = np.random.default_rng(number).normal(size=(256, 147))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        expected.append(np.mean([wasserstein_distance(*(rows @ axis for rows in points)) for axis in axes]))
    np.testing.assert_allclose(metrics.patch_distances(*sets), expected, rtol=1e-4)


# --- Fréchet --------------------------------------------------------------------------------------------------------


def _positive_definite(d: int) -> np.ndarray:
    root = RNG.normal(size=(d, d))
    return root @ root.T / d + 0.1 * np.eye(d)


def test_frechet_distance_of_gaussians_that_a_linear_map_joins():
    # x → M x + b with M symmetric positive definite is the optimal map: the distance is E|x − M x − b|².
    covariance, linear = _positive_definite(5), _positive_definite(5)
    mean, shift = RNG.normal(size=(2, 5))
    distance = metrics.frechet_distance_of_gaussians(
        mean, covariance, linear @ mean + shift, linear @ covariance @ linear
    )
    rest = np.eye(5) - linear
    assert distance == pytest.approx(np.trace(rest @ covariance @ rest) + np.sum((rest @ mean - shift) ** 2), rel=1e-9)


def test_frechet_distance_on_a_line_is_that_of_means_and_deviations():
    x, y = RNG.normal(size=(40, 1)), 2 + 3 * RNG.normal(size=(60, 1))
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_a_shift_is_its_square_even_with_fewer_points_than_dimensions():
    x = RNG.normal(size=(6, 9)).astype(np.float32)
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet_distance(x, x + 2) == pytest.approx(9 * 4, rel=1e-5)
