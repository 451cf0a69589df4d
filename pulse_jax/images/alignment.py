"""Where a face lies in a photograph, and the square that is cut out around it: pure geometry, in float64.

Points are (x, y) in pixels, right and down, with (0, 0) the centre of the upper left pixel, as detectors give them.
Left and right are the viewer's. A quad is the square's four corners in the order of FFHQ's own program: upper left,
lower left, lower right, upper right; it may be turned and may leave the photograph.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["FRAMES", "Detection", "Frame", "five_points", "quad_of", "side_of"]


@dataclass(frozen=True)
class Detection:
    """A face that was found in a photograph, or marked by hand.

    Attributes:
        points: What `five_points` takes, float64 (5, 2) or (68, 2).
        score: Probability that it is a face, as whoever found it says; None of one that was marked.
    """

    points: np.ndarray
    score: float | None = None


@dataclass(frozen=True)
class Frame:
    """How large a square is cut around a face, and where: Karras et al. 2019, appendix A, as FFHQ's program has it.

    Attributes:
        eyes: Half of the square's side in distances between the eyes, at least.
        mouth: Half of the square's side in distances from the eyes to the mouth, at least.
        below: How far the square's centre lies below the middle of the eyes, in distances from there to the mouth.
    """

    eyes: float
    mouth: float
    below: float


FRAMES: Mapping[str, Frame] = {
    "ffhq": Frame(eyes=2.0, mouth=1.8, below=0.1),
    # Measured on the eyes and mouths of 200 renders: with it their quads are the renders' own frames (medians).
    "heads": Frame(eyes=1.96, mouth=1.76, below=0.16),
}
"""By name: of the data set that most generators of faces have learnt, and of the embedded generator's heads."""


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Return left eye, right eye, nose, left and right corner of the mouth, float64 (5, 2), of landmarks.

    Args:
        landmarks: These five themselves, (5, 2); or dlib's 68, (68, 2), of which an eye is the mean of its six.

    Raises:
        ValueError: It has another shape, holds what is no number, or eyes and mouth coincide.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape not in ((5, 2), (68, 2)):
        raise ValueError(f"expected 5 or 68 points of two numbers, got shape {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("expected numbers, got NaN or infinity")
    if len(points) == 68:
        points = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    if not np.hypot(*_direction(points)) > 0:
        raise ValueError("eyes and mouth lie so that no upright direction follows from them")
    return points


def quad_of(landmarks: np.ndarray, frame: Frame) -> np.ndarray:
    """Return the square around a face: its corners, float64 (4, 2).

    Args:
        landmarks: What `five_points` takes.
        frame: How much of what surrounds the face belongs to it.

    Raises:
        ValueError: As `five_points`.
    """
    points = five_points(landmarks)
    eyes, to_right, to_mouth = _axes(points)
    across = _direction(points)
    across *= max(frame.eyes * np.hypot(*to_right), frame.mouth * np.hypot(*to_mouth)) / np.hypot(*across)
    down = np.array([-across[1], across[0]])
    centre = eyes + frame.below * to_mouth
    return np.stack([centre - across - down, centre - across + down, centre + across + down, centre + across - down])


def side_of(quad: np.ndarray) -> float:
    """Return the side of a quad (4, 2), in pixels of the photograph."""
    return float(np.hypot(*(quad[3] - quad[0])))


def _axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The middle of the eyes, and from there: the way from eye to eye, and the way to the mouth."""
    eyes = (points[0] + points[1]) / 2
    return eyes, points[1] - points[0], (points[3] + points[4]) / 2 - eyes


def _direction(points: np.ndarray) -> np.ndarray:
    """Across the face, to the right: between the line of the eyes and what is square to the way to the mouth."""
    _, to_right, to_mouth = _axes(points)
    return to_right + np.array([to_mouth[1], -to_mouth[0]])
