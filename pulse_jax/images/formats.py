"""Formats of delivered pictures, and the pixels that a reader of such a file gets."""

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pulse_jax.system.folder_process import HeldFile

__all__ = ["PictureFormat", "as_read", "encoded", "is_exact", "save_picture", "suffix_of"]

PictureFormat = Literal["png", "webp", "jpeg"]
"""PNG and lossless WebP hold every pixel as it is; JPEG of the best quality does not quite."""
_SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}
# At 1024x1024 a fourth of the usual levels' time, for some percent more bytes.
_LEVELS = {"png": 1, "webp": 0}
# What libwebp takes for its ten levels of lossless compression: method, and how hard that tries.
_WEBP = ((0, 0), (1, 20), (2, 25), (3, 30), (3, 50), (4, 50), (4, 75), (4, 90), (5, 90), (6, 100))
# Colours are not halved: a solution's downscaled version would change by more than its pixels.
_JPEG = {"quality": 95, "subsampling": 0}


def _settings(kind: PictureFormat, level: int | None) -> dict[str, Any]:
    if kind == "jpeg":
        return _JPEG
    level = _LEVELS[kind] if level is None else level
    if kind == "png":
        return {"compress_level": level}
    method, quality = _WEBP[level]
    return {"lossless": True, "method": method, "quality": quality}


def suffix_of(kind: PictureFormat) -> str:
    """Return how names of such files end, `.jpg`."""
    return _SUFFIXES[kind]


def is_exact(kind: PictureFormat) -> bool:
    """Return whether a reader of such files gets every pixel as it was."""
    return kind != "jpeg"


def as_read(picture: UInt8[np.ndarray, "h w 3"], kind: PictureFormat) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels that a reader of the file gets, which `save_picture` would write."""
    with Image.open(io.BytesIO(encoded(picture, kind))) as image:
        return np.asarray(image.convert("RGB"))


def save_picture(
    path: Path | HeldFile, picture: UInt8[np.ndarray, "h w 3"], kind: PictureFormat, level: int | None = None
) -> None:
    """Write a picture; if that fails, half of it may be there.

    Args:
        path: File to write, in a folder that appears once all of it is written.
        picture: Picture in 8 bits.
        kind: Format of the file.
        level: As in `encoded`.

    Raises:
        OSError: The folder is missing or not writable, or the disk is full.
    """
    path.write_bytes(encoded(picture, kind, level))


def encoded(picture: UInt8[np.ndarray, "h w 3"], kind: PictureFormat, level: int | None = None) -> bytes:
    """Return the file of a picture.

    Args:
        picture: Picture in 8 bits.
        kind: Format of the file.
        level: How hard PNG and WebP compress, 0 to 9, PNG not at all at 0; None for what is soonest done for its bytes.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=kind.upper(), **_settings(kind, level))
    return buffer.getvalue()
