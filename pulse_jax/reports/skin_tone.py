"""Whether a face comes back lighter or darker than it was: CIELAB lightness and the individual typology angle of skin.

Skin is looked for where it is in faces that lie as in FFHQ, on cheeks and nose; its colour is the median there, which
glasses and strands of hair hardly move. A beard or a mask that covers most of the place does.
"""

import importlib
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["PLACE", "SkinTone", "skin_tone"]

PLACE = (0.34, 0.5, 0.66, 0.66)
"""Left, top, right and bottom of the place that is looked at, as shares of a picture's side."""


class SkinTone(NamedTuple):
    """The colour of skin: L* from 0 (black) to 100, and the individual typology angle in degrees.

    The angle is arctan((L* − 50) / b*): above 55° very light, 41 light, 28 intermediate, 10 tan, −30 brown, below it
    dark (Chardon et al. 1991, "Skin colour typology and suntanning pathways").
    """

    lightness: float
    angle: float


def skin_tone(image: Float[np.ndarray, "side side 3"]) -> SkinTone:
    """Return the colour of the skin of an aligned face, lit as the picture is.

    Args:
        image: Picture in [0, 1], sRGB.

    Raises:
        ModuleNotFoundError: scikit-image is not installed.
    """
    try:
        colours: Any = importlib.import_module("skimage.color")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("skin tones need scikit-image; python -m pip install 'pulse-jax[metrics]'") from error
    height, width = image.shape[:2]
    left, top, right, bottom = PLACE
    place = image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    lightness, _, yellow = np.median(colours.rgb2lab(place).reshape(-1, 3), axis=0)
    return SkinTone(float(lightness), math.degrees(math.atan2(lightness - 50, yellow)))
