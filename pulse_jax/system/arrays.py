"""Reading `.npz` files that may be a stranger's: claims are held against what there is before memory is taken."""

import contextlib
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

__all__ = ["opened_arrays", "read_array"]

# A file may grow to twice its size and so much more. Its directory, of which much more is made, is that of some arrays.
_FREE_BYTES, _GROWTH = 512 * 2**20, 2
_DIRECTORY_LIMIT = 2**17
# How often an array is read before the interpreter's failure is believed.
_TRIES = 100
_T = TypeVar("_T")


@contextlib.contextmanager
def opened_arrays(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Open the arrays of a file, each read when it is asked for; nothing in it is ever run.

    Args:
        path: File that `numpy.savez` wrote.

    Raises:
        ValueError: It would grow far beyond its size, is encrypted, or an array is damaged or larger than what is
            stored of it; an array that is asked for raises the same.
        OSError, zipfile.BadZipFile: It cannot be read, or is damaged.
    """
    with open(path, "rb") as file:
        with _damage_told(), zipfile.ZipFile(_Bounded(file)) as archive:  # pyright: ignore
            members = archive.infolist()
            grown, size = sum(member.file_size for member in members), path.stat().st_size
            if grown > _FREE_BYTES + _GROWTH * size:
                raise ValueError(f"{size} bytes that would grow to {grown}")
            if any(member.flag_bits & 1 for member in members):
                raise ValueError("encrypted")
            for member in members:
                _beside_threads(_check_array, archive, member)
        file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            yield _Arrays(stored)


def read_array(path: Path) -> np.ndarray:
    """Return the array of a `.npy` file; nothing in it is ever run.

    Args:
        path: File that `numpy.save` wrote.

    Raises:
        ValueError: It is damaged, or the array is larger than what is stored of it.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file, _damage_told():
        return _beside_threads(_read_whole, file, path.stat().st_size)


class _Arrays(Mapping[str, np.ndarray]):
    """Arrays by name, whose damage is told as such."""

    def __init__(self, stored: Any) -> None:
        self._stored = stored

    def __getitem__(self, name: str) -> np.ndarray:
        with _damage_told():
            return _beside_threads(self._stored.__getitem__, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


class _Bounded:
    """A file of which an archive's directory is read, which is read at once: a large one is refused."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase`; of more than the limit, one byte more than that is read and the archive refused."""
        data = self._file.read(_DIRECTORY_LIMIT + 1 if size < 0 else min(size, _DIRECTORY_LIMIT + 1))
        if len(data) > _DIRECTORY_LIMIT:
            raise ValueError(f"a directory or a piece of more than {_DIRECTORY_LIMIT} bytes")
        return data


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        raise
    except Exception as error:  # zlib, lzma, tokenize, zipfile and NumPy raise errors of many kinds for damaged bytes
        raise ValueError(f"damaged ({type(error).__name__})") from error


def _beside_threads(read: Callable[..., _T], *where: Any) -> _T:
    """Return what is read. NumPy evaluates a header as Python, and some CPython 3.11 and 3.12 fail at that by chance,
    whatever the file holds, while another thread does the same (CPython's gh-106905).
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(SystemError):
            return read(*where)
    return read(*where)


def _read_whole(file: BinaryIO, size: int) -> np.ndarray:
    file.seek(0)
    _check_header(file, size, "it")
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _check_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raises `ValueError` where an array claims more bytes than its member has."""
    with archive.open(member) as file:
        _check_header(file, member.file_size, f"{member.filename:.80}")


def _check_header(file: Any, size: int, name: str) -> None:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.itemsize == 0 or any(length < 0 for length in shape):
        raise ValueError(f"{name} claims the shape {shape!s:.80} of {dtype!s:.40}")
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name} claims the shape {shape!s:.80} and has {size} bytes")
