"""Where faces lie: quads against those of FFHQ's own program, and laws of the geometry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_jax.images.alignment import FRAMES, Frame, five_points, quad_of, side_of
from tests.images.photographs import face
from tests.layers import ROOT

GOLDEN = np.load(ROOT / "tests" / "goldens" / "i_ffhq_alignment.npz")


def test_quads_are_those_of_ffhqs_program():
    for landmarks, quad in zip(GOLDEN["landmarks"], GOLDEN["quads"], strict=True):
        # The promise is half a pixel; float64 gives far more.
        np.testing.assert_allclose(quad_of(landmarks, FRAMES["ffhq"]), quad, rtol=0, atol=1e-9)


def test_five_points_of_dlibs_68():
    landmarks = np.random.default_rng(0).uniform(0, 9, (68, 2))
    points = five_points(landmarks)
    assert points.shape == (5, 2)
    np.testing.assert_allclose(points[:2], [sum(landmarks[36:42]) / 6, sum(landmarks[42:48]) / 6])
    np.testing.assert_array_equal(points[3:], landmarks[[48, 54]])
    np.testing.assert_array_equal(five_points(points), points)


@given(turn=st.floats(-3, 3), scale=st.floats(0.1, 100), right=st.floats(-500, 500), down=st.floats(-500, 500))
@pytest.mark.parametrize("name", FRAMES)
def test_a_quad_is_a_square_that_moves_turns_and_grows_with_its_face(name, turn, scale, right, down):
    points = face((3, 7), 20) + np.array([[0, 1], [0, 0], [0, 0], [2, 0], [0, 0]])
    quad = quad_of(points, FRAMES[name])
    edges = np.roll(quad, -1, axis=0) - quad
    np.testing.assert_allclose(np.hypot(*edges.T), side_of(quad))
    assert edges[0] @ edges[1] == pytest.approx(0, abs=1e-9)
    moving = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    moved = quad_of(points @ moving + [right, down], FRAMES[name])
    np.testing.assert_allclose(moved, quad @ moving + [right, down], rtol=1e-9, atol=1e-6)


def test_the_order_of_corners_and_what_a_frame_says():
    quad = quad_of(face((100, 50), 10), Frame(eyes=2.0, mouth=0.0, below=0.5))
    # 2 · 2 · 10 a side, its centre 0.5 · 11 below the eyes; upper left, lower left, lower right, upper right.
    np.testing.assert_allclose(quad, [[80, 35.5], [80, 75.5], [120, 75.5], [120, 35.5]])
    wide = quad_of(face((100, 50), 10), Frame(eyes=0.0, mouth=1.5, below=0.0))
    assert side_of(wide) == pytest.approx(2 * 1.5 * 11)


@pytest.mark.parametrize(
    ("landmarks", "told"),
    [
        (np.zeros((4, 2)), "expected 5 or 68 points of two numbers, got shape"),
        (np.full((5, 2), np.nan), "expected numbers, got NaN or infinity"),
        (np.ones((5, 2)), "no upright direction follows"),
    ],
)
def test_landmarks_that_are_none(landmarks, told):
    with pytest.raises(ValueError, match=told):
        quad_of(landmarks, FRAMES["ffhq"])
