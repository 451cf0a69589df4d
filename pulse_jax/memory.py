"""How much memory a lane takes, and how many lanes fit a device."""

import os

import jax
import numpy as np

from pulse_jax.config import SearchConfig
from pulse_jax.generator import Generator
from pulse_jax.lanes import Device, Lanes, placed
from pulse_jax.objective import latent_shape

__all__ = ["fitting_lanes", "free_memory", "is_out_of_memory", "lane_memory", "solution_shapes"]

# Lanes beyond these gain little speed and cost latency; of the free memory, the rest is left to others.
_MOST = {"cpu": 8}
_MOST_ELSEWHERE = 64
_SHARE = 0.8


def lane_memory(generator: Generator, config: SearchConfig, side: int, device: Device) -> tuple[int, int]:
    """Bytes that a chunk takes beside its lanes, and for each lane, by XLA's account of two compiled programs.

    Args:
        generator, config: of the search.
        side: of the low-resolution inputs.
        device: where it is to run.
    """
    generator = placed(generator, config, device)
    one, two = (Lanes(generator, config, side, count, device).memory() for count in (1, 2))
    return max(0, 2 * one - two), max(1, two - one)


def free_memory(device: Device) -> int | None:
    """Bytes that are free on a device, for a CPU in the machine; None where nobody knows."""
    if device.platform == "cpu":
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return None
    statistics = device.memory_stats() or {}
    if "bytes_limit" not in statistics:
        return None
    return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)


def fitting_lanes(generator: Generator, config: SearchConfig, side: int, device: Device, beside: int = 0) -> int:
    """As many lanes as a device has memory for, a power of two, and no more than make it faster.

    Args:
        generator, config, side, device: as in `lane_memory`.
        beside: bytes that other programs take on the device while the lanes are there.
    """
    most = _MOST.get(device.platform, _MOST_ELSEWHERE)
    free = free_memory(device)
    if free is None:
        return most
    fixed, each = lane_memory(generator, config, side, device)
    fits = max(1, min(most, int((_SHARE * free - fixed - beside) / each)))
    return 2 ** int(np.log2(fits))


def solution_shapes(
    generator: Generator, config: SearchConfig
) -> tuple[jax.ShapeDtypeStruct, tuple[jax.ShapeDtypeStruct, ...]]:
    """Of a solution's latent and noise inputs: what to compile a program for that is given some."""
    latent, *noise = (
        jax.ShapeDtypeStruct(shape, np.float32) for shape in (latent_shape(generator, config), *generator.noise_shapes)
    )
    return latent, tuple(noise)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine had no memory left."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
