"""How much memory a lane takes, and how many lanes a device is given."""

import jax
import numpy as np

from pulse_jax.engine.lanes import Lanes, placed
from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import SearchConfig
from pulse_jax.system.devices import Device, free_memory, usable_cores

__all__ = ["fitting_lanes", "lane_memory"]

# Lanes beyond these gain little speed and cost latency; of the free memory, the rest is left to others.
_MOST = 64
_SHARE = 0.8
# What a search takes on a CPU, as a multiple of one activation of every block: 4.9 to 7.6, as measured.
_ACTIVATIONS = 8
_UNKNOWN_CHANNELS = 32


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


def fitting_lanes(
    generator: Generator,
    config: SearchConfig,
    side: int,
    device: Device,
    *,
    searches: int | None = None,
    beside: int = 0,
) -> int:
    """Return how many lanes a device has memory for, no more than make it faster, and no more than there are searches.

    On a CPU there is one for each core that this process may use, since lanes there run beside each other. Elsewhere
    it is a power of two, found by compiling two programs.

    Args:
        generator: Generator, on any device.
        config: Settings of the searches.
        side: Side of the low-resolution inputs in pixels.
        device: Device to run on.
        searches: How many searches there are at most; None if nobody knows.
        beside: Bytes that other programs take on the device while the lanes are there.
    """
    on_cpu = device.platform == "cpu"
    most = usable_cores() if on_cpu else _MOST
    most = most if searches is None else max(1, min(most, searches))
    free = free_memory(device)
    if free is not None and most > 1:
        fixed, each = _estimate(generator) if on_cpu else lane_memory(generator, config, side, device)
        most = max(1, min(most, int((_SHARE * free - fixed - beside) / each)))
    return most if on_cpu else 2 ** int(np.log2(most))


def _estimate(generator: Generator) -> tuple[int, int]:
    """What `lane_memory` gives, guessed from the generator's size: on a CPU a surplus lane does no harm."""
    architecture = generator.config
    # Of a function nobody knows what is in between.
    blocks = architecture.blocks or (architecture.resolution,)
    widths = zip(blocks, architecture.channels or (_UNKNOWN_CHANNELS,), strict=True)
    activations = sum(size**2 * channels for size, channels in widths) * np.dtype(np.float32).itemsize
    return sum(leaf.nbytes for leaf in jax.tree.leaves(generator)), _ACTIVATIONS * activations
