"""What a card is asked in the few minutes that it is there: all that only the device itself can tell, in one go.

Programs compile beside each other while numbers are checked; only then is anything timed.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from pulse_jax.engine.lanes import Lanes, groups, placed
from pulse_jax.engine.selfcheck import golden_errors, self_check
from pulse_jax.engine.stream import solve_stream
from pulse_jax.engine.tasks import Task
from pulse_jax.generators.architectures import Precision
from pulse_jax.generators.generator import Generator
from pulse_jax.reports.drift import drift
from pulse_jax.reports.machine import copy_rate, product_rate
from pulse_jax.reports.optimised_hlo import Kernel, kernels_of_largest_loop, least_seconds
from pulse_jax.reports.profiling import largest_kernels
from pulse_jax.reports.speed import step_rates
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.presets import pulse
from pulse_jax.search.problems import Problem
from pulse_jax.system.devices import Device, peak_memory, usable_cores

__all__ = ["EMBEDDED", "PLANS", "Cell", "Counts", "Plan", "counts", "planned_cells"]

EMBEDDED = "embedded"
"""The embedded generator's name among networks; others are called by family and resolution."""
# What is asked first is what is wanted most: time may run out.
PLANS: dict[str, dict[str, list[tuple[Precision, tuple[int, ...]]]]] = {
    "gpu": {
        "stylegan2": [("bfloat16", (8, 16, 32, 64, 1)), ("tf32", (8, 16)), ("float32", (8,))],
        "stylegan1": [("bfloat16", (16, 32, 64, 1)), ("tf32", (16,)), ("float32", (16,))],
        EMBEDDED: [("float32", (512, 64, 256, 1024)), ("tf32", (512,))],
    },
    # A core of a v5e has 16 GB.
    "tpu": {
        "stylegan2": [("bfloat16", (8, 4, 16, 1)), ("tf32", (4,)), ("float32", (4,))],
        "stylegan1": [("bfloat16", (8, 16, 1)), ("tf32", (8,)), ("float32", (8,))],
        EMBEDDED: [("float32", (512, 64, 256))],
    },
}
"""Lanes by platform, family and arithmetic."""
_PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
# Of the time that is left, the share after which what has been compiled is measured, and nothing else.
_SHARE_FOR_COMPILING = 0.7


class Cell(NamedTuple):
    """A network, the arithmetic of its convolutions, and how many searches run at once."""

    network: str
    precision: Precision
    lanes: int

    def __str__(self) -> str:
        return f"{self.network}, {self.precision}, {self.lanes} lanes"


class Counts(NamedTuple):
    """What is counted in a program, of a step of all its lanes; None where nobody counts it.

    Attributes:
        lanes: Lanes of the program.
        kernels: Launches, or what a compiler counts as if in one.
        launches: How many there are.
        temporary: Bytes that it takes while it runs, beside arguments and results.
    """

    lanes: int
    kernels: Sequence[Kernel]
    launches: int | None
    temporary: int | None

    def record(self, product: float, copy: float) -> dict[str, Any]:
        """Return each lane's share as JSON values, and image-steps per second at most.

        Args:
            product: FLOP/s of a plain matrix product.
            copy: Bytes per second of a plain copy.
        """
        moved = sum(kernel.bytes for kernel in self.kernels)
        return {
            "kernels": self.launches,
            "gigabytes": moved / self.lanes / 1e9 if moved else None,
            "gigaflops": sum(kernel.flops for kernel in self.kernels) / self.lanes / 1e9 if moved else None,
            "temporary": None if self.temporary is None else self.temporary / self.lanes,
            "bound": self.lanes / least_seconds(self.kernels, product, copy) if moved else None,
        }


class _Ready(NamedTuple):
    """A cell's lanes, filled and compiled, their problems, seconds of compiling and what was counted in the program."""

    sets: Sequence[Lanes]
    problems: Sequence[Problem]
    compile_seconds: float
    counted: Counts


