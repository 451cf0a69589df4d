"""Files that appear whole or not at all, and their hashes."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["UNFINISHED", "sha256_of", "write_whole"]

UNFINISHED = ".*.tmp"
"""What files are called while they are written, as a pattern; one that was left by a killed process may go."""


def sha256_of(path: Path, *more: bytes) -> str:
    """Return the sha256 of a file in hexadecimal digits; the file is read piece by piece.

    Args:
        path: File to hash.
        more: Bytes that are hashed after the file, as if they stood at its end.

    Raises:
        OSError: The file is missing or cannot be read.
    """
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    for piece in more:
        digest.update(piece)
    return digest.hexdigest()


def write_whole(path: Path, fill: Callable[[BinaryIO], Any]) -> None:
    """Write a file, or leave what was there.

    Args:
        path: File to write or replace.
        fill: Called with the new file, open for bytes.

    Raises:
        OSError: The folder is missing or not writable, or the disk is full.
    """
    # Not `tempfile`: its files are readable by their owner alone, and the rename would keep that.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            fill(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
