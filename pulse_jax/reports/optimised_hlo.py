"""What a program does on a GPU, kernel by kernel, read from the text of its optimised HLO.

XLA's own cost analysis is not to be had of a program for a device that is only described. A kernel is an instruction
that is launched: a fusion, or a call of a library. Its bytes are those of its operands and results, each counted once,
of an operand that is only sliced the slices; its FLOPs those of its convolutions and matrix products.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Kernel", "kernels_of_largest_loop", "least_seconds"]

_BYTES = {"f64": 8, "s64": 8, "u64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_BYTES |= {"s8": 1, "u8": 1, "pred": 1, "c64": 8}
_SHAPE = re.compile(rf"\b({'|'.join(_BYTES)})\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
# What launches nothing.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "iota"}
_SLICES = {"slice", "dynamic-slice", "gather"}
# What tells one fusion from another.
_HEAVY = ("convolution", "dot", "reduce", "transpose", "pad", "scatter", "sort", "copy", "concatenate", "reduce-window")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One launch: its name, what it is, floating-point operations, bytes moved, result's type and JAX's name for it."""

    name: str
    kind: str
    flops: int
    bytes: int
    result: str
    source: str


@dataclasses.dataclass(frozen=True)
class _Instruction:
    name: str
    result: str
    operation: str
    operands: tuple[str, ...]
    attributes: str
    is_root: bool


_Computation = dict[str, _Instruction]


def kernels_of_largest_loop(text: str) -> list[Kernel]:
    """Return the kernels of one turn of the loop that carries most bytes: of a chunk of searches, one step.

    Args:
        text: `as_text()` of a compiled program.

    Raises:
        ValueError: It has no loop.
    """
    computations = _parsed(text)
    loops = [one for computation in computations.values() for one in computation.values() if one.operation == "while"]
    if not loops:
        raise ValueError("text: expected a program with a loop, got one without")
    largest = max(loops, key=lambda loop: _bytes(loop.result))
    return list(_walk(computations, _called(largest, "body")))


def least_seconds(kernels: Iterable[Kernel], product: float, copy: float) -> float:
    """Return the seconds of a device that takes each kernel at its rate of products or of bytes, whichever is slower.

    Args:
        kernels: Kernels that are launched one after another.
        product: FLOP/s of a plain matrix product.
        copy: Bytes per second of a plain copy, read and written alike.
    """
    return sum(max(kernel.flops / product, kernel.bytes / copy) for kernel in kernels)


def _parsed(text: str) -> dict[str, _Computation]:
    computations: dict[str, _Computation] = {}
    current: _Computation | None = None
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            current = computations[head.group(1)] = {}
        elif line.startswith("}"):
            current = None
        elif (
            current is not None
            and (found := _INSTRUCTION.match(line))
            and (instruction := _instruction(*found.groups()))
        ):
            current[instruction.name] = instruction
    return computations


