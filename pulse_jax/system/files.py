"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["UNFINISHED", "write_whole"]

UNFINISHED = ".*.tmp"
"""What files are called while they are written, as a pattern; one that was left by a killed process may go."""


def write_whole(path: Path, fill: Callable[[BinaryIO], Any]) -> None:
    """Writes a file, or leaves what was there: `fill` gets the new one, open for bytes.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full.
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
