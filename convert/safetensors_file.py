"""safetensors: a length, a JSON header of names, dtypes, shapes and offsets, and the raw data."""

from __future__ import annotations

import json
import math
import os
import pathlib
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from convert.nodes import Buffer, CheckpointError, shown
from pulse_jax.system.files import write_whole

__all__ = ["is_safetensors", "load_safetensors", "save_safetensors"]

_HEADER_LIMIT = 4 * 2**20
_MAX_TENSORS = 100_000
_MAX_DIMENSIONS = 8
_AGAIN = "download the file again"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_NAMES = {code: name for name, code in _DTYPES.items() if name != "BF16"}


def is_safetensors(data: Buffer) -> bool:
    """Whether the file begins with a length and a JSON object."""
    return len(data) >= 9 and data[8] == 0x7B and 0 < struct.unpack("<Q", data[:8])[0] < 2**48


def load_safetensors(data: Buffer) -> tuple[dict[str, tuple[str, np.ndarray]], dict[str, str]]:
    """The file's tensors, each its dtype's name and its array, a view (BF16 as uint16); and its metadata.

    Raises:
        CheckpointError: damaged or hostile.
    """
    view = memoryview(data)
    (size,) = struct.unpack("<Q", view[:8])
    if size > min(len(view) - 8, _HEADER_LIMIT):
        raise CheckpointError(
            f"a safetensors header of {size} bytes, expected at most {min(len(view) - 8, _HEADER_LIMIT)}; {_AGAIN}"
        )
    try:
        header = json.loads(bytes(view[8 : 8 + size]).decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"the safetensors header is not valid JSON; {_AGAIN}") from None
    if not isinstance(header, dict) or len(header) > _MAX_TENSORS:
        raise CheckpointError(f"the safetensors header is not a table of at most {_MAX_TENSORS} tensors; {_AGAIN}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or any(type(value) is not str for value in metadata.values()):
        raise CheckpointError(f"the safetensors header's metadata are not texts; {_AGAIN}")
    body = view[8 + size :]
    tensors = {name: _tensor(name, entry, body) for name, entry in header.items()}
    at = 0
    for begin, end in sorted(entry["data_offsets"] for entry in header.values()):
        # The format has neither gaps nor overlaps.
        if begin != at:
            raise CheckpointError(f"safetensors data overlap or have gaps at byte {at}; {_AGAIN}")
        at = end
    if at != len(body):
        raise CheckpointError(f"the safetensors header names {at} bytes of data, the file has {len(body)}; {_AGAIN}")
    return tensors, metadata


def save_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays of numbers as a safetensors file; a file that stands there is replaced.

    Raises:
        CheckpointError: an array is not of numbers, or the file cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts: list[np.ndarray] = []
    at = 0
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        code = _NAMES.get(array.dtype.newbyteorder("<").str)
        if code is None:
            raise CheckpointError(f"{shown(name)}: safetensors cannot hold {array.dtype}; cast it to float32")
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        parts.append(array)
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def fill(file: BinaryIO) -> None:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in parts:
            file.write(np.ascontiguousarray(array).data if array.size else b"")

    try:
        write_whole(pathlib.Path(path), fill)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"{path}: cannot be written ({reason}); choose another file") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CheckpointError(f"the safetensors header has a name twice; {_AGAIN}")
    return result


def _tensor(name: str, entry: Any, body: memoryview) -> tuple[str, np.ndarray]:
    where = f"safetensors tensor '{shown(name)}'"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: expected dtype, shape and data_offsets; {_AGAIN}")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(kind) is not str or kind not in _DTYPES:
        raise CheckpointError(f"{where}: dtype '{shown(kind)}', expected one of {', '.join(_DTYPES)}")
    if not _counts(shape) or len(shape) > _MAX_DIMENSIONS or math.prod(size or 1 for size in shape) > 2**40:
        raise CheckpointError(f"{where}: its shape is not a list of at most {_MAX_DIMENSIONS} sizes; {_AGAIN}")
    if not _counts(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= len(body):
        raise CheckpointError(f"{where}: its data leave the file; {_AGAIN}")
    dtype = np.dtype(_DTYPES[kind])
    count = math.prod(shape)
    needed, stored = count * dtype.itemsize, offsets[1] - offsets[0]
    if needed != stored:
        raise CheckpointError(f"{where}: shape {tuple(shape)} needs {needed} bytes, got {stored}; {_AGAIN}")
    if count == 0:
        return kind, np.empty(shape, dtype)
    return kind, np.frombuffer(body, dtype, count, offsets[0]).reshape(shape)


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size <= 2**40 for size in value)
