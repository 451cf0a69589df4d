"""The arrays under a generator folder's `params/`, an orbax checkpoint (zarr 2 in OCDBT), read from files in memory.

Files are those whose hashes were checked: they are handed over as bytes, not by their paths, so that nothing can be
another by the time it is read, and no name in them leads anywhere else. What a node or a chunk may inflate to is
bounded by its frame's blocks before anything is inflated.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np

from pulse_jax.system.json_text import parse_json

__all__ = ["ArrayStore", "StoreError", "inflated_bytes"]

# OCDBT's manifest, nodes of versions and nodes of keys begin so; of honest folders they inflate to about one MB.
_NODE = re.compile(rb"\x0c\xdb(?:\x3a\x2a|\x12\x34|\x20\xde)")
_NODES_LIMIT = 8 * 2**20
_METADATA_LIMIT = 2**16
# An array's chunks may inflate to twice its size and so much more: compressed blocks count as full ones.
_CHUNKS_FREE = 32 * 2**20
_FRAME = b"\x28\xb5\x2f\xfd"
_BEGINNING = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)
_BLOCK_LIMIT = 128 * 2**10
# What a block counts at least, so that empty ones come to an end.
_BLOCK_LEAST = 16


class StoreError(ValueError):
    """Files that hold no arrays as they should; the text is a part of a line."""


class ArrayStore:
    """The arrays of one checkpoint.

    Args:
        files: Contents by their names below `params/`; taken out one by one, since they are kept here from then on.

    Raises:
        StoreError: The files are damaged, or their nodes would inflate to more than any honest folder's.
    """

    def __init__(self, files: MutableMapping[str, bytes]) -> None:
        # Here, because it takes long and most of the program does without.
        import tensorstore

        self._tensorstore = tensorstore
        self._context = tensorstore.Context()
        nodes = sum(map(_nodes_bytes, files.values()))
        if nodes > _NODES_LIMIT:
            raise StoreError(f"its nodes may inflate to {nodes} bytes, expected at most {_NODES_LIMIT}")
        memory = self._open({"driver": "memory"})
        while files:
            name, content = files.popitem()
            memory.write(name, content).result()
        self._values = self._open({"driver": "ocdbt", "base": {"driver": "memory"}})

    def _open(self, spec: dict[str, Any]) -> Any:
        return _resolved(self._tensorstore.KvStore.open(spec, context=self._context))

    def describe(self, key: str) -> tuple[tuple[int, ...], np.dtype] | None:
        """Return the shape and the dtype of an array, whose chunks were not looked at; None where there is none.

        Args:
            key: Its path, `a/b/c`.

        Raises:
            StoreError: What is said of it is damaged.
        """
        metadata = self._metadata(key)
        return None if metadata is None else (tuple(metadata["shape"]), np.dtype(metadata["dtype"]))

    def read(self, key: str) -> np.ndarray:
        """Return an array whose description was found right.

        Args:
            key: Its path, `a/b/c`.

        Raises:
            StoreError: Its chunks are not those of its shape, are missing or damaged, or may inflate to far more.
        """
        metadata = self._metadata(key)
        if metadata is None:
            raise StoreError(f"array {key!r:.80} is missing")
        shape, chunks = metadata["shape"], metadata["chunks"]
        if len(chunks) != len(shape) or any(chunk > max(size, 1) for chunk, size in zip(chunks, shape, strict=True)):
            raise StoreError(f"array {key!r:.80} of shape {shape!s:.80} has chunks of {chunks!s:.80}, larger than it")
        itemsize = np.dtype(metadata["dtype"]).itemsize
        limit = 2 * math.prod(shape) * itemsize + _CHUNKS_FREE
        compressed = metadata["compressor"] is not None
        total = 0
        grid = [range(math.ceil(size / chunk)) for size, chunk in zip(shape, chunks, strict=True)]
        for place in itertools.product(*grid):
            chunk = self._value(f"{_stored(key)}/{'.'.join(map(str, place)) or '0'}")
            if chunk is None:
                raise StoreError(f"a chunk of array {key!r:.80} is missing")
            total += inflated_bytes(chunk) if compressed else len(chunk)
            if total > limit:
                raise StoreError(f"array {key!r:.80} may inflate to {total} bytes, expected at most {limit}")
        spec = {
            "driver": "zarr",
            "kvstore": {"driver": "ocdbt", "base": {"driver": "memory"}, "path": f"{_stored(key)}/"},
        }
        opened = _resolved(self._tensorstore.open(spec, open=True, read=True, context=self._context))
        return np.asarray(_resolved(opened.read()))

    def _metadata(self, key: str) -> dict[str, Any] | None:
        raw = self._value(f"{_stored(key)}/.zarray")
        if raw is None:
            return None
        if len(raw) > _METADATA_LIMIT:
            raise StoreError(f"what is said of array {key!r:.80} has {len(raw)} bytes")
        try:
            metadata = parse_json(raw)
        except ValueError:
            metadata = None
        if not isinstance(metadata, dict) or not _is_plain(metadata):
            raise StoreError(f"what is said of array {key!r:.80} is not of an array of numbers as orbax stores them")
        return metadata

    def _value(self, key: str) -> bytes | None:
        found = _resolved(self._values.read(key))
        return None if found.state == "missing" else found.value


def _stored(key: str) -> str:
    """What orbax calls an array."""
    return key.replace("/", ".")


def _resolved(future: Any) -> Any:
    """What TensorStore has read; raises `StoreError` for what it says of it, without the places in its source."""
    try:
        return future.result()
    except Exception as error:  # it raises errors of many kinds for what is damaged
        first = str(error).strip().partition("\n")[0].partition(" [source locations")[0]
        raise StoreError(first[:120] or type(error).__name__) from error


def _is_plain(metadata: Mapping[str, Any]) -> bool:
    """Whether zarr's description is one of those that orbax writes, of whole numbers that are no truth values."""
    compressor = metadata.get("compressor", "")
    return (
        metadata.get("zarr_format") == 2
        and _are_counts(metadata.get("shape"), 0)
        and _are_counts(metadata.get("chunks"), 1)
        and metadata.get("dtype") in ("<f4", "<f2")
        and (compressor is None or (isinstance(compressor, dict) and compressor.get("id") == "zstd"))
        and metadata.get("filters") is None
        and metadata.get("dimension_separator") == "."
    )