def planned_cells(
    platform: str, resolution: int, lanes: Sequence[int] = (), precisions: Sequence[Precision] = ()
) -> list[Cell]:
    """Return what a plan measures, what is wanted most first.

    Args:
        platform: A key of `PLANS`.
        resolution: Side of the two families' pictures.
        lanes: Instead of the plan's own numbers of lanes.
        precisions: Instead of the plan's own arithmetics.
    """
    queues: list[list[Cell]] = []
    for network, rows in PLANS[platform].items():
        name = network if network == EMBEDDED else f"{network}-{resolution}"
        known: dict[Precision, tuple[int, ...]] = dict(rows)
        asked: list[Precision] = list(precisions or known)
        queues.append([Cell(name, one, count) for one in asked for count in lanes or known.get(one) or rows[0][1]])
    return [cell for some in itertools.zip_longest(*queues) for cell in some if cell is not None]


class Plan:
    """A plan on the first device; `run` measures, section by section.

    Args:
        embedded: The embedded generator.
        networks: Makers of generators, by name; each is called once.
        problems: Function that makes so many problems for a generator.
        faces: Inputs (n, h, h, 3) of the embedded generator, for the first picture and the drift.
        cells: What is timed, by `planned_cells`.
        minutes: Minutes after which nothing new is begun.
        say: Function that is told what is being done.

    Attributes:
        report: What is known so far, JSON values by section.
    """

    def __init__(
        self,
        *,
        embedded: Generator,
        networks: Mapping[str, Callable[[], Generator]],
        problems: Callable[[Generator, int], Sequence[Problem]],
        faces: np.ndarray,
        cells: Sequence[Cell],
        minutes: float,
        say: Callable[[str], None],
    ) -> None:
        self.report: dict[str, Any] = {"cells": [], "left_out": []}
        self._embedded, self._networks, self._problems, self._faces = embedded, networks, problems, faces
        self._cells, self._say = cells, say
        self._began = time.monotonic()
        self._seconds = 60 * minutes
        self._device: Device = jax.local_devices()[0]
        self._made: dict[str, Future[Generator]] = {}

    def run(self, between: Callable[[], Any] = lambda: None) -> Iterator[str]:
        """Measure all that there is time for; yield the name of each section that is finished in `report`.

        Args:
            between: What else is to have the device to itself, once plain rates are known.
        """
        self.report["first_picture"] = self._first_picture()
        yield "first_picture"
        self._say("a plain product and a plain copy ...")
        asked = {cell.precision for cell in self._cells}
        precisions: list[Precision] = [name for name in _PRECISIONS if name in asked]
        self.report["machine"] = {
            "products": {name: product_rate(name, self._device) for name in precisions},
            "copy": copy_rate(self._device),
        }
        yield "machine"
        between()
        with ThreadPoolExecutor(max(1, usable_cores() - 1), "plan") as pool:
            try:
                # One network is made once, by whoever needs it first, and nobody waits in the pool for another.
                names = dict.fromkeys(cell.network for cell in self._cells)
                self._made = {name: pool.submit(self._networks[name]) for name in names}
                for made in self._made.values():
                    made.result()
                ready = {cell: pool.submit(self._prepare, cell) for cell in self._cells}
                yield from self._numbers(precisions)
                yield from self._timed(ready)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _left(self) -> float:
        return self._began + self._seconds - time.monotonic()

    def _first_picture(self) -> dict[str, float]:
        """Twice, since the first compiles: from an input to its judged solution."""
        self._say("the first picture ...")
        seconds = []
        for _ in range(2):
            began = time.monotonic()
            list(solve_stream([self._faces[0]], self._embedded, config=self._config("float32"), lanes=1))
            seconds.append(time.monotonic() - began)
        return {"seconds": seconds[0], "again": seconds[1]}

    def _config(self, precision: Precision) -> SearchConfig:
        return pulse(precision=precision)

    def _prepare(self, cell: Cell) -> _Ready:
        generator = self._made[cell.network].result()
        config = self._config(cell.precision)
        problems = self._problems(generator, max(8, cell.lanes))
        generator = placed(generator, config, self._device)
        side = len(problems[0].low_res)
        sets = [Lanes(generator, config, side, count, self._device) for count in groups(self._device, cell.lanes)]
        for lanes in sets:
            lanes.fill([Task(problem, 0) for problem in problems[: lanes.count]], {})
        began = time.monotonic()
        program = sets[0].program()
        counted = counts(program, sets[0].count, self._device.platform)
        return _Ready(sets, problems, time.monotonic() - began, counted)

    def _numbers(self, precisions: Sequence[Precision]) -> Iterator[str]:
        self._say("numbers against float64's, while programs compile ...")
        self.report["goldens"] = {
            name: dict(zip(("picture", "gradient"), golden_errors(self._embedded, name), strict=True))
            for name in precisions
        }
        yield "goldens"
        self._say("selfcheck ...")
        self.report["selfcheck"] = [finding._asdict() for finding in self_check(self._embedded)]
        yield "selfcheck"
        self._say("drift over 100 steps ...")
        found = drift(self._embedded, self._faces, [name for name in precisions if name != "float32"])
        self.report["drift"] = [one._asdict() for one in found]
        yield "drift"

    def _timed(self, ready: Mapping[Cell, Future[_Ready]]) -> Iterator[str]:
        self._say("waiting for compilers ...")
        patience = time.monotonic() + max(0.0, _SHARE_FOR_COMPILING * self._left())
        while not all(one.done() for one in ready.values()) and time.monotonic() < patience:
            time.sleep(0.1)
        profiled: set[str] = set()
        for cell, future in ready.items():
            if self._left() <= 0 or not future.done():
                self.report["left_out"].append(str(cell))
                continue
            self._say(f"{cell} ...")
            self.report["cells"].append(self._measured(cell, future))
            yield "cells"
            # The first of each network is the one that matters most.
            if cell.network not in profiled and not self.report["cells"][-1]["fault"] and self._left() > 0:
                profiled.add(cell.network)
                self.report.setdefault("kernels", {})[str(cell)] = self._profiled(future.result())
                yield "kernels"

    def _measured(self, cell: Cell, future: Future[_Ready]) -> dict[str, Any]:
        entry: dict[str, Any] = {**cell._asdict(), "fault": ""}
        try:
            ready = future.result()
            rates = step_rates(ready.sets, ready.problems)
        except Exception as error:  # of any kind: it is what there is to tell of this cell, and others go on
            return entry | {"fault": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"}
        rate, machine = statistics.median(rates), self.report["machine"]
        entry |= {"steps_per_second": rates, "median_steps_per_second": rate, "compile_seconds": ready.compile_seconds}
        entry |= ready.counted.record(machine["products"][cell.precision], machine["copy"])
        entry["share_of_bound"] = rate / entry["bound"] if entry["bound"] else None
        return entry | {"memory": peak_memory()}

    def _profiled(self, ready: _Ready) -> list[dict[str, Any]]:
        def work() -> None:
            for lanes in ready.sets:
                lanes.dispatch(3, waiting=False)
            for lanes in ready.sets:
                lanes.collect()

        return [kernel._asdict() for kernel in largest_kernels(work)]


def counts(program: Any, lanes: int, platform: str) -> Counts:
    """Count what a compiled program of a chunk does in a step.

    A GPU's is read kernel by kernel; of a TPU's the compiler tells sums; a CPU's caches would make a bound of neither.

    Args:
        program: A `jax.stages.Compiled`.
        lanes: Its lanes.
        platform: What it was compiled for.
    """
    memory = program.memory_analysis()
    kernels, launches = [], None
    if platform == "gpu":
        kernels = kernels_of_largest_loop(program.as_text())
        launches = len(kernels)
    elif platform == "tpu":
        costs = program.cost_analysis() or {}
        sums = int(costs.get("flops", 0)), int(costs.get("bytes accessed", 0))
        kernels = [Kernel("all", "", *sums, "", "")]
    return Counts(lanes, kernels, launches, None if memory is None else memory.temp_size_in_bytes)
