"""How much memory a lane takes, and how many lanes a device is given."""

import jax
import numpy as np

from pulse_jax.generators.arithmetic import ARITHMETICS
from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import SearchConfig
from pulse_jax.system.devices import Device, free_memory, usable_cores

__all__ = ["fitting_lanes", "lane_memory", "missing_memory"]

# Lanes beyond these gain little speed and cost latency; of the free memory, the rest is left to others.
_MOST = 64
_SHARE = 0.8
# What a search takes, as a multiple of one activation of every block: 4.9 to 7.6 on CPUs, 3.4 to 4.6 on an H100, as
# measured.
_ACTIVATIONS = {"cpu": 8, "gpu": 5}
# The least that was measured, as a share of that.
_LEAST = 0.6
_UNKNOWN_CHANNELS = 32
# Libraries on GPUs number the elements of an array in 32 bits.
_MOST_ELEMENTS = 2**31 - 1


def lane_memory(generator: Generator, config: SearchConfig, device: Device) -> tuple[int, int]:
    """Guess the memory of searches from the generator's size: to know it, programs would have to be compiled.

    Args:
        generator: Generator, on any device.
        config: Settings of the searches.
        device: Device to run on.

    Returns:
        Bytes that searches take beside their lanes, and bytes of each lane.
    """
    activations = sum(_activations(generator)) * ARITHMETICS[config.precision].dtype.itemsize
    each = _ACTIVATIONS.get(device.platform, max(_ACTIVATIONS.values())) * activations
    return sum(leaf.nbytes for leaf in jax.tree.leaves(generator)), each


def _activations(generator: Generator) -> list[int]:
    """The elements of an activation of each block, for one picture."""
    architecture = generator.config
    # Of a function nobody knows what is in between.
    blocks = architecture.blocks or (architecture.resolution,)
    widths = zip(blocks, architecture.channels or (_UNKNOWN_CHANNELS,), strict=True)
    return [size**2 * channels for size, channels in widths]


def fitting_lanes(
    generator: Generator,
    config: SearchConfig,
    device: Device,
    *,
    searches: int | None = None,
    beside: int = 0,
) -> int:
    """Return how many lanes a device has memory for, no more than make it faster, and no more than there are searches.

    On a CPU there is one for each core that this process may use, since lanes there run beside each other. Elsewhere
    it is a power of two. Memory is guessed; where it runs out all the same, the command line tries half as many.

    Args:
        generator: Generator, on any device.
        config: Settings of the searches.
        device: Device to run on.
        searches: How many searches there are at most; None if nobody knows.
        beside: Bytes that other programs take on the device while the lanes are there.
    """
    on_cpu = device.platform == "cpu"
    most = usable_cores() if on_cpu else min(_MOST, _MOST_ELEMENTS // max(_activations(generator)))
    most = max(1, most if searches is None else min(most, searches))
    free = free_memory(device)
    if free is not None and most > 1:
        fixed, each = lane_memory(generator, config, device)
        most = max(1, min(most, int((_SHARE * free - fixed - beside) / each)))
    return most if on_cpu else 2 ** int(np.log2(most))


def missing_memory(generator: Generator, config: SearchConfig, device: Device, lanes: int) -> tuple[int, int] | None:
    """Return the bytes that searches take at least and those that are free, if they are fewer.

    None where they may fit, where nobody knows what is free, and of a single search: there is none smaller.

    Args:
        generator: Generator, on any device.
        config: Settings of the searches.
        device: Device to run on.
        lanes: Searches that run at once.
    """
    free = free_memory(device)
    if free is None or lanes == 1:
        return None
    fixed, each = lane_memory(generator, config, device)
    needed = fixed + int(_LEAST * lanes * each)
    return (needed, free) if needed > free else None
