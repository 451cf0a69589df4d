"""Faces out of photographs, as FFHQ's own program cuts them out, and back."""

import numpy as np
import pytest
import scipy.ndimage

from pulse_jax.images.alignment import FRAMES, quad_of, side_of
from pulse_jax.images.rounding import from_uint8
from pulse_jax.images.warping import _blurred, aligned, pasted
from tests.images.photographs import face, made_up, smooth
from tests.layers import ROOT

GOLDEN = np.load(ROOT / "tests" / "goldens" / "i_ffhq_alignment.npz")


def golden(name):
    picture = from_uint8(made_up(*GOLDEN[f"{name}_picture"]))
    return picture, GOLDEN[f"{name}_quad"], GOLDEN[f"{name}_aligned"]


@pytest.mark.parametrize("name", ["inside", "border", "larger", "tiny"])
def test_pictures_are_those_of_ffhqs_program(name):
    picture, quad, expected = golden(name)
    # The same steps of Pillow and SciPy; another version of them may round a level otherwise.
    assert np.abs(aligned(picture, quad, len(expected)).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("name", "shrink"), [("shrunk", 3), ("shrunk_border", 6)])
def test_where_it_reduces_first_it_differs_by_the_known_part_of_a_pixel_alone(name, shrink):
    picture, quad, expected = golden(name)
    size = len(expected)
    assert int(side_of(quad) / size / 2) == shrink
    scale = np.rint(np.array(picture.shape[1::-1]) / shrink) / picture.shape[1::-1]
    # What that program takes for the quad, counted from the reduced pixels' centres, in the photograph's pixels.
    theirs = (quad / shrink + 0.5) / scale - 0.5
    assert np.abs(aligned(picture, theirs, size).astype(int) - expected).max() <= 1
    assert np.abs(theirs - quad).max() / side_of(quad) < 0.5 / size  # less than half a pixel of what is drawn


def test_a_wide_blur_is_gaussian_too():
    """Of a picture reduced, the way that large faces are blurred; SciPy's own is the one to compare with."""
    picture = (255 * smooth(400, 300)[..., 0] + 40 * np.random.default_rng(0).normal(size=(300, 400))).astype(
        np.float32
    )
    for sigma in (8.0, 13.0, 40.0):
        expected = scipy.ndimage.gaussian_filter(picture, sigma)
        assert np.abs(_blurred(picture, sigma) - expected).max() < 0.5  # of 256 levels


def test_the_square_lies_where_the_quad_says():
    """A quad of whole pixels, not turned: each pixel of the result is the mean of so many of the photograph."""
    picture = smooth(96, 80)
    quad = np.array([[15.5, 7.5], [15.5, 71.5], [79.5, 71.5], [79.5, 7.5]])
    result = from_uint8(aligned(picture, quad, 32))
    expected = picture[8:72, 16:80].reshape(32, 2, 32, 2, 3).mean((1, 3))
    # Half a pixel of the photograph to the side would come to 0.02; the rest is 8 bits and the two kernels.
    assert np.abs(result - expected).max() < 0.01


def test_a_turned_square_comes_upright():
    centre, turn = np.array([60.0, 50.0]), 0.5
    points = face((0, 0), 20, turn)
    marked = np.zeros((110, 120, 3))
    points += centre - points.mean(0)
    for x, y in points:
        marked[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2] = 1
    quad = quad_of(points, FRAMES["ffhq"])
    upright = aligned(marked, quad, 100)[..., 0]
    expected = face((0, 0), 20 * 100 / side_of(quad))
    expected += 49.5 - expected[:2].mean(0) - [0, 0.1 * expected[3, 1]]
    for x, y in expected:
        assert upright[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].mean() > 60
    assert upright.sum() / 255 == pytest.approx(45 * (100 / side_of(quad)) ** 2, rel=0.05)


@pytest.mark.parametrize("turn", [0.0, 0.4, -2.0])
@pytest.mark.parametrize("side", [150, 60, 25])
def test_what_is_cut_out_and_put_back_is_the_photograph(turn, side):
    picture = smooth(140, 120)
    quad = quad_of(face((66, 55), 15, turn), FRAMES["ffhq"])
    again = picture.copy()
    pasted(again, quad, from_uint8(aligned(picture, quad, side)).astype(np.float64), 0.1)
    changed = np.any(again != picture, axis=-1)
    assert 0.5 < changed.sum() / side_of(quad) ** 2 < 1.01
    # Half a pixel beside its place would come to 0.022 at least, and a coarse face loses a little.
    assert np.abs(again - picture).max() < (0.012 if side > 25 else 0.05)


def test_the_edge_is_feathered():
    picture = np.zeros((60, 60, 3))
    quad = np.array([[9.5, 9.5], [9.5, 49.5], [49.5, 49.5], [49.5, 9.5]])
    pasted(picture, quad, np.ones((16, 16, 3)), 0.25)
    row = picture[30, :, 0]
    assert np.all(row[:10] == 0) and np.all(row[50:] == 0)
    np.testing.assert_allclose(row[20:40], 1, atol=1e-12)
    share = (np.arange(10) + 0.5) / 10
    np.testing.assert_allclose(row[10:20], share**2 * (3 - 2 * share), atol=1e-12)
    np.testing.assert_allclose(row[10:50], row[10:50][::-1], atol=1e-12)
    hard = np.zeros((60, 60, 3))
    pasted(hard, quad, np.ones((16, 16, 3)), 0.0)
    np.testing.assert_allclose(hard[10:50, 10:50], 1, atol=1e-12)
    assert hard.sum() == pytest.approx(3 * 40 * 40)


def test_a_face_at_the_rim_is_put_back_as_far_as_there_is_a_photograph():
    picture = smooth(100, 90)
    quad = quad_of(face((8, 80), 14, 0.3), FRAMES["ffhq"])
    again = picture.copy()
    pasted(again, quad, np.zeros((32, 32, 3)), 0.1)
    assert np.any(again != picture) and again.shape == picture.shape
    far = quad + np.array([500, 0])
    again = picture.copy()
    pasted(again, far, np.zeros((32, 32, 3)), 0.1)
    np.testing.assert_array_equal(again, picture)
