"""What happens to pictures that no search knows of: noise, dead pixels, compression, a camera that moved somehow."""

import hashlib
import io
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.chain import chain_between, check_known
from pulse_jax.images.degradations.language import LANGUAGE, Stage, parse_chain
from pulse_jax.images.degradations.registry import DEGRADATIONS
from pulse_jax.images.rounding import to_uint8

__all__ = ["Disturbed", "disturbed"]


class Disturbed(NamedTuple):
    """A picture's clean and its disturbed low-resolution version (h, h, 3), in [0, 1] as 8 bits hold them."""

    clean: np.ndarray
    disturbed: np.ndarray


def disturbed(image: Float[np.ndarray, "side side 3"], text: str, *, seed: int = 0) -> Disturbed:
    """Downscale a picture cleanly, by PULSE's bicubic filter, and as a chain of disturbances has it.

    What is drawn at random depends on the seed and the picture alone, not on others or their order. Settings of the
    literature: motion of length 100, noise of σ 25 and 50, salt and pepper in .05 of the pixels (SRLS, section 4.2).

    Args:
        image: High-resolution picture in [0, 1].
        text: Chain of the language; it downscales once, by a factor, and otherwise may hold any word.
        seed: What random numbers are drawn from.

    Raises:
        ValueError: The text is no such chain, or its factor does not suit the picture.
    """
    stages = parse_chain(text)
    factors = [stage.numbers for stage in stages if stage.word in DEGRADATIONS]
    if len(factors) != 1 or not factors[0]:
        raise ValueError(f"expected one downscaling with its factor, such as bicubic(8), got {text!r:.80}")
    digest = hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).digest()
    rng = np.random.default_rng((seed, int.from_bytes(digest[:4], "big")))
    changed = np.asarray(image, np.float64)
    for stage in stages:
        changed = _applied(stage, changed, rng)
    clean = Bicubic(int(factors[0][0])).apply_float64(image)
    return Disturbed(to_uint8(clean) / 255, to_uint8(changed) / 255)


def _applied(stage: Stage, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if stage.word == "gaussian":
        if not 0 <= stage.numbers[0] <= 255:
            raise ValueError(f"expected gaussian of a sigma in [0, 255], got {stage.numbers[0]:g}")
        return np.clip(image + stage.numbers[0] / 255 * rng.standard_normal(image.shape), 0, 1)
    if stage.word == "salt_pepper":
        return _speckled(image, stage.numbers[0], rng)
    if stage.word == "jpeg":
        return _compressed(image, stage.numbers[0])
    if stage.word == "motion" and len(stage.numbers) == 1:
        # Half a turn has all directions of a line.
        stage = Stage("motion", (*stage.numbers, rng.uniform(0, 180)))
    assert LANGUAGE[stage.word].is_linear
    check_known(str(stage))
    side = len(image)
    low = side if stage.word not in DEGRADATIONS else side // int(stage.numbers[0])
    return chain_between(str(stage), side, low).apply_float64(image)


def _speckled(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Pixels of this share become black or white, as often the one as the other, all channels alike."""
    if not 0 <= share <= 1:
        raise ValueError(f"expected salt_pepper of a share in [0, 1], got {share:g}")
    drawn = rng.uniform(size=(*image.shape[:2], 1))
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, image))


def _compressed(image: np.ndarray, quality: float) -> np.ndarray:
    if not 1 <= quality <= 95 or quality != int(quality):
        raise ValueError(f"expected jpeg of a whole quality from 1 to 95, got {quality:g}")
    file = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as read:
        return np.asarray(read.convert("RGB")) / 255
