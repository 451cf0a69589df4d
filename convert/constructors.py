"""The few constructors that honest checkpoints call, by their globals; each makes a node of its arguments."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from convert.budget import Budget
from convert.nodes import (
    Array,
    Buffer,
    CheckpointError,
    Dict,
    Dtype,
    Inert,
    List,
    LongText,
    Network,
    Persistent,
    Storage,
    Symbol,
    Tensor,
)

__all__ = ["CALLS", "CLASSES", "Constructor", "Interpreter", "Misfit", "Namespace"]

_PART = 2**20
_DISTRUST = "no honest checkpoint does this, do not trust the file"


class Interpreter(Protocol):
    """What a constructor needs of the interpreter."""

    budget: Budget
    nested: Callable[[Buffer], Any] | None

    def make(self, kind: Any, args: Any) -> Any: ...


def _ordered_dict(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    node = Dict()
    if args:
        (pairs,) = args
        if type(pairs) is not List:
            raise Misfit
        machine.budget.step(len(pairs.items))
        for pair in pairs.items:
            pair = tuple(pair.items) if type(pair) is List and len(pair.items) == 2 else pair
            if type(pair) is not tuple or len(pair) != 2:
                raise Misfit
            node.set(*pair)
    return node


def _plain_dict(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    return Dict()


def _first(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    return args[0] if args else None


def _tensor(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    storage, offset, shape, stride, *_ = args
    if type(storage) is not Storage:
        return Inert("torch tensor of an unknown storage")
    return Tensor(storage, offset, shape, stride)


def _nested(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    (raw,) = args
    if type(raw) not in (bytes, memoryview):
        raise Misfit
    if machine.nested is None:
        raise CheckpointError(f"torch.storage._load_from_bytes out of place; {_DISTRUST}")
    machine.budget.nest(len(raw))
    return machine.nested(raw)


def _array(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    kind = args[0] if args else None
    if type(kind) is Symbol and (kind.module, kind.name) == ("numpy", "ndarray"):
        return Array()
    return Inert(f"NumPy array of class {kind}" if type(kind) is Symbol else "NumPy array of an unknown class")


def _array_of_buffer(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    raw, dtype, shape, order = args
    array = Array()
    array.state = (shape, dtype, type(order) is str and order == "F", raw)
    return array


def _dtype(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    code = args[0] if args else None
    if type(code) is not str:
        return Inert("NumPy dtype of fields")
    return Dtype(code)


def _scalar(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    dtype, raw = args
    if type(dtype) is not Dtype or dtype.numpy is None or type(raw) not in (bytes, memoryview):
        return Inert("NumPy scalar of an unknown dtype")
    if len(raw) != dtype.numpy.itemsize:
        raise Misfit
    return np.frombuffer(raw, dtype.numpy)[0].item()


def _encode(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    text, encoding = args
    if type(encoding) is not str or encoding not in ("latin1", "latin-1"):
        raise Misfit
    if type(text) is str:
        text = LongText(text.encode("utf-8", "surrogatepass"), "utf-8")
    if type(text) is not LongText:
        raise Misfit
    # Text, and what it is encoded as, are never longer than the text in the file.
    machine.budget.encode(len(text.raw))
    if text.encoding == "latin-1":
        return text.raw
    decoder = codecs.getincrementaldecoder(text.encoding)()
    out = bytearray()
    try:
        for start in range(0, len(text.raw), _PART):
            part = bytes(text.raw[start : start + _PART])
            out += decoder.decode(part, start + _PART >= len(text.raw)).encode("latin-1")
    except UnicodeError:
        raise Misfit from None
    return memoryview(out).toreadonly()


def _no_bytes(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    return Inert("builtins.bytes") if args else b""


def _persistent(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    (meta,) = args
    if type(meta) is not Dict:
        raise Misfit
    name, state = meta.items.get("class_name"), meta.items.get("state")
    if type(name) is not str or type(state) is not Dict:
        return Inert("persistent object without a name or a state")
    return Persistent(name, state)


def _network(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    return Network()


def _namespace(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    return Namespace()


def _old_object(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    """Protocols 0 and 1 make an instance by its class, its built-in base class and that base's value."""
    kind, _, value = args
    node = machine.make(kind, ())
    if type(node) is Dict and type(value) is Dict:
        node.items, node.dropped = value.items, value.dropped
    return node


def _new_object(machine: Interpreter, args: tuple[Any, ...]) -> Any:
    kind, *rest = args
    return machine.make(kind, tuple(rest))


class Misfit(Exception):
    """A known constructor was given what it cannot take."""


class Namespace(Dict):
    """A dict whose entries come by BUILD."""

    __slots__ = ()


Constructor = Callable[["Interpreter", tuple[Any, ...]], Any]
_NUMPY = ("numpy.core", "numpy._core")
# What protocols 2 and up make without a call.
CLASSES: dict[tuple[str, str], Constructor] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("collections", "defaultdict"): _plain_dict,
    ("dnnlib.util", "EasyDict"): _plain_dict,
    ("dnnlib", "EasyDict"): _plain_dict,
    ("argparse", "Namespace"): _namespace,
    ("dnnlib.tflib.network", "Network"): _network,
}
CALLS: dict[tuple[str, str], Constructor] = CLASSES | {
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _nested,
    ("torch", "Size"): _first,
    **{(f"{numpy}.multiarray", "_reconstruct"): _array for numpy in _NUMPY},
    **{(f"{numpy}.multiarray", "scalar"): _scalar for numpy in _NUMPY},
    **{(f"{numpy}.numeric", "_frombuffer"): _array_of_buffer for numpy in _NUMPY},
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _no_bytes,
    ("__builtin__", "bytes"): _no_bytes,
    ("copyreg", "_reconstructor"): _old_object,
    ("copy_reg", "_reconstructor"): _old_object,
    ("copyreg", "__newobj__"): _new_object,
    ("copy_reg", "__newobj__"): _new_object,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
}
