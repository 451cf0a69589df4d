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
_SETTINGS: dict[str, dict[str, Any]] = {
    # At 1024x1024 a third of the usual level's time, for a tenth more bytes.
    "png": {"compress_level": 1},
    "webp": {"lossless": True},
    # Colours are not halved: a solution's downscaled version would change by more than its pixels.
    "jpeg": {"quality": 95, "subsampling": 0},
}


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


def save_picture(path: Path | HeldFile, picture: UInt8[np.ndarray, "h w 3"], kind: PictureFormat) -> None:
    """Write a picture; if that fails, half of it may be there.

    Args:
        path: File to write, in a folder that appears once all of it is written.
        picture: Picture in 8 bits.
        kind: Format of the file.

    Raises:
        OSError: The folder is missing or not writable, or the disk is full.
    """
    path.write_bytes(encoded(picture, kind))


def encoded(picture: UInt8[np.ndarray, "h w 3"], kind: PictureFormat) -> bytes:
    """Return the file of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format=kind.upper(), **_SETTINGS[kind])
    return buffer.getvalue()
