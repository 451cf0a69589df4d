"""Pickles as data: an interpreter of pickle opcodes that imports nothing, calls nothing and builds only its own nodes.

A global becomes a `Symbol`, which is a name and no more. Calls go through a table of the few constructors that honest
checkpoints use, each of which makes a node; any other call makes an `Inert` node, which remembers the name so that it
can be refused if its value turns out to be needed. What was read is never hashed (but short text, as a `Dict`'s key),
compared or printed as it is. Texts beyond `_SHORT` bytes and all bytes stay views of the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from convert.constructors import CALLS, CLASSES, Constructor, Misfit, Namespace, Steps
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
    Symbol,
    Tensor,
    shown,
)

__all__ = ["load"]

_SHORT = 1024
_LINE = 4096
_INTEGER_BYTES = 255
_AGAIN = "download the file again"
_DISTRUST = "no honest checkpoint does this, do not trust the file"

_INTEGER = re.compile(rb"[+-]?[0-9]{1,300}")
_INDEX = re.compile(rb"[0-9]{1,18}")
_FLOAT = re.compile(rb"[+-]?([0-9]{1,40}\.?[0-9]{0,40}(e[+-]?[0-9]{1,5})?|inf|nan)", re.IGNORECASE)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b"'": b"'", b'"': b'"'}


def load(
    data: Buffer,
    start: int,
    steps: Steps,
    *,
    persistent: Callable[[Any], Any] | None = None,
    nested: Callable[[Buffer], Any] | None = None,
) -> tuple[Any, int]:
    """Read one pickle.

    Args:
        data: the file, or a part of it.
        start: where in `data` the pickle begins.
        steps: the work that the file may still cause; what this pickle takes is subtracted.
        persistent: makes a node of a persistent id; without it such ids are refused.
        nested: makes a node of the bytes that `torch.storage._load_from_bytes` is given.

    Returns:
        The value, of None, bool, int, float, str, tuple, bytes, memoryview and this module's nodes, and its end.

    Raises:
        CheckpointError: damaged or hostile; the text says at which byte of `data`.
    """
    return _Machine(data, start, steps, persistent, nested).run()


class _Machine:
    def __init__(
        self,
        data: Buffer,
        start: int,
        steps: Steps,
        persistent: Callable[[Any], Any] | None,
        nested: Callable[[Buffer], Any] | None,
    ) -> None:
        self.data = memoryview(data)
        self.at = start
        self.steps = steps
        self.persistent = persistent
        self.nested = nested
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        data, size, opcodes, steps = self.data, len(self.data), _OPCODES, self.steps
        while True:
            where = self.at
            if where >= size:
                raise CheckpointError(f"the pickle breaks off at byte {where}; {_AGAIN}")
            code = data[where]
            self.at = where + 1
            if code == 0x2E:  # STOP
                return self.pop(), self.at
            operation = opcodes.get(code)
            if operation is None:
                raise CheckpointError(f"byte {where}: 0x{code:02x} is not a pickle opcode; {_AGAIN}")
            steps.take(1)
            operation(self)

    # What the opcodes are made of.

    def take(self, count: int) -> memoryview:
        end = self.at + count
        if end > len(self.data):
            raise CheckpointError(f"byte {self.at}: {count} bytes announced, {len(self.data) - self.at} left; {_AGAIN}")
        part = self.data[self.at : end]
        self.at = end
        return part

    def number(self, layout: str) -> int:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> memoryview:
        """Up to the next line's end, without it."""
        start = end = self.at
        while end < len(self.data):
            part = bytes(self.data[end : end + _LINE])
            found = part.find(b"\n")
            if found >= 0:
                self.at = end + found + 1
                return self.data[start : end + found]
            end += len(part)
        raise CheckpointError(f"byte {start}: a line without an end; {_AGAIN}")

    def short_line(self) -> bytes:
        line = self.line()
        if len(line) > _LINE:
            raise CheckpointError(f"a line of {len(line)} bytes before byte {self.at}; {_DISTRUST}")
        return bytes(line)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise CheckpointError(f"the pickle's stack is empty before byte {self.at}; {_AGAIN}")
        return self.stack.pop()

    def top(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise CheckpointError(f"the pickle's stack is empty before byte {self.at}; {_AGAIN}")
        return self.stack[-1]

    def pop_marked(self) -> list[Any]:
        if not self.marks:
            raise CheckpointError(f"the pickle lacks a mark before byte {self.at}; {_AGAIN}")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def text(self, raw: memoryview, encoding: str) -> str | LongText:
        if len(raw) > _SHORT:
            return LongText(raw, encoding)
        try:
            return str(raw, encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeError:
            raise CheckpointError(f"a text before byte {self.at} is not {encoding}; {_AGAIN}") from None

    def make(self, kind: Any, args: Any, table: dict[tuple[str, str], Constructor] = CLASSES) -> Any:
        """What calling `kind` with `args` stands for."""
        if type(kind) is not Symbol:
            return Inert(f"call of {kind.name}" if type(kind) is Inert and len(kind.name) < 60 else "call of a value")
        constructor = table.get((kind.module, kind.name))
        if constructor is None:
            return Inert(str(kind))
        if type(args) is not tuple:
            raise CheckpointError(f"{kind} is called without arguments before byte {self.at}; {_DISTRUST}")
        try:
            return constructor(self, args)
        except CheckpointError:
            raise
        except (Misfit, ValueError):
            message = f"{kind} is called with what it cannot take before byte {self.at}; {_DISTRUST}"
            raise CheckpointError(message) from None

    def global_(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise CheckpointError(f"a global before byte {self.at} whose name is not a text; {_DISTRUST}")
        self.push(Symbol(module, name))

    def persistent_id(self, identity: Any) -> None:
        if self.persistent is None:
            raise CheckpointError(f"a persistent id out of place before byte {self.at}; {_DISTRUST}")
        self.push(self.persistent(identity))

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise CheckpointError(f"memo entry {index} is used before it is made, before byte {self.at}; {_AGAIN}")
        self.push(self.memo[index])

    def index(self) -> int:
        line = self.short_line()
        if not _INDEX.fullmatch(line):
            raise CheckpointError(f"a memo index before byte {self.at} is not a number; {_AGAIN}")
        return int(line)

    def integer(self, line: bytes) -> int:
        if not _INTEGER.fullmatch(line):
            raise CheckpointError(f"an integer before byte {self.at} is none, or too long; {_DISTRUST}")
        return int(line)

    def long(self, count: int) -> None:
        if not 0 <= count <= _INTEGER_BYTES:
            raise CheckpointError(f"an integer of {count} bytes before byte {self.at}; {_DISTRUST}")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def extend(self, values: list[Any]) -> None:
        node = self.top()
        if type(node) is List:
            node.items.extend(values)
        elif type(node) is not Inert:
            raise CheckpointError(f"entries for something that is no list before byte {self.at}; {_DISTRUST}")

    def update(self, items: list[Any]) -> None:
        node = self.top()
        if len(items) % 2:
            raise CheckpointError(f"a key without a value before byte {self.at}; {_AGAIN}")
        if isinstance(node, Dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                node.set(key, value)
        elif type(node) is not Inert:
            raise CheckpointError(f"entries for something that is no dict before byte {self.at}; {_DISTRUST}")


_Operation = Callable[[_Machine], None]
_OPCODES: dict[int, _Operation] = {}


def _opcode(*codes: bytes) -> Callable[[_Operation], _Operation]:
    def register(operation: _Operation) -> _Operation:
        _OPCODES.update({code[0]: operation for code in codes})
        return operation

    return register


def _constant(code: bytes, value: Any) -> None:
    _OPCODES[code[0]] = lambda machine: machine.push(value)


def _unsigned(code: bytes, layout: str) -> None:
    _OPCODES[code[0]] = lambda machine: machine.push(machine.number(layout))


for _code, _value in ((b"N", None), (b"\x88", True), (b"\x89", False), (b")", ())):
    _constant(_code, _value)
for _code, _layout in ((b"J", "<i"), (b"K", "<B"), (b"M", "<H"), (b"G", ">d")):
    _unsigned(_code, _layout)


@_opcode(b"\x80")
def _proto(machine: _Machine) -> None:
    protocol = machine.number("<B")
    if protocol > 5:
        raise CheckpointError(f"pickle protocol {protocol}, expected at most 5; {_AGAIN}")


@_opcode(b"\x95")
def _frame(machine: _Machine) -> None:
    count = machine.number("<Q")
    if count > len(machine.data) - machine.at:
        raise CheckpointError(f"a frame of {count} bytes at byte {machine.at} leaves the file; {_AGAIN}")


@_opcode(b"\x98")
def _readonly(machine: _Machine) -> None:
    machine.top()


@_opcode(b"I")
def _int(machine: _Machine) -> None:
    line = machine.short_line()
    machine.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else machine.integer(line))


@_opcode(b"L")
def _long(machine: _Machine) -> None:
    machine.push(machine.integer(machine.short_line().removesuffix(b"L")))


@_opcode(b"\x8a")
def _long1(machine: _Machine) -> None:
    machine.long(machine.number("<B"))


@_opcode(b"\x8b")
def _long4(machine: _Machine) -> None:
    machine.long(machine.number("<i"))


@_opcode(b"F")
def _float(machine: _Machine) -> None:
    line = machine.short_line()
    if not _FLOAT.fullmatch(line):
        raise CheckpointError(f"a float before byte {machine.at} is none; {_AGAIN}")
    machine.push(float(line))


@_opcode(b"S")
def _string(machine: _Machine) -> None:
    line = machine.line()
    if len(line) < 2 or line[0] not in b"'\"" or line[0] != line[-1]:
        raise CheckpointError(f"a text before byte {machine.at} lacks its quotes; {_AGAIN}")
    machine.steps.encode(len(line))
    raw = _ESCAPE.sub(lambda m: _unescaped(m[1]), bytes(line[1:-1]))
    machine.push(machine.text(memoryview(raw), "latin-1"))


def _unescaped(escape: bytes) -> bytes:
    return bytes([int(escape[1:], 16)]) if len(escape) == 3 else _ESCAPED.get(escape, b"\\" + escape)


@_opcode(b"V")
def _unicode(machine: _Machine) -> None:
    machine.push(machine.text(machine.line(), "raw-unicode-escape"))


def _sized(code: bytes, layout: str, encoding: str | None) -> None:
    def operation(machine: _Machine) -> None:
        raw = machine.take(_length(machine, layout))
        machine.push(raw if encoding is None else machine.text(raw, encoding))

    _OPCODES[code[0]] = operation


def _length(machine: _Machine, layout: str) -> int:
    count = machine.number(layout)
    if count < 0:
        raise CheckpointError(f"a length of {count} before byte {machine.at}; {_AGAIN}")
    return count


for _code, _layout, _encoding in (
    (b"X", "<I", "utf-8"),
    (b"\x8c", "<B", "utf-8"),
    (b"\x8d", "<Q", "utf-8"),
    (b"T", "<i", "latin-1"),
    (b"U", "<B", "latin-1"),
    (b"B", "<I", None),
    (b"C", "<B", None),
    (b"\x8e", "<Q", None),
    (b"\x96", "<Q", None),
):
    _sized(_code, _layout, _encoding)


@_opcode(b"(")
def _mark(machine: _Machine) -> None:
    machine.marks.append(len(machine.stack))


@_opcode(b"0")
def _pop(machine: _Machine) -> None:
    # Pickle's own way: a mark on top is popped instead.
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.pop()


@_opcode(b"1")
def _pop_mark(machine: _Machine) -> None:
    machine.pop_marked()


@_opcode(b"2")
def _dup(machine: _Machine) -> None:
    machine.push(machine.top())


@_opcode(b"t")
def _tuple(machine: _Machine) -> None:
    machine.push(tuple(machine.pop_marked()))


def _short_tuple(code: bytes, count: int) -> None:
    def operation(machine: _Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    _OPCODES[code[0]] = operation


for _code, _count in ((b"\x85", 1), (b"\x86", 2), (b"\x87", 3)):
    _short_tuple(_code, _count)


@_opcode(b"]")
def _empty_list(machine: _Machine) -> None:
    machine.push(List())


@_opcode(b"l")
def _list(machine: _Machine) -> None:
    node = List()
    node.items = machine.pop_marked()
    machine.push(node)


@_opcode(b"}")
def _empty_dict(machine: _Machine) -> None:
    machine.push(Dict())


@_opcode(b"d")
def _dict(machine: _Machine) -> None:
    items = machine.pop_marked()
    machine.push(Dict())
    machine.update(items)


@_opcode(b"\x8f")
def _empty_set(machine: _Machine) -> None:
    machine.push(Inert("builtins.set"))


@_opcode(b"\x91")
def _frozenset(machine: _Machine) -> None:
    machine.pop_marked()
    machine.push(Inert("builtins.frozenset"))


@_opcode(b"a")
def _append(machine: _Machine) -> None:
    value = machine.pop()
    machine.extend([value])


@_opcode(b"e", b"\x90")
def _appends(machine: _Machine) -> None:
    values = machine.pop_marked()
    machine.extend(values)


@_opcode(b"s")
def _setitem(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.update([key, value])


@_opcode(b"u")
def _setitems(machine: _Machine) -> None:
    items = machine.pop_marked()
    machine.update(items)


@_opcode(b"p")
def _put(machine: _Machine) -> None:
    machine.remember(machine.index())


@_opcode(b"q")
def _binput(machine: _Machine) -> None:
    machine.remember(machine.number("<B"))


@_opcode(b"r")
def _long_binput(machine: _Machine) -> None:
    machine.remember(machine.number("<I"))


@_opcode(b"\x94")
def _memoize(machine: _Machine) -> None:
    machine.remember(len(machine.memo))


@_opcode(b"g")
def _get(machine: _Machine) -> None:
    machine.recall(machine.index())


@_opcode(b"h")
def _binget(machine: _Machine) -> None:
    machine.recall(machine.number("<B"))


@_opcode(b"j")
def _long_binget(machine: _Machine) -> None:
    machine.recall(machine.number("<I"))


def _name(machine: _Machine) -> tuple[str, str]:
    try:
        return machine.short_line().decode("utf-8"), machine.short_line().decode("utf-8")
    except UnicodeError:
        raise CheckpointError(f"a global before byte {machine.at} whose name is not a text; {_DISTRUST}") from None


@_opcode(b"c")
def _global(machine: _Machine) -> None:
    machine.global_(*_name(machine))


@_opcode(b"\x93")
def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.global_(module, name)


@_opcode(b"i")
def _inst(machine: _Machine) -> None:
    module, name = _name(machine)
    machine.pop_marked()
    machine.push(Inert(shown(f"{module}.{name}")))


@_opcode(b"o")
def _obj(machine: _Machine) -> None:
    kind = next(iter(machine.pop_marked()), None)
    machine.push(Inert(str(kind) if type(kind) is Symbol else "instance of a value"))


@_opcode(b"R")
def _reduce(machine: _Machine) -> None:
    args, kind = machine.pop(), machine.pop()
    machine.push(machine.make(kind, args, CALLS))


@_opcode(b"\x81")
def _newobj(machine: _Machine) -> None:
    args, kind = machine.pop(), machine.pop()
    machine.push(machine.make(kind, args))


@_opcode(b"\x92")
def _newobj_ex(machine: _Machine) -> None:
    _, args, kind = machine.pop(), machine.pop(), machine.pop()
    machine.push(machine.make(kind, args))


@_opcode(b"b")
def _build(machine: _Machine) -> None:
    state = machine.pop()
    node = machine.top()
    kind = type(node)
    if kind is Symbol:
        raise CheckpointError(f"BUILD on the global {node} before byte {machine.at}; {_DISTRUST}")
    if kind is Array:
        # (version, shape, dtype, Fortran order, bytes), in old files without the version.
        if type(state) is not tuple or len(state) not in (4, 5):
            raise CheckpointError(f"a NumPy array's state before byte {machine.at} is damaged; {_AGAIN}")
        node.state = state[-4:]
    elif kind is Dtype:
        if type(state) is not tuple or len(state) < 3 or type(state[1]) is not str or state[1] not in "<>|=":
            raise CheckpointError(f"a NumPy dtype's state before byte {machine.at} is damaged; {_AGAIN}")
        node.order = ">" if state[1] == ">" else "<"
        node.plain = node.plain and all(part is None for part in state[2:5])
    elif kind is Namespace or kind is Network:
        if type(state) is not Dict:
            raise CheckpointError(f"an object's state before byte {machine.at} is not a dict; {_DISTRUST}")
        if kind is Network:
            node.state = state
        else:
            node.items, node.dropped = state.items, state.dropped
    elif kind is Inert:
        node.state = state if type(state) is Dict else None
    elif kind is not Dict and kind is not Tensor:
        # A dict's attributes (`_metadata` of state dicts) and a parameter's are not needed.
        raise CheckpointError(f"BUILD on something that has no state before byte {machine.at}; {_DISTRUST}")


@_opcode(b"P")
def _persid(machine: _Machine) -> None:
    machine.short_line()
    raise CheckpointError(f"a persistent id out of place before byte {machine.at}; {_DISTRUST}")


@_opcode(b"Q")
def _binpersid(machine: _Machine) -> None:
    machine.persistent_id(machine.pop())


@_opcode(b"\x82", b"\x83", b"\x84")
def _ext(machine: _Machine) -> None:
    raise CheckpointError(f"an extension code before byte {machine.at}; {_DISTRUST}")


@_opcode(b"\x97")
def _next_buffer(machine: _Machine) -> None:
    raise CheckpointError(f"a buffer outside the file before byte {machine.at}; {_DISTRUST}")
