"""The worker of a distributed stream: an actor that holds a generator on its device and solves what it is given."""

import dataclasses
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from pulse_jax.distributed.start import start_worker
from pulse_jax.engine.checkpoints import fingerprint
from pulse_jax.engine.progress import Progress
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.system.errors import RunError
from pulse_jax.system.text import differences, printable

__all__ = ["StreamWorker", "determining", "unpacked"]


def determining(generator: Generator, config: SearchConfig) -> dict[str, Any]:
    """Return what must be alike wherever searches of one run are made, so that all give the same bits."""
    # The number of lanes is the same by itself: it is handed out.
    return fingerprint(generator, config, 1, jax.local_devices()[0])


def unpacked(solution: Solution) -> Solution:
    """Return a solution as it was before a worker sent it."""
    return dataclasses.replace(solution, image=from_uint8(solution.image))


class StreamWorker:
    """Holds a generator on a device; each call of `solve` is a stream of its own on the same compiled programs.

    Args:
        generator: Generator whose arrays are NumPy's, so that reading it starts no JAX.
        config: Settings of the searches.
        lanes: Searches at once; None for what suits the device.
        strict: Whether each search is a program by itself on every kind of device.
        cores: Cores to compute on; None to compute on a GPU.
    """

    def __init__(
        self, generator: Generator, config: SearchConfig, lanes: int | None, strict: bool, cores: int | None
    ) -> None:
        start_worker(cores)
        self._generator = jax.device_put(generator)
        self._config, self._lanes, self._strict = config, lanes, strict

    def check(self, expected: Mapping[str, Any]) -> None:
        """Raise `RunError` where searches here would have other bits than where `determining` gave this."""
        if told := differences(expected, determining(self._generator, self._config)):
            what = printable("; ".join(told), 600)
            raise RunError(
                f"{printable(socket.gethostname())}: a worker there would find other last bits than this process "
                f"({what}); start the command on a machine like it, with the same versions"
            )

    def solve(self, problems: Sequence[Problem]) -> Iterator[Solution | Progress]:
        """Yield solutions as searches end, pictures in 8 bits, and how far the stream has come.

        Args:
            problems: What to solve; restarts in their `ended` are left out.
        """
        reports: list[Progress] = []
        stream = solve_stream(
            problems,
            self._generator,
            config=self._config,
            lanes=self._lanes,
            strict=self._strict,
            on_chunk=reports.append,
        )
        for solution in stream:
            # A quarter of the bytes, and the same picture: it has been rounded to 8 bits.
            yield dataclasses.replace(solution, image=to_uint8(solution.image))
            if reports:
                yield reports[-1]
                reports.clear()
        if reports:
            yield reports[-1]
