"""Whether OpenCV finds a face in a picture."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

FaceDetector = Callable[[UInt8[np.ndarray, "h w 3"]], bool]


def haar_detector(side: int = 256) -> FaceDetector:
    """Return a detector of OpenCV's frontal face cascades, `default` and `alt2` (Viola and Jones 2001).

    They look at the picture enlarged to `side`. Both must find a face at least 0.3 sides large: on blurred pictures
    they disagree, on sharp ones hardly ever.

    Raises:
        SystemExit: OpenCV is not installed, or one without cascades.
    """
    advice = "error: faces are found by OpenCV 4; python -m pip install 'opencv-python-headless<5', or say --no-faces"
    try:
        cv2: Any = importlib.import_module("cv2")
        names = ("haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml")
        cascades = [cv2.CascadeClassifier(cv2.data.haarcascades + name) for name in names]
    except (ImportError, AttributeError):
        raise SystemExit(advice) from None

    def detect(picture: UInt8[np.ndarray, "h w 3"]) -> bool:
        large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
        grey = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)
        least = (round(0.3 * side),) * 2
        return all(len(cascade.detectMultiScale(grey, 1.1, 3, minSize=least)) > 0 for cascade in cascades)

    return detect


def faces_found(pictures: UInt8[np.ndarray, "n h w 3"], detector: FaceDetector) -> Bool[np.ndarray, " n"]:
    """Return whether the detector finds a face, picture by picture."""
    return np.array([detector(picture) for picture in pictures], bool)
