"""Reading `.npz` files that may be a stranger's: claims are held against what there is before memory is taken."""

import contextlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

__all__ = ["opened_arrays"]

# A file may grow to twice its size and so much more.
_FREE_BYTES, _GROWTH = 512 * 2**20, 2


@contextlib.contextmanager
def opened_arrays(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Open the arrays of a file, each read when it is asked for; nothing in it is ever run.

    Args:
        path: File that `numpy.savez` wrote.

    Raises:
        ValueError: It would grow far beyond its size, is encrypted, or an array is larger than what is stored of it.
        OSError, zipfile.BadZipFile: It cannot be read, or is damaged.
    """
    with open(path, "rb") as file:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            grown, size = sum(member.file_size for member in members), path.stat().st_size
            if grown > _FREE_BYTES + _GROWTH * size:
                raise ValueError(f"{size} bytes that would grow to {grown}")
            if any(member.flag_bits & 1 for member in members):
                raise ValueError("encrypted")
            for member in members:
                _check_array(archive, member)
        file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            yield stored


def _check_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raises `ValueError` where an array claims more bytes than its member has."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(f"{member.filename:.80} claims the shape {shape!s:.80} and has {member.file_size} bytes")
