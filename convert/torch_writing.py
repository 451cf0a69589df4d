"""State dicts as zip files that `torch.load` reads, with `weights_only` too; torch itself is not needed."""

from __future__ import annotations

import pathlib
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np

from convert.source import CheckpointError
from pulse_jax.system.files import write_whole

__all__ = ["State", "save_torch"]

_ROOT = "archive"
State = Mapping[str, "np.ndarray | Sequence[np.ndarray] | State"]


def save_torch(path: pathlib.Path, state: State) -> None:
    """Write float32 arrays, in lists and nested dicts, as `torch.save` does tensors; a file that is there is replaced.

    Args:
        path: file to write.
        state: arrays, lists of them and dicts by name.

    Raises:
        CheckpointError: the file cannot be written.
    """
    arrays: list[np.ndarray] = []
    program = b"\x80\x02" + _saved(state, arrays) + b"."

    def fill(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(f"{_ROOT}/data.pkl", program)
            archive.writestr(f"{_ROOT}/byteorder", b"little")
            for number, array in enumerate(arrays):
                archive.writestr(f"{_ROOT}/data/{number}", array.astype("<f4", copy=False).tobytes())
            archive.writestr(f"{_ROOT}/version", b"3\n")

    try:
        write_whole(path, fill)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"{path}: cannot be written ({reason}); choose another file") from error


def _saved(value: np.ndarray | Sequence[np.ndarray] | State, arrays: list[np.ndarray]) -> bytes:
    """The opcodes (protocol 2) that leave a tensor, list or dict on the stack; arrays are numbered as they are met."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        strides = [stride // value.itemsize for stride in np.empty(value.shape, np.float32).strides]
        storage = _tuple(
            *(_text("storage"), b"ctorch\nFloatStorage\n", _text(str(len(arrays) - 1)), _text("cpu")), _int(value.size)
        )
        hooks = b"ccollections\nOrderedDict\n" + b")R"
        sizes = _tuple(*map(_int, value.shape)), _tuple(*map(_int, strides))
        return b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple(storage + b"Q", _int(0), *sizes, b"\x89", hooks) + b"R"
    if not isinstance(value, Mapping):
        return b"](" + b"".join(_saved(part, arrays) for part in value) + b"e"
    items = b"".join(_text(key) + _saved(part, arrays) for key, part in value.items())
    return b"}(" + items + b"u"


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _tuple(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"
