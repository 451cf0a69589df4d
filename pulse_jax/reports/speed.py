"""How fast searches are with a lane count and a precision, measured against two plainer ways to search.

All three deliver judged solutions of the same problems on one device. One by one, a search has the device to itself. A
plain batch is `jit(vmap(while_loop))`: as many searches as there are lanes, until the slowest of them has ended. The
engine gives a lane that has ended to the next search.
"""

import collections
import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from pulse_jax.engine.lanes import Lanes, groups, placed, start_all
from pulse_jax.engine.progress import Progress
from pulse_jax.engine.stream import solve_stream
from pulse_jax.engine.tasks import Task
from pulse_jax.generators.architectures import Precision
from pulse_jax.generators.generator import Generator
from pulse_jax.reports.machine import Costs, costs_of
from pulse_jax.search import step as search
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.judge import Result, judge
from pulse_jax.search.problems import Problem, Solution, Start, Status, image_number
from pulse_jax.search.step import SearchState
from pulse_jax.system.devices import Device, is_out_of_memory, peak_memory

__all__ = ["Measurement", "PlainBatches", "measure", "step_rates"]

# How often the rate of steps is taken, each time over so many steps.
_REPEATS, _STEPS = 5, 10
# One by one so many problems are enough, half of them easy.
_ALONE = 16


@dataclass(kw_only=True)
class Measurement:
    """What was measured; None where it was not, or cannot be.

    Attributes:
        lanes: Searches that run at once.
        precision: Arithmetic of the searches.
        problems: Number of searches.
        feasible: How many of them the engine ended within eps.
        steps_per_second: Image-steps per second with every lane at work, of each repeat.
        solutions_per_second: Rate of the engine.
        batch_solutions_per_second: Rate of plain batches.
        single_solutions_per_second: Rate one by one; of some of the problems, at the mean length of all.
        seconds_to_feasible: Seconds that the median feasible search takes from its first look to its last: its steps,
            at the median rate.
        occupancy: Steps that the engine's lanes took of those they could have taken, in (0, 1].
        batch_occupancy: The same of plain batches.
        compile_seconds: Seconds of tracing and compiling the engine's programs.
        memory: Bytes at most so far, of the process and of the device, where they are known.
        costs: What one step of all lanes takes, by XLA's estimate.
        fault: Why the measurement ends here, if it does.
    """

    lanes: int
    precision: Precision
    problems: int = 0
    feasible: int | None = None
    steps_per_second: list[float] = dataclasses.field(default_factory=list)
    solutions_per_second: float | None = None
    batch_solutions_per_second: float | None = None
    single_solutions_per_second: float | None = None
    seconds_to_feasible: float | None = None
    occupancy: float | None = None
    batch_occupancy: float | None = None
    compile_seconds: float | None = None
    memory: dict[str, int] = dataclasses.field(default_factory=dict)
    costs: Costs | None = None
    fault: str = ""

    @property
    def median_rate(self) -> float | None:
        """The median of the repeats' image-steps per second."""
        return statistics.median(self.steps_per_second) if self.steps_per_second else None

    @property
    def best_rate(self) -> float | None:
        """The best of the repeats' image-steps per second."""
        return max(self.steps_per_second, default=None)

    def against(self, other: float | None) -> float | None:
        """Return how many times as many solutions per second the engine delivers as another way does."""
        return self.solutions_per_second / other if self.solutions_per_second and other else None


@functools.partial(jax.jit, static_argnames=("kind", "config"))
def _solve(kind: Any, leaves: Sequence[Array], config: SearchConfig, states: SearchState) -> Result:
    """The generator comes in leaves and its tree: lowering would make one of descriptions instead of arrays."""
    generator = jax.tree.unflatten(kind, leaves)

    def one(state: SearchState) -> Result:
        def goes_on(state: SearchState) -> Array:
            return state.status == Status.RUNNING

        def body(state: SearchState) -> SearchState:
            return search.step(generator, config, state)[0]

        return search.finish(generator, config, jax.lax.while_loop(goes_on, body, state))

    return jax.vmap(one)(states)


class PlainBatches:
    """Searches in batches that wait for their slowest one, compiled when this is made.

    Args:
        generator: Generator, on the device.
        config: Settings of the searches.
        side: Side of the inputs in pixels.
        count: Searches in a batch.

    Attributes:
        costs: What one step of a batch takes.
    """

    def __init__(self, generator: Generator, config: SearchConfig, side: int, count: int) -> None:
        self._generator, self._config, self._count = generator, config, count
        numbers = np.zeros((3, count), np.uint32)
        targets = np.zeros((count, side, side, 3), np.float32)
        states, _ = start_all(generator, config, targets, *numbers, Start(None))
        self._leaves, kind = jax.tree.flatten(generator)
        self._program: Any = _solve.lower(kind=kind, leaves=self._leaves, config=config, states=states).compile()
        self.costs = costs_of(self._program)

    def solve(self, problems: Sequence[Problem]) -> Iterator[Solution]:
        """Yield the solution of each problem's first restart; the last batch is filled up with its last problem."""
        for first in range(0, len(problems), self._count):
            batch = problems[first : first + self._count]
            full = [*batch, *[batch[-1]] * (self._count - len(batch))]
            targets = np.stack([problem.low_res for problem in full])
            numbers = [(problem.seed, image_number(problem.low_res), 0) for problem in full]
            columns = np.array(numbers, np.uint32).T
            states, keys = start_all(self._generator, self._config, targets, *columns, Start(None))
            keys = np.asarray(keys)
            results = jax.device_get(self._program(leaves=self._leaves, states=states))
            for lane, problem in enumerate(batch):
                yield judge(problem, 0, jax.tree.map(lambda a, lane=lane: a[lane], results), self._config, keys[lane])


