"""What the reader makes of a checkpoint: nodes that stand for its values, and the error for what cannot be read.

A node holds what was read as it was read; sizes, strides and dtypes are looked at when `view` asks for an array.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

__all__ = [
    "Array",
    "Buffer",
    "CheckpointError",
    "Dict",
    "Dtype",
    "Inert",
    "List",
    "LongText",
    "Network",
    "Persistent",
    "Storage",
    "Symbol",
    "Tensor",
    "shown",
]

Buffer = bytes | memoryview

_MAX_DIMENSIONS = 8
_MAX_LENGTH = 2**40
# What rich takes for markup; file names and names from files stand in the messages.
_MARKUP = re.compile(r"\[(?=[a-zA-Z#/@])")
_NUMPY_DTYPES = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_TORCH_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}


def shown(text: object, limit: int = 80) -> str:
    """A name from a file as part of one line: control characters and square brackets, which rich obeys, escaped."""
    pieces: list[str] = []
    length = 0
    for c in str(text)[: limit + 1]:
        piece = {"[": "\\x5b", "]": "\\x5d"}.get(c) or (c if c.isprintable() else ascii(c)[1:-1])
        length += len(piece)
        if length > limit:
            return "".join(pieces)[: limit - 1] + "…"
        pieces.append(piece)
    return "".join(pieces)


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or used; the text is one printable line: what, where, what to do."""

    def __init__(self, message: object) -> None:
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(message))
        super().__init__(_MARKUP.sub(r"\\x5b", line))


class Symbol:
    """A global's name. It stands for nothing: nothing is ever looked up by it but this module's own table."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __str__(self) -> str:
        return shown(f"{self.module}.{self.name}")


class Inert:
    """Something that is not understood; `name`, printable, says what. `state` is what BUILD gave, where a dict."""

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Dict | None = None


class List:
    """A list."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[Any] = []


class Dict:
    """A dict; entries whose keys are not (short) texts are only counted."""

    __slots__ = ("dropped", "items")

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.dropped = 0

    def set(self, key: Any, value: Any) -> None:
        if type(key) is str:
            self.items[key] = value
        else:
            self.dropped += 1


class LongText:
    """A text too long for a name, still encoded."""

    __slots__ = ("encoding", "raw")

    def __init__(self, raw: Buffer, encoding: str) -> None:
        self.raw: Buffer = raw
        self.encoding = encoding


class Dtype:
    """A NumPy dtype by its code, 'f4'; `order` is '<' or '>'."""

    __slots__ = ("code", "order", "plain")

    def __init__(self, code: str) -> None:
        self.order = "<"
        if code[:1] in ("<", ">", "=", "|") and len(code) > 1:
            self.order, code = (">" if code[0] == ">" else "<"), code[1:]
        self.code, self.plain = code, True

    def __str__(self) -> str:
        return shown(f"NumPy dtype {self.code}")

    @property
    def numpy(self) -> np.dtype | None:
        """The dtype, None if it is not one of numbers."""
        return np.dtype(self.order + self.code) if self.plain and self.code in _NUMPY_DTYPES else None


