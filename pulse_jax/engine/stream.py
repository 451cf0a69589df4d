"""Problems in, solutions out: lanes on every device run in short chunks, and a host loop refills them from a stream.

A search's result depends on its image, restart number, seed, config and kind of device, on other devices than CPUs on
the number of lanes too, and on nothing else: not on what runs beside it, nor on order, nor on interruption.
`ARCHITECTURE.md` says what is promised where.
"""

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Generator as Stream
from typing import Any

import jax
import numpy as np

from pulse_jax.engine.checkpoints import Checkpoint, Saved, fingerprint, lanes_begun_with
from pulse_jax.engine.lanes import ALONE, Ended, Together, by_themselves, groups, kept_leaves, placed
from pulse_jax.engine.memory import fitting_lanes
from pulse_jax.engine.progress import Progress
from pulse_jax.engine.tasks import TaskQueue
from pulse_jax.engine.workers import Worker
from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import InterpolationConfig, SearchConfig, UpsamplingConfig
from pulse_jax.search.interpolation import interpolate
from pulse_jax.search.judge import judge
from pulse_jax.search.methods.registry import check_method
from pulse_jax.search.presets import DEFAULT, named
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.search.requirements import admissible_sizes, check_fits, output_size
from pulse_jax.search.space import latent_shape
from pulse_jax.system.checks import check_count
from pulse_jax.system.devices import Device

__all__ = ["solve_stream"]

# Searches that are read ahead: as many times the lanes of all devices, and at least so many.
_AHEAD, _AHEAD_LEAST = 4, 64
# Between two looks at several workers; a chunk takes about a second.
_POLL_SECONDS = 1e-3


def solve_stream(
    problems: Iterable[Problem | np.ndarray],
    generator: Generator,
    *,
    config: UpsamplingConfig | str | None = None,
    lanes: int | None = None,
    strict: bool = False,
    chunk_steps: int = 100,
    devices: Sequence[Device] | None = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    other_device: bool = False,
    on_chunk: Callable[[Progress], Any] | None = None,
    on_compiling: Callable[[float], Any] | None = None,
) -> Stream[Solution, None, None]:
    """Yield the solution of every search as soon as it has ended, in the order in which they end.

    Problems are read as lanes become free, a few ahead; memory does not grow with their number. Inputs of several sizes
    may be mixed: each size has lanes and a compilation of its own, and full lanes go first.

    Args:
        problems: Problems to solve, each with an index of its own; an image (h, h, 3) alone is a problem of one restart
            whose index is its place. With repulsion all have as many restarts, at least 2, which are all run.
        generator: Generator to search.
        config: Settings, or a preset's name; `presets.fast()` if None. An interpolation makes one solution of each
            problem, whatever its restarts, and saves nothing.
        lanes: Searches that run at once on each device; on a CPU results do not depend on it, elsewhere their
            last bits do. None for what suits the first input (`memory.fitting_lanes`), no more than there are searches;
            where `checkpoint_dir` holds searches, what they began with.
        strict: Run every search as a program by itself on other devices too, so that results depend on no lanes there
            either; slower.
        chunk_steps: Steps between two looks from the host, at most, and fewer where they take more than about a
            second; results do not depend on it.
        devices: Devices to run on, all local ones if None. They share one queue, and none waits for another.
        checkpoint_dir: Folder where searches under way are saved, now and then and when the stream ends early. The
            same call goes on from there; problems say in `ended` what the caller has already.
        other_device: Go on with searches that another kind of device has begun; last bits may be neither one's.
        on_chunk: Function to call after each chunk. If it raises, or the iterator is closed, the stream ends as after
            a chunk.
        on_compiling: Function to call some times a second while a program compiles, with the seconds that has taken.
            If it raises, the stream ends at once; the compiler cannot be stopped, and goes on by itself.

    Raises:
        TypeError: `config` is neither kind of settings.
        ValueError: An argument is out of range, or, when it is read, a problem's image has a size that the generator
            cannot serve or its start other shapes.
        CheckpointError: The folder is in use, damaged, or holds searches with another config, generator, number of
            lanes in a program, versions or kind of device.
        OSError: Saving failed.
    """
    config = named(DEFAULT) if config is None else named(config) if isinstance(config, str) else config
    for name, value in (("lanes", lanes), ("chunk_steps", chunk_steps)):
        if value is not None:
            check_count(name, value)
    match config:
        case InterpolationConfig():
            return _reported(interpolate(_fitting(problems, generator, config), generator, config), on_chunk)
        case SearchConfig():
            fitting = _startable(_fitting(problems, generator, config), generator, config)
            check_method(config.method)
            check_fits(generator, config)
            places = jax.local_devices() if devices is None else list(devices)
            kinds = {(device.platform, device.device_kind) for device in places}
            if len(kinds) != 1:
                raise ValueError(f"devices: expected one or more of one kind, got {places}")
            if lanes is None and not by_themselves(places[0].platform, strict=strict) and checkpoint_dir is not None:
                lanes = lanes_begun_with(checkpoint_dir)
            if lanes is None:
                lanes, fitting = _suitable(fitting, generator, config, places[0])
            sizes = groups(places[0], lanes, strict=strict)
            together, counts = ALONE, sizes
            if config.repulsion > 0:
                restarts, fitting = _repelling(fitting)
                together, count = Together.of(restarts, sizes[0])
                counts = [count] * len(sizes)
            checkpoint = None
            if checkpoint_dir is not None:
                determining = fingerprint(generator, config, sizes[0], places[0])
                checkpoint = Checkpoint(checkpoint_dir, determining, other_device=other_device)
            stream = _Stream(
                fitting, generator, config, together, counts, chunk_steps, places, checkpoint, on_chunk, on_compiling
            )
            return stream.run()
        case _:
            raise TypeError(f"config: expected a SearchConfig or an InterpolationConfig, got {type(config).__name__}")