def measure(
    measurement: Measurement, generator: Generator, config: SearchConfig, problems: Sequence[Problem], device: Device
) -> None:
    """Fill in a measurement; if memory runs out, as far as that went, and say so in its `fault`.

    Args:
        measurement: Measurement with its lanes, and the config's precision.
        generator: Generator, on any device.
        config: Settings of the searches.
        problems: Problems of one size, with one restart each, several times as many as lanes.
        device: Device to run on.
    """
    measurement.problems = len(problems)
    try:
        _measure(measurement, placed(generator, config, device), config, problems, device)
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        measurement.fault = "out of memory"
    measurement.memory = peak_memory()


def _measure(
    measurement: Measurement, generator: Generator, config: SearchConfig, problems: Sequence[Problem], device: Device
) -> None:
    side = len(problems[0].low_res)
    sets = [Lanes(generator, config, side, count, device) for count in groups(device, measurement.lanes)]
    measurement.steps_per_second = step_rates(sets, problems)
    measurement.compile_seconds = sum(lanes.compile_seconds for lanes in sets)
    batches = PlainBatches(generator, config, side, measurement.lanes)
    measurement.costs = batches.costs
    alone = problems[:_ALONE] if measurement.lanes > 1 else []
    stream = functools.partial(solve_stream, generator=generator, config=config, devices=[device])
    # What compiles or is run for the first time is not counted.
    collections.deque(itertools.chain(stream(alone[:1], lanes=1), batches.solve(problems[:1])), maxlen=0)
    # Half of the plainer ways goes before the engine and half after it: a machine that slows down slows all alike.
    half = len(problems) // measurement.lanes // 2 * measurement.lanes
    batch, single, engine = _Tally(), _Tally(), _Tally()
    standing: list[Progress] = []
    single.add(stream(alone[: len(alone) // 2], lanes=1))
    batch.add(batches.solve(problems[:half]), lanes=measurement.lanes)
    engine.add(stream(problems, lanes=measurement.lanes, on_chunk=standing.append))
    batch.add(batches.solve(problems[half:]), lanes=measurement.lanes)
    single.add(stream(alone[len(alone) // 2 :], lanes=1))

    measurement.feasible = sum(engine.feasible)
    measurement.occupancy = standing[-1].steps / standing[-1].lane_steps
    measurement.batch_occupancy = sum(batch.steps) / batch.lane_steps
    measurement.solutions_per_second = len(problems) / engine.seconds
    measurement.batch_solutions_per_second = len(problems) / batch.seconds
    if alone:
        # Rates of steps compare, whatever the lengths of the searches that were picked.
        length = sum(engine.steps) / len(problems)
        measurement.single_solutions_per_second = sum(single.steps) / single.seconds / length
    lengths = [steps for steps, feasible in zip(engine.steps, engine.feasible, strict=True) if feasible]
    if lengths and measurement.median_rate:
        measurement.seconds_to_feasible = (
            statistics.median(lengths) * sum(lanes.count for lanes in sets) / measurement.median_rate
        )


def step_rates(sets: Sequence[Lanes], problems: Iterable[Problem]) -> list[float]:
    """Return image-steps per second of full lanes in chunks as the engine runs them, of each repeat.

    Args:
        sets: Lanes that run beside each other on one device; the first chunk, which is not counted, compiles.
        problems: Problems of their size, used again and again.
    """
    tasks = itertools.cycle([Task(problem, 0) for problem in problems])
    rates = []
    for _ in range(_REPEATS + 1):
        for lanes in sets:
            lanes.fill(list(itertools.islice(tasks, lanes.count - len(lanes.running))), {})
            lanes.snapshot()  # waits until they are filled
        began = time.perf_counter()
        for lanes in sets:
            lanes.dispatch(_STEPS, waiting=False)
        taken = sum(lanes.collect()[1] * lanes.count for lanes in sets)
        rates.append(taken / (time.perf_counter() - began))
    return rates[1:]


class _Tally:
    """What one way to search has delivered, and how long that took."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.steps: list[int] = []
        self.feasible: list[bool] = []
        self.lane_steps = 0

    def add(self, solutions: Iterable[Solution], *, lanes: int = 1) -> None:
        """Takes the solutions, and the time; `lanes` of them at once are a batch that waits for its slowest."""
        before = len(self.steps)
        began = time.perf_counter()
        for solution in solutions:
            self.steps.append(solution.steps)
            self.feasible.append(solution.feasible)
        self.seconds += time.perf_counter() - began
        self.lane_steps += sum(lanes * max(self.steps[i : i + lanes]) for i in range(before, len(self.steps), lanes))
