"""Pickles as data: an interpreter of pickle opcodes that imports nothing, calls nothing and builds only its own nodes.

Here is what each opcode does to the machine of `convert.machine`, which says what is made of globals and calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from convert.budget import Budget
from convert.constructors import CALLS
from convert.machine import AGAIN, DISTRUST, Machine
from convert.nodes import Buffer, CheckpointError, Dict, Inert, List, Symbol, shown

__all__ = ["load"]

_STOP = 0x2E
_FLOAT = re.compile(rb"[+-]?([0-9]{1,40}\.?[0-9]{0,40}(e[+-]?[0-9]{1,5})?|inf|nan)", re.IGNORECASE)


def load(
    data: Buffer,
    start: int,
    budget: Budget,
    *,
    persistent: Callable[[Any], Any] | None = None,
    nested: Callable[[Buffer], Any] | None = None,
) -> tuple[Any, int]:
    """Read one pickle.

    Args:
        data: the file, or a part of it.
        start: where in `data` the pickle begins.
        budget: the work that the file may still cause; what this pickle takes is subtracted.
        persistent: makes a node of a persistent id; without it such ids are refused.
        nested: makes a node of the bytes that `torch.storage._load_from_bytes` is given.

    Returns:
        The value, of None, bool, int, float, str, tuple, bytes, memoryview and `convert.nodes`' nodes, and its end.

    Raises:
        CheckpointError: damaged or hostile; the text says at which byte of `data`.
    """
    machine = Machine(data, start, budget, persistent, nested)
    view, size, opcodes = machine.data, len(machine.data), _OPCODES
    while True:
        where = machine.at
        if where >= size:
            raise CheckpointError(f"the pickle breaks off at byte {where}; {AGAIN}")
        code = view[where]
        machine.at = where + 1
        if code == _STOP:
            return machine.pop(), machine.at
        operation = opcodes.get(code)
        if operation is None:
            raise CheckpointError(f"byte {where}: 0x{code:02x} is not a pickle opcode; {AGAIN}")
        budget.step(1)
        operation(machine)


_Operation = Callable[[Machine], None]
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
def _proto(machine: Machine) -> None:
    protocol = machine.number("<B")
    if protocol > 5:
        raise CheckpointError(f"pickle protocol {protocol}, expected at most 5; {AGAIN}")


@_opcode(b"\x95")
def _frame(machine: Machine) -> None:
    count = machine.number("<Q")
    if count > len(machine.data) - machine.at:
        raise CheckpointError(f"a frame of {count} bytes at byte {machine.at} leaves the file; {AGAIN}")


@_opcode(b"\x98")
def _readonly(machine: Machine) -> None:
    machine.top()


@_opcode(b"I")
def _int(machine: Machine) -> None:
    line = machine.short_line()
    machine.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else machine.integer(line))


@_opcode(b"L")
def _long(machine: Machine) -> None:
    machine.push(machine.integer(machine.short_line().removesuffix(b"L")))


@_opcode(b"\x8a")
def _long1(machine: Machine) -> None:
    machine.long(machine.number("<B"))


@_opcode(b"\x8b")
def _long4(machine: Machine) -> None:
    machine.long(machine.number("<i"))


@_opcode(b"F")
def _float(machine: Machine) -> None:
    line = machine.short_line()
    if not _FLOAT.fullmatch(line):
        raise CheckpointError(f"a float before byte {machine.at} is none; {AGAIN}")
    machine.push(float(line))


@_opcode(b"S")
def _string(machine: Machine) -> None:
    machine.push(machine.text(machine.quoted(), "latin-1"))


@_opcode(b"V")
def _unicode(machine: Machine) -> None:
    machine.push(machine.text(machine.line(), "raw-unicode-escape"))


def _sized(code: bytes, layout: str, encoding: str | None) -> None:
    def operation(machine: Machine) -> None:
        raw = machine.take(_length(machine, layout))
        machine.push(raw if encoding is None else machine.text(raw, encoding))

    _OPCODES[code[0]] = operation


def _length(machine: Machine, layout: str) -> int:
    count = machine.number(layout)
    if count < 0:
        raise CheckpointError(f"a length of {count} before byte {machine.at}; {AGAIN}")
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
def _mark(machine: Machine) -> None:
    machine.marks.append(len(machine.stack))


@_opcode(b"0")
def _pop(machine: Machine) -> None:
    # Pickle's own way: a mark on top is popped instead.
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.pop()


@_opcode(b"1")
def _pop_mark(machine: Machine) -> None:
    machine.pop_marked()


@_opcode(b"2")
def _dup(machine: Machine) -> None:
    machine.push(machine.top())


@_opcode(b"t")
def _tuple(machine: Machine) -> None:
    machine.push(tuple(machine.pop_marked()))


def _short_tuple(code: bytes, count: int) -> None:
    def operation(machine: Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(items)))

    _OPCODES[code[0]] = operation


for _code, _count in ((b"\x85", 1), (b"\x86", 2), (b"\x87", 3)):
    _short_tuple(_code, _count)


@_opcode(b"]")
def _empty_list(machine: Machine) -> None:
    machine.push(List())


@_opcode(b"l")
def _list(machine: Machine) -> None:
    node = List()
    node.items = machine.pop_marked()
    machine.push(node)


@_opcode(b"}")
def _empty_dict(machine: Machine) -> None:
    machine.push(Dict())


@_opcode(b"d")
def _dict(machine: Machine) -> None:
    items = machine.pop_marked()
    machine.push(Dict())
    machine.update(items)


@_opcode(b"\x8f")
def _empty_set(machine: Machine) -> None:
    machine.push(Inert("builtins.set"))


@_opcode(b"\x91")
def _frozenset(machine: Machine) -> None:
    machine.pop_marked()
    machine.push(Inert("builtins.frozenset"))


@_opcode(b"a")
def _append(machine: Machine) -> None:
    value = machine.pop()
    machine.extend([value])


@_opcode(b"e", b"\x90")
def _appends(machine: Machine) -> None:
    values = machine.pop_marked()
    machine.extend(values)


@_opcode(b"s")
def _setitem(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.update([key, value])


@_opcode(b"u")
def _setitems(machine: Machine) -> None:
    items = machine.pop_marked()
    machine.update(items)


@_opcode(b"p")
def _put(machine: Machine) -> None:
    machine.remember(machine.index())


@_opcode(b"q")
def _binput(machine: Machine) -> None:
    machine.remember(machine.number("<B"))


@_opcode(b"r")
def _long_binput(machine: Machine) -> None:
    machine.remember(machine.number("<I"))


@_opcode(b"\x94")
def _memoize(machine: Machine) -> None:
    machine.remember(len(machine.memo))


@_opcode(b"g")
def _get(machine: Machine) -> None:
    machine.recall(machine.index())


@_opcode(b"h")
def _binget(machine: Machine) -> None:
    machine.recall(machine.number("<B"))


@_opcode(b"j")
def _long_binget(machine: Machine) -> None:
    machine.recall(machine.number("<I"))


@_opcode(b"c")
def _global(machine: Machine) -> None:
    machine.global_(*machine.name())


@_opcode(b"\x93")
def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.global_(module, name)


@_opcode(b"i")
def _inst(machine: Machine) -> None:
    module, name = machine.name()
    machine.pop_marked()
    machine.push(Inert(shown(f"{module}.{name}")))


@_opcode(b"o")
def _obj(machine: Machine) -> None:
    kind = next(iter(machine.pop_marked()), None)
    machine.push(Inert(str(kind) if type(kind) is Symbol else "instance of a value"))


@_opcode(b"R")
def _reduce(machine: Machine) -> None:
    args, kind = machine.pop(), machine.pop()
    machine.push(machine.make(kind, args, CALLS))


@_opcode(b"\x81")
def _newobj(machine: Machine) -> None:
    args, kind = machine.pop(), machine.pop()
    machine.push(machine.make(kind, args))


@_opcode(b"\x92")
def _newobj_ex(machine: Machine) -> None:
    _, args, kind = machine.pop(), machine.pop(), machine.pop()
    machine.push(machine.make(kind, args))


@_opcode(b"b")
def _build(machine: Machine) -> None:
    machine.build(machine.pop())


@_opcode(b"P")
def _persid(machine: Machine) -> None:
    machine.short_line()
    raise CheckpointError(f"a persistent id out of place before byte {machine.at}; {DISTRUST}")


@_opcode(b"Q")
def _binpersid(machine: Machine) -> None:
    machine.persistent_id(machine.pop())


@_opcode(b"\x82", b"\x83", b"\x84")
def _ext(machine: Machine) -> None:
    raise CheckpointError(f"an extension code before byte {machine.at}; {DISTRUST}")


@_opcode(b"\x97")
def _next_buffer(machine: Machine) -> None:
    raise CheckpointError(f"a buffer outside the file before byte {machine.at}; {DISTRUST}")
