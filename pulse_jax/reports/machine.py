"""What a machine can do at most, and what a compiled program asks of it: the scale that searches are measured by."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from pulse_jax.generators.architectures import Precision
from pulse_jax.generators.arithmetic import ARITHMETICS
from pulse_jax.system.devices import Device, program_memory

__all__ = ["Costs", "copy_rate", "costs_of", "product_rate"]

_REPEATS = 5
# Sides of a matrix product that takes a CPU some hundredths of a second, and an accelerator some milliseconds.
_SIDE_CPU, _SIDE = 1024, 8192
# Far more than any cache holds.
_COPIED_CPU, _COPIED = 2**28, 2**30


@dataclass(frozen=True)
class Costs:
    """What XLA says of a program, None where it does not: estimates by its own count, not measurements.

    Attributes:
        flops: Arithmetic operations, a loop's body counted once.
        bytes: Bytes read and written by all its operations, caches or not, a loop's body counted once.
        memory: Bytes that it holds while it runs: arguments, results and what is in between.
    """

    flops: float | None
    bytes: float | None
    memory: int | None


def costs_of(program: Any) -> Costs:
    """Return the costs of a program, a `jax.stages.Compiled`."""
    # Which of them a platform knows differs; they are None or missing there.
    counted = program.cost_analysis() or {}
    return Costs(counted.get("flops"), counted.get("bytes accessed"), program_memory(program))


def product_rate(precision: Precision, device: Device) -> float:
    """Measure the FLOP/s of a plain product of large square matrices, the best of a few.

    Args:
        precision: Arithmetic, one of `ARITHMETICS`, as of the generator's convolutions.
        device: Device to run on.
    """
    side = _SIDE_CPU if device.platform == "cpu" else _SIDE
    arithmetic = ARITHMETICS[precision]
    matrix = jax.device_put(jnp.full((side, side), 1 / side, arithmetic.dtype), device)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=arithmetic.precision))
    return 2 * side**3 / _best_seconds(lambda: product(matrix, matrix))


def copy_rate(device: Device) -> float:
    """Measure the bytes per second, read and written alike, of negating a large array, the best of a few.

    Args:
        device: Device to run on.
    """
    size = _COPIED_CPU if device.platform == "cpu" else _COPIED
    array = jax.device_put(jnp.ones(size // 4, jnp.float32), device)
    negate = jax.jit(lambda a: -a)
    return 2 * size / _best_seconds(lambda: negate(array))


def _best_seconds(work: Callable[[], Any]) -> float:
    """The shortest of a few calls, after one that compiles."""
    seconds = []
    for _ in range(_REPEATS + 1):
        began = time.perf_counter()
        jax.block_until_ready(work())
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