def _closing(text: str, begin: int) -> int:
    """Where the parenthesis that opens at `begin` is closed."""
    depth = 0
    for place in range(begin, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    return len(text)


def _instruction(root: str | None, name: str, rest: str) -> _Instruction | None:
    """Of "type operation(operands), attributes"; a type may be a tuple."""
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    result, tail = rest[:end], rest[end + 1 :]
    operation = re.match(r"([\w\-]+)\(", tail)
    if operation is None:
        return None
    close = _closing(tail, operation.end() - 1)
    inside = tail[operation.end() : close]
    named = operation.group(1) not in ("parameter", "constant")
    operands = tuple(re.findall(r"%([\w.\-]+)", re.sub(r"\{[^}]*\}", "", inside))) if named else (inside,)
    return _Instruction(name, result, operation.group(1), operands, tail[close + 1 :], bool(root))


def _shapes(result: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(kind, tuple(map(int, filter(None, sides.split(","))))) for kind, sides in _SHAPE.findall(result)]


def _bytes(result: str) -> int:
    return sum(_BYTES[kind] * math.prod(sides) for kind, sides in _shapes(result))


def _attribute(instruction: _Instruction, pattern: str) -> str:
    found = re.search(pattern, instruction.attributes)
    return found.group(1) if found else ""


def _called(instruction: _Instruction, key: str) -> str:
    return _attribute(instruction, key + r"=%?([\w.\-]+)")


def _walk(computations: Mapping[str, _Computation], name: str) -> Iterator[Kernel]:
    computation = computations[name]
    for one in computation.values():
        if one.operation in _FREE:
            continue
        if one.operation in ("call", "conditional", "async-start", "while"):
            inner = _called(one, "body") or _called(one, "to_apply") or _called(one, "calls")
            if inner in computations:
                yield from _walk(computations, inner)
            continue
        moved = _bytes(_delivered(one)) + sum(_operand_bytes(computations, computation, one))
        kind, flops = _work(computations, computation, one)
        yield Kernel(one.name, kind, flops, moved, one.result, _attribute(one, r'op_name="([^"]*)"'))


def _delivered(one: _Instruction) -> str:
    """The result without the scratch memory that a library's call has last in it, and need not touch."""
    if one.operation != "custom-call" or not one.result.startswith("("):
        return one.result
    kind, _ = _shapes(one.result)[-1]
    return one.result[: one.result.rindex(f"{kind}[")] if kind in ("s8", "u8") else one.result


def _work(computations: Mapping[str, _Computation], computation: _Computation, one: _Instruction) -> tuple[str, int]:
    """What kind of kernel it is, and its FLOPs."""
    if one.operation == "custom-call":
        return _attribute(one, r'custom_call_target="([^"]+)"'), _flops(computation, one)
    if one.operation != "fusion":
        return one.operation, _flops(computation, one)
    inner = computations.get(_called(one, "calls"), {})
    counted = collections.Counter(part.operation for part in inner.values())
    heavy = ",".join(name for name in _HEAVY if counted[name])
    return f"fusion [{heavy}]" if heavy else "fusion", sum(_flops(inner, part) for part in inner.values())


def _flops(computation: _Computation, one: _Instruction) -> int:
    target = _attribute(one, r'custom_call_target="([^"]+)"')
    if one.operation == "dot" or "cublas" in target:
        return _product_flops(computation, one)
    if one.operation == "convolution" or "conv" in target.lower():
        return _convolution_flops(computation, one, target)
    return 0


def _product_flops(computation: _Computation, one: _Instruction) -> int:
    (_, left), (_, result) = _shapes(computation[one.operands[0]].result)[0], _shapes(one.result)[0]
    summed = _attribute(one, r"lhs_contracting_dims=\{([\d,]*)\}")
    summed = summed or _attribute(one, r'"lhs_contracting_dimensions":\[([^\]]*)\]')
    return 2 * math.prod(result) * math.prod(left[int(axis)] for axis in re.findall(r"\d+", summed))


def _convolution_flops(computation: _Computation, one: _Instruction, target: str) -> int:
    kernel_axes = _attribute(one, r"dim_labels=\w+_(\w+)->")
    window = _attribute(one, r"window=\{size=([\dx]+)")
    taps = math.prod(map(int, window.split("x"))) if window else 1
    kernel = _shapes(computation[one.operands[1]].result)[0][1]
    # A transposed convolution meets every tap once for each of its inputs.
    of = computation[one.operands[0]].result if "BackwardInput" in target else one.result
    return 2 * math.prod(_shapes(of)[0][1]) * taps * kernel[kernel_axes.index("i")]


def _operand_bytes(
    computations: Mapping[str, _Computation], computation: _Computation, one: _Instruction
) -> Iterator[int]:
    inner = computations.get(_called(one, "calls"), {}) if one.operation == "fusion" else {}
    parameters = {part.operands[0].strip(): part for part in inner.values() if part.operation == "parameter"}
    for number, operand in enumerate(one.operands):
        if operand not in computation:
            continue
        whole = _bytes(computation[operand].result)
        parameter = parameters.get(str(number))
        if parameter is None or parameter.is_root:
            yield whole
            continue
        users = [part for part in inner.values() if parameter.name in part.operands and part.operation != "parameter"]
        sliced = all(user.operation in _SLICES for user in users)
        yield min(whole, sum(_bytes(user.result) for user in users)) if sliced else whole
