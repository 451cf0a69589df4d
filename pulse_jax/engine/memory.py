"""How much memory a lane takes, and how many lanes fit a device."""

import numpy as np

from pulse_jax.engine.lanes import Lanes, placed
from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import SearchConfig
from pulse_jax.system.devices import Device, free_memory

__all__ = ["fitting_lanes", "lane_memory"]

# Lanes beyond these gain little speed and cost latency; of the free memory, the rest is left to others.
_MOST = {"cpu": 8}
_MOST_ELSEWHERE = 64
_SHARE = 0.8


def lane_memory(generator: Generator, config: SearchConfig, side: int, device: Device) -> tuple[int, int]:
    """Measure the memory of searches, by XLA's account of two compiled programs.

    Args:
        generator: Generator, on any device.
        config: Settings of the searches.
        side: Side of the low-resolution inputs in pixels.
        device: Device to run on.

    Returns:
        Bytes that a chunk takes beside its lanes, and bytes of each lane.
    """
    generator = placed(generator, config, device)
    one, two = (Lanes(generator, config, side, count, device).memory() for count in (1, 2))
    return max(0, 2 * one - two), max(1, two - one)


def fitting_lanes(generator: Generator, config: SearchConfig, side: int, device: Device, beside: int = 0) -> int:
    """Return how many lanes a device has memory for, a power of two, and no more than make it faster.

    Args:
        generator: Generator, on any device.
        config: Settings of the searches.
        side: Side of the low-resolution inputs in pixels.
        device: Device to run on.
        beside: Bytes that other programs take on the device while the lanes are there.
    """
    most = _MOST.get(device.platform, _MOST_ELSEWHERE)
    free = free_memory(device)
    if free is None:
        return most
    fixed, each = lane_memory(generator, config, side, device)
    fits = max(1, min(most, int((_SHARE * free - fixed - beside) / each)))
    return 2 ** int(np.log2(fits))
