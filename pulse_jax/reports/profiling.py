"""Where a device spends its time, by JAX's profiler."""

import collections
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

__all__ = ["KernelTime", "largest_kernels"]

# Planes of devices, and in them a GPU's streams and a TPU's operations.
_DEVICES, _LINES = re.compile(r"^/device:(GPU|TPU)"), re.compile(r"^(Stream #|XLA Ops$)")
# Without such a device it is the host that computes, in any of its threads, which note much else beside operations.
_HOST, _OPERATION = "/host:CPU", re.compile(r"[a-z][\w.\-]*")


class KernelTime(NamedTuple):
    """A kernel's name, how often it ran, its seconds in all, and its share of the time of all kernels, in [0, 1]."""

    name: str
    runs: int
    seconds: float
    share: float


def largest_kernels(work: Callable[[], Any], count: int = 5) -> list[KernelTime]:
    """Return the kernels that take most of the time of some work, the largest first; none where nothing was recorded.

    Args:
        work: What to run; it waits for its own results.
        count: Kernels at most.
    """
    with tempfile.TemporaryDirectory(prefix="pulse-jax-") as folder:
        with jax.profiler.trace(folder):
            work()
        totals: collections.defaultdict[str, list[float]] = collections.defaultdict(lambda: [0, 0.0])
        for file in sorted(Path(folder).rglob("*.xplane.pb")):
            for name, nanoseconds in _events(jax.profiler.ProfileData.from_file(str(file))):
                totals[name][0] += 1
                totals[name][1] += nanoseconds * 1e-9
    whole = sum(seconds for _, seconds in totals.values())
    ordered = sorted(totals.items(), key=lambda item: -item[1][1])[:count]
    return [KernelTime(name, int(runs), seconds, seconds / whole) for name, (runs, seconds) in ordered if whole]


def _events(profile: Any) -> Iterator[tuple[str, float]]:
    planes = list(profile.planes)
    devices = [plane for plane in planes if _DEVICES.match(plane.name)]
    for plane in devices or [plane for plane in planes if plane.name == _HOST]:
        for line in plane.lines:
            if not devices or _LINES.match(line.name):
                for event in line.events:
                    if devices or _OPERATION.fullmatch(event.name):
                        yield event.name, event.duration_ns
