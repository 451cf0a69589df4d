"""What a lowered program asks of a device, counted in the text of its StableHLO, without a device."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

__all__ = ["Counts", "count"]

_TENSOR = re.compile(r"tensor<([\dx]*?)x?(f64|f32|bf16|f16|i1|ui?\d+|i\d+)>")


@dataclasses.dataclass(frozen=True)
class Counts:
    """What was counted.

    Attributes:
        size: Characters of the program.
        convolutions: How many there are, by the types and the precision of what they multiply, as `bf16*bf16 HIGHEST`.
        products: Matrix products, likewise.
        reductions: Sums, maxima and the like.
        grouped: Convolutions in groups, which libraries are slow with.
        longest_half_sum: The most terms of a sum in bfloat16.
        doubles: Values of double precision.
        callbacks: What the program would call that is no part of it.
    """

    size: int
    convolutions: dict[str, int]
    products: dict[str, int]
    reductions: int
    grouped: int
    longest_half_sum: int
    doubles: int
    callbacks: list[str]


def count(text: str) -> Counts:
    """Count what stands in a program, `Lowered.as_text()`."""
    lines = text.splitlines()
    convolutions = [line for line in lines if "stablehlo.convolution(" in line]
    products = [line for line in lines if "stablehlo.dot_general " in line]
    reductions = [line for line in lines if "stablehlo.reduce(" in line]
    groups = [number for line in convolutions for number in re.findall(r"group_count = (\d+)", line)]
    return Counts(
        size=len(text),
        convolutions=dict(sorted(collections.Counter(map(_kind, convolutions)).items())),
        products=dict(sorted(collections.Counter(map(_kind, products)).items())),
        reductions=len(reductions),
        grouped=sum(number != "1" for number in groups),
        longest_half_sum=max(_half_sums(reductions), default=0),
        doubles=len(re.findall(r"\bf64>|xf64>", text)),
        callbacks=sorted(set(re.findall(r"custom_call @(\w+)", text))),
    )


def _kind(line: str) -> str:
    operands = line.rpartition(" : (")[2].partition(") -> ")[0]
    types = "*".join(kind for _, kind in _TENSOR.findall(operands))
    asked = re.search(r"precision_config = \[#stablehlo<precision (\w+)>|precision = \[(\w+)", line)
    return f"{types} {asked.group(1) or asked.group(2)}" if asked else types


def _half_sums(reductions: list[str]) -> Iterator[int]:
    """The terms of every sum in bfloat16."""
    for line in reductions:
        reduced = re.search(r"applies stablehlo\.add across dimensions = \[([\d, ]+)\] : \((tensor<[^>]+>)", line)
        if reduced is None:
            continue
        sides, kind = _TENSOR.findall(reduced.group(2))[0]
        if kind == "bf16":
            lengths = [int(side) for side in sides.split("x")]
            yield math.prod(lengths[int(axis)] for axis in reduced.group(1).split(","))