def _are_counts(sizes: Any, least: int) -> bool:
    return isinstance(sizes, list) and len(sizes) <= 8 and all(type(n) is int and least <= n < 2**40 for n in sizes)


def _nodes_bytes(content: bytes) -> int:
    """The most bytes that the nodes in a file inflate to; each is found, since each begins with its magic number."""
    total = 0
    for match in _NODE.finditer(content):
        # Magic number, length, then the version and the kind of compression.
        if match.end() + 8 > len(content):
            break
        (length,) = struct.unpack_from("<Q", content, match.end())
        version, at = _varint(content, match.end() + 8)
        compression, at = _varint(content, at)
        if version != 0:
            continue
        total += inflated_bytes(content, at) if compression else min(length, len(content) - match.start())
        if total > _NODES_LIMIT:
            break
    return total


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, -1 where it does not end, and where the next begins."""
    value = 0
    for shift, byte in enumerate(content[at : at + 10]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    return -1, at


def inflated_bytes(content: bytes, at: int = 0) -> int:
    """Return the most bytes that zstd frames inflate to, by the headers of their blocks; nothing is inflated.

    Args:
        content: Bytes that hold the frames.
        at: Where the first begins. The last ends where no other follows.
    """
    total = 0
    while match := _BEGINNING.match(content, at):
        at = match.end()
        if match[0] == _FRAME:
            inflated, at = _frame(content, at)
        else:  # a frame to be skipped
            inflated, at = _BLOCK_LEAST, at + 4 + int.from_bytes(content[at : at + 4], "little")
        total += inflated
    return total


def _frame(content: bytes, at: int) -> tuple[int, int]:
    """The most bytes that one frame inflates to, and where it ends or breaks off."""
    if at >= len(content):
        return 0, at
    descriptor = content[at]
    is_single, has_checksum = descriptor & 0x20, descriptor & 4
    at += 1
    block_limit = _BLOCK_LIMIT
    if not is_single:
        window = content[at] if at < len(content) else 0
        base = 1 << (10 + (window >> 3))
        block_limit = min(block_limit, base + base // 8 * (window & 7))
        at += 1
    at += (0, 1, 2, 4)[descriptor & 3]
    width = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    if is_single:
        size = int.from_bytes(content[at : at + width], "little") + (256 if width == 2 else 0)
        block_limit = min(block_limit, size)
    at += width
    total = 0
    while at + 3 <= len(content):
        header = int.from_bytes(content[at : at + 3], "little")
        is_last, kind, size = header & 1, header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == 1 else size)
        total += max(block_limit if kind == 2 else size, _BLOCK_LEAST)
        if is_last:
            return total, at + (4 if has_checksum else 0)
    return total, at