class Array:
    """A NumPy array whose state is not looked at before `view`."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: tuple[Any, ...] | None = None

    def view(self) -> np.ndarray | str:
        """The array, a view of the bytes it was read from, or the name of what it holds if that is not numbers.

        Raises:
            CheckpointError: shape, dtype and bytes do not fit each other.
        """
        if self.state is None:
            return "NumPy array without its state"
        shape, dtype, fortran, raw = self.state
        if type(dtype) is not Dtype or dtype.numpy is None:
            return str(dtype) if type(dtype) is Dtype else "NumPy array of an unknown dtype"
        if type(raw) is str and max(raw, default="") < "\u0100":
            # Python 2 wrote bytes as text.
            raw = raw.encode("latin-1")
        elif type(raw) is LongText and raw.encoding == "latin-1":
            raw = raw.raw
        if not isinstance(raw, bytes | memoryview):
            raise CheckpointError("a NumPy array without the bytes it is made of")
        sizes = _sizes(shape)
        needed = math.prod(sizes) * dtype.numpy.itemsize
        if len(raw) != needed:
            raise CheckpointError(f"a NumPy array of shape {sizes} needs {needed} bytes, the file has {len(raw)}")
        if needed == 0:
            return np.empty(sizes, dtype.numpy)
        order = "F" if fortran is True or (type(fortran) is int and fortran == 1) else "C"
        return np.frombuffer(raw, dtype.numpy).reshape(sizes, order=order)


class Storage:
    """A torch storage: so many elements, whose bytes may follow later."""

    __slots__ = ("code", "data", "key", "numel", "order", "type")

    def __init__(self, kind: Symbol, key: str, numel: int) -> None:
        self.type, self.key, self.numel = str(kind), key, numel
        self.code = _TORCH_DTYPES.get(kind.name) if kind.module in ("torch", "torch.cuda") else None
        self.data: Buffer | None = None
        self.order = "<"

    @property
    def itemsize(self) -> int | None:
        """Bytes of an element, None where the type is unknown."""
        return None if self.code is None else 2 if self.code == "bfloat16" else int(self.code[1:])


class Tensor:
    """A torch tensor: a window on a storage, not looked at before `view`."""

    __slots__ = ("offset", "shape", "storage", "stride")

    def __init__(self, storage: Storage, offset: Any, shape: Any, stride: Any) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def view(self) -> np.ndarray | str:
        """The tensor, a view of the file (bfloat16 as uint16), or its type's name if that is not one of numbers.

        Raises:
            CheckpointError: offset, sizes or strides leave the storage, or the tensor is not dense.
        """
        storage = self.storage
        if storage.code is None:
            return storage.type
        sizes, strides = _sizes(self.shape), _sizes(self.stride)
        offset = self.offset
        if len(sizes) != len(strides) or type(offset) is not int or not 0 <= offset <= _MAX_LENGTH:
            raise CheckpointError(f"a tensor of shape {sizes} with strides {strides} and an impossible offset")
        count = math.prod(sizes)
        if offset + count > storage.numel:
            raise CheckpointError(
                f"a tensor of shape {sizes} at offset {offset} leaves its storage of {storage.numel} elements"
            )
        dtype = np.dtype(storage.order + ("u2" if storage.code == "bfloat16" else storage.code))
        if count == 0:
            return np.empty(sizes, dtype)
        # Any order of the axes is honest (channels last), gaps and repeats are not.
        axes = sorted((axis for axis, size in enumerate(sizes) if size > 1), key=lambda axis: -strides[axis])
        expected = 1
        for axis in reversed(axes):
            if strides[axis] != expected:
                raise CheckpointError(f"a tensor of shape {sizes} with strides {strides} is not dense")
            expected *= sizes[axis]
        if storage.data is None:
            raise CheckpointError(f"the data of storage {shown(storage.key)!r} is missing")
        flat = np.frombuffer(storage.data, dtype, count, offset * dtype.itemsize)
        axes = [axis for axis, size in enumerate(sizes) if size == 1] + axes
        return flat.reshape([sizes[axis] for axis in axes]).transpose([axes.index(axis) for axis in range(len(axes))])


class Network:
    """A `dnnlib.tflib.network.Network` of TensorFlow."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = Dict()


class Persistent:
    """A persistent object of StyleGAN2-ADA and later: its class's name and its state; the source is dropped unseen."""

    __slots__ = ("name", "state")

    def __init__(self, name: str, state: Dict) -> None:
        self.name, self.state = name, state


def _sizes(value: Any) -> tuple[int, ...]:
    if type(value) is not tuple or len(value) > _MAX_DIMENSIONS:
        raise CheckpointError(f"an array's shape or strides are not a tuple of at most {_MAX_DIMENSIONS} sizes")
    if any(type(size) is not int or not 0 <= size <= _MAX_LENGTH for size in value):
        raise CheckpointError("an array's shape or strides hold something other than sizes")
    # NumPy multiplies the other axes even where one is empty.
    if math.prod(size or 1 for size in value) > _MAX_LENGTH:
        raise CheckpointError("an array's shape or strides are larger than any file")
    return value
