"""The stack machine under the pickle opcodes: the stream, the stack, the marks, the memo, and what a call stands for.

A global becomes a `Symbol`, which is a name and no more. Calls go through a table of the few constructors that honest
checkpoints use, each of which makes a node; any other call makes an `Inert` node, which remembers the name so that it
can be refused if its value turns out to be needed. What was read is never hashed (but short text, as a `Dict`'s key),
compared or printed as it is. Texts beyond `_SHORT` bytes and all bytes stay views of the file.
"""

from __future__ import annotations

import codecs
import re
import struct
import warnings
from collections.abc import Callable
from typing import Any

from convert.budget import Budget
from convert.constructors import CLASSES, Constructor, Misfit, Namespace
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
)

__all__ = ["AGAIN", "DISTRUST", "Machine"]

AGAIN = "download the file again"
DISTRUST = "no honest checkpoint does this, do not trust the file"
_SHORT = 1024
_LINE = 4096
_MEMO_LEAST, _MEMO_GAPS = 4096, 16
_INTEGER_BYTES = 255
_INTEGER = re.compile(rb"[+-]?[0-9]{1,300}")
_INDEX = re.compile(rb"[0-9]{1,18}")


class Machine:
    """The state of one pickle's reading. Every method that finds it damaged or hostile raises `CheckpointError`."""

    def __init__(
        self,
        data: Buffer,
        start: int,
        budget: Budget,
        persistent: Callable[[Any], Any] | None,
        nested: Callable[[Buffer], Any] | None,
    ) -> None:
        self.data = memoryview(data)
        self.at = start
        self.budget = budget
        self.persistent = persistent
        self.nested = nested
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> memoryview:
        end = self.at + count
        if end > len(self.data):
            raise CheckpointError(f"byte {self.at}: {count} bytes announced, {len(self.data) - self.at} left; {AGAIN}")
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
        raise CheckpointError(f"byte {start}: a line without an end; {AGAIN}")

    def short_line(self) -> bytes:
        line = self.line()
        if len(line) > _LINE:
            raise CheckpointError(f"a line of {len(line)} bytes before byte {self.at}; {DISTRUST}")
        return bytes(line)

    def quoted(self) -> memoryview:
        """A line of Python 2's `repr` of a text, as the bytes that it stands for."""
        line = self.line()
        if len(line) < 2 or line[0] not in b"'\"" or line[0] != line[-1]:
            raise CheckpointError(f"a text before byte {self.at} lacks its quotes; {AGAIN}")
        self.budget.encode(len(line))
        try:
            with warnings.catch_warnings():
                # Of escapes that there are none of, which stay as they are.
                warnings.simplefilter("ignore")
                raw, _ = codecs.escape_decode(bytes(line[1:-1]))
        except ValueError:
            raise CheckpointError(f"a text before byte {self.at} has a damaged escape; {AGAIN}") from None
        return memoryview(raw)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise CheckpointError(f"the pickle's stack is empty before byte {self.at}; {AGAIN}")
        return self.stack.pop()

    def top(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise CheckpointError(f"the pickle's stack is empty before byte {self.at}; {AGAIN}")
        return self.stack[-1]

    def pop_marked(self) -> list[Any]:
        if not self.marks:
            raise CheckpointError(f"the pickle lacks a mark before byte {self.at}; {AGAIN}")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def text(self, raw: memoryview, encoding: str) -> str | LongText:
        if len(raw) > _SHORT:
            return LongText(raw, encoding)
        self.budget.name(len(raw))
        try:
            return str(raw, encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeError:
            raise CheckpointError(f"a text before byte {self.at} is not {encoding}; {AGAIN}") from None

    def make(self, kind: Any, args: Any, table: dict[tuple[str, str], Constructor] = CLASSES) -> Any:
        """What calling `kind` with `args` stands for."""
        if type(kind) is not Symbol:
            return Inert(f"call of {kind.name}" if type(kind) is Inert and len(kind.name) < 60 else "call of a value")
        constructor = table.get((kind.module, kind.name))
        if constructor is None:
            return Inert(str(kind))
        if type(args) is not tuple:
            raise CheckpointError(f"{kind} is called without arguments before byte {self.at}; {DISTRUST}")
        try:
            return constructor(self, args)
        except CheckpointError:
            raise
        except (Misfit, ValueError):
            message = f"{kind} is called with what it cannot take before byte {self.at}; {DISTRUST}"
            raise CheckpointError(message) from None

    def global_(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise CheckpointError(f"a global before byte {self.at} whose name is not a text; {DISTRUST}")
        self.push(Symbol(module, name))

    def name(self) -> tuple[str, str]:
        """Two lines, a global's module and name."""
        module, name = self.short_line(), self.short_line()
        self.budget.name(len(module) + len(name))
        try:
            return module.decode("utf-8"), name.decode("utf-8")
        except UnicodeError:
            raise CheckpointError(f"a global before byte {self.at} whose name is not a text; {DISTRUST}") from None

    def persistent_id(self, identity: Any) -> None:
        if self.persistent is None:
            raise CheckpointError(f"a persistent id out of place before byte {self.at}; {DISTRUST}")
        self.push(self.persistent(identity))

    def remember(self, index: int) -> None:
        # Whoever writes memos counts them, but may leave out what is never used; numbers of any size could be chosen so
        # that they collide.
        if index > _MEMO_LEAST + _MEMO_GAPS * len(self.memo):
            raise CheckpointError(f"a memo entry numbered {index} before byte {self.at}; {DISTRUST}")
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise CheckpointError(f"memo entry {index} is used before it is made, before byte {self.at}; {AGAIN}")
        self.push(self.memo[index])

    def index(self) -> int:
        line = self.short_line()
        if not _INDEX.fullmatch(line):
            raise CheckpointError(f"a memo index before byte {self.at} is not a number; {AGAIN}")
        return int(line)

    def integer(self, line: bytes) -> int:
        if not _INTEGER.fullmatch(line):
            raise CheckpointError(f"an integer before byte {self.at} is none, or too long; {DISTRUST}")
        return int(line)

    def long(self, count: int) -> None:
        if not 0 <= count <= _INTEGER_BYTES:
            raise CheckpointError(f"an integer of {count} bytes before byte {self.at}; {DISTRUST}")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def extend(self, values: list[Any]) -> None:
        node = self.top()
        if type(node) is List:
            node.items.extend(values)
        elif type(node) is not Inert:
            raise CheckpointError(f"entries for something that is no list before byte {self.at}; {DISTRUST}")

    def update(self, items: list[Any]) -> None:
        node = self.top()
        if len(items) % 2:
            raise CheckpointError(f"a key without a value before byte {self.at}; {AGAIN}")
        if isinstance(node, Dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                node.set(key, value)
        elif type(node) is not Inert:
            raise CheckpointError(f"entries for something that is no dict before byte {self.at}; {DISTRUST}")

    def build(self, state: Any) -> None:
        """What the topmost node makes of its state."""
        node = self.top()
        kind = type(node)
        if kind is Symbol:
            raise CheckpointError(f"BUILD on the global {node} before byte {self.at}; {DISTRUST}")
        if kind is Array:
            # (version, shape, dtype, Fortran order, bytes), in old files without the version.
            if type(state) is not tuple or len(state) not in (4, 5):
                raise CheckpointError(f"a NumPy array's state before byte {self.at} is damaged; {AGAIN}")
            node.state = state[-4:]
        elif kind is Dtype:
            if type(state) is not tuple or len(state) < 3 or type(state[1]) is not str or state[1] not in "<>|=":
                raise CheckpointError(f"a NumPy dtype's state before byte {self.at} is damaged; {AGAIN}")
            node.order = ">" if state[1] == ">" else "<"
            node.plain = node.plain and all(part is None for part in state[2:5])
        elif kind is Namespace or kind is Network:
            if type(state) is not Dict:
                raise CheckpointError(f"an object's state before byte {self.at} is not a dict; {DISTRUST}")
            if kind is Network:
                node.state = state
            else:
                node.items, node.dropped = state.items, state.dropped
        elif kind is Inert:
            node.state = state if type(state) is Dict else None
        elif kind is not Dict and kind is not Tensor:
            # A dict's attributes (`_metadata` of state dicts) and a parameter's are not needed.
            raise CheckpointError(f"BUILD on something that has no state before byte {self.at}; {DISTRUST}")