def _fitting(
    problems: Iterable[Problem | np.ndarray], generator: Generator, config: UpsamplingConfig
) -> Iterator[Problem]:
    """Return the problems, images alone as such; they raise `ValueError` where a side is none that D can make.

    Raises:
        ValueError: The pictures to deliver have a size that the generator cannot make.
    """
    return _of_sizes(problems, admissible_sizes(output_size(generator, config), config))


def _of_sizes(problems: Iterable[Problem | np.ndarray], sizes: Sequence[int]) -> Iterator[Problem]:
    # All indices below `seen` have been there, and those in `others`: where they count up, nothing is remembered.
    seen, others = 0, set[int]()
    for place, given in enumerate(problems):
        problem = given if isinstance(given, Problem) else Problem(low_res=given, index=place)
        if 0 <= problem.index < seen or problem.index in others:
            raise ValueError(
                f"index: expected another one for each problem, got {problem.index} twice; give each Problem its index="
            )
        others.add(problem.index)
        while seen in others:
            others.remove(seen)
            seen += 1
        if len(problem.low_res) not in sizes:
            raise ValueError(f"low_res: expected a side of {', '.join(map(str, sizes))}, got {len(problem.low_res)}")
        yield problem


def _startable(problems: Iterable[Problem], generator: Generator, config: SearchConfig) -> Iterator[Problem]:
    """Yield the problems; raises `ValueError` where one's given starts have other shapes than the search."""
    expected_shapes = (latent_shape(generator, config), *generator.noise_shapes)
    for problem in problems:
        if problem.start is not None:
            expected = [(problem.restarts, *shape) for shape in expected_shapes]
            got = [np.shape(array) for array in jax.tree.leaves(problem.start)]
            if got != expected[: len(got)] or len(got) not in (1, len(expected)):
                raise ValueError(f"start: expected shapes {expected}, got {got}")
        yield problem


def _repelling(problems: Iterator[Problem]) -> tuple[int, Iterator[Problem]]:
    """How many searches of an image repel each other, and all problems again, which raise `ValueError` for others."""
    first = next(problems, None)
    if first is None:
        return 1, iter(())

    def checked() -> Iterator[Problem]:
        for problem in itertools.chain([first], problems):
            if problem.restarts < 2:
                raise ValueError("repulsion: expected 2 restarts or more, which repel each other, got 1")
            if problem.solutions is not None:
                raise ValueError("repulsion: expected problems whose restarts are all run, got one with solutions set")
            if problem.restarts != first.restarts:
                raise ValueError(
                    f"repulsion: expected as many restarts of every problem, {first.restarts} like the first, "
                    f"got {problem.restarts}"
                )
            yield problem

    return first.restarts, checked()


def _suitable(
    problems: Iterator[Problem], generator: Generator, config: SearchConfig, device: Device
) -> tuple[int, Iterator[Problem]]:
    """How many lanes suit the first problems, and all problems again."""
    known = list(itertools.islice(problems, _AHEAD_LEAST))
    if not known:
        return 1, iter(())
    ended = len(known) < _AHEAD_LEAST
    searches = sum(problem.restarts for problem in known) if ended else None
    lanes = fitting_lanes(generator, config, device, searches=searches)
    return lanes, itertools.chain(known, problems)


def _reported(
    solutions: Iterable[Solution], on_chunk: Callable[[Progress], Any] | None
) -> Stream[Solution, None, None]:
    """The same solutions, and a report on each, of no steps."""
    began, feasible = time.perf_counter(), 0
    for done, solution in enumerate(solutions, 1):
        feasible += solution.feasible
        yield solution
        if on_chunk is not None:
            on_chunk(Progress(done, feasible, 0, 0, time.perf_counter() - began, 0.0, 0.0))


class _Stream:
    """One call of `solve_stream`."""

    def __init__(
        self,
        problems: Iterator[Problem],
        generator: Generator,
        config: SearchConfig,
        together: Together,
        counts: Sequence[int],
        chunk_steps: int,
        devices: Sequence[Device],
        checkpoint: Checkpoint | None,
        on_chunk: Callable[[Progress], Any] | None,
        on_compiling: Callable[[float], Any] | None,
    ) -> None:
        self._config = config
        self._chunk_steps = chunk_steps
        self._checkpoint = checkpoint
        self._saved: Saved = {} if checkpoint is None else checkpoint.saved
        self._report = on_chunk or (lambda progress: None)
        ahead = max(_AHEAD * sum(counts) * len(devices), _AHEAD_LEAST)
        self._queue = TaskQueue(problems, ahead, together=together != ALONE)
        on_devices = [(placed(generator, config, device), device) for device in devices]
        # In turns, so that few searches spread over all devices.
        self._workers = [
            Worker(local, config, count, device, on_compiling, together)
            for count in counts
            for local, device in on_devices
        ]
        # Ended, not yet taken by the caller; their lanes have gone on.
        self._ended: deque[Ended] = deque()
        # Taken from devices between two chunks, to be saved while they compute.
        self._snapshots: dict[int, Saved] = {}
        self._last = 0
        self._done = self._feasible = self._lane_steps = 0
        self._began = time.perf_counter()

    def run(self) -> Stream[Solution, None, None]:
        """Yield the solutions; whatever ends the stream, searches under way are saved."""
        finished = False
        try:
            yield from self._solve()
            finished = True
        finally:
            if self._checkpoint is not None:
                try:
                    for number, worker in enumerate(self._workers):
                        # After a chunk that failed, what was taken before is all there is.
                        if not finished and not worker.is_lost:
                            self._snapshots[number] = self._searches(number)
                    self._save()
                finally:
                    self._checkpoint.close(finished=finished)

    def _solve(self) -> Iterator[Solution]:
        collected = False
        while True:
            self._queue.pull()
            for worker in self._workers:
                if not worker.busy:
                    worker.begin(self._queue, self._chunk_steps, self._saved)
            # Now that devices compute: save, read ahead, judge, let the caller write, and report.
            self._save()
            self._queue.pull()
            self._watch()
            yield from self._deliver()
            if collected:
                self._report(self._progress())
                self._watch()
            busy = [number for number, worker in enumerate(self._workers) if worker.busy]
            if busy:
                self._collect(self._first_ready(busy))
                collected = True
            elif not self._queue.waiting():
                return

    def _watch(self) -> None:
        for worker in self._workers:
            worker.watch()

    def _first_ready(self, busy: Sequence[int]) -> int:
        while len(busy) > 1:
            # After the last one first, so that none starves.
            for number in sorted(busy, key=lambda n: n <= self._last):
                if self._workers[number].is_ready():
                    self._last = number
                    return number
            time.sleep(_POLL_SECONDS)
        return busy[0]

    def _collect(self, number: int) -> None:
        """Wait for a worker's chunk and take what has ended in it."""
        worker = self._workers[number]
        ended, taken = worker.collect()
        self._ended.extend(ended)
        self._lane_steps += taken * worker.count
        if self._checkpoint is not None and self._checkpoint.due(number):
            self._snapshots[number] = self._searches(number)

    def _deliver(self) -> Iterator[Solution]:
        while self._ended:
            task, _, result, key = self._ended[0]
            if task.is_known:
                self._queue.ended(task, feasible=task.problem.ended[task.restart])
                self._ended.popleft()
                continue
            solution = judge(task.problem, task.restart, jax.device_get(result), self._config, key)
            self._queue.ended(task, feasible=solution.feasible)
            self._done += 1
            self._feasible += solution.feasible
            yield solution
            self._ended.popleft()
            self._watch()

    def _searches(self, number: int) -> Saved:
        """A worker's searches, and those that have ended but were not taken yet."""
        ended = {one.task.name: jax.device_get(kept_leaves(one.state)) for one in self._ended}
        return self._workers[number].snapshot() | ended

    def _save(self) -> None:
        while self._snapshots:
            number, searches = self._snapshots.popitem()
            assert self._checkpoint is not None
            self._checkpoint.save(number, searches)

    def _progress(self) -> Progress:
        sets = [lanes for worker in self._workers for lanes in worker.sets.values()]
        return Progress(
            done=self._done,
            feasible=self._feasible,
            steps=sum(lanes.looks for lanes in sets),
            lane_steps=self._lane_steps,
            seconds=time.perf_counter() - self._began,
            compile_seconds=sum(worker.compile_seconds for worker in self._workers),
            idle_seconds=sum(worker.idle_seconds for worker in self._workers) / len(self._workers),
            position_independent=all(lanes.position_independent for lanes in sets),
        )
