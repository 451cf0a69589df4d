"""The stream behind `upsample --ray`: problems go out to workers in a Ray cluster, solutions come back.

A worker that is lost loses what it was searching, and that alone: what it had sent is kept, what it had not is given to
another one, and a new one takes its place if its machine is still there.
"""

import dataclasses
import itertools
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Generator as Stream
from typing import Any

import jax

from pulse_jax.distributed.cluster import Place, connected, places
from pulse_jax.distributed.worker import StreamWorker, determining, unpacked
from pulse_jax.engine.progress import Progress
from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.system.errors import RunError
from pulse_jax.system.text import printable

__all__ = ["solve_on_workers"]

# Searches of a task, at most: as many times the worker's lanes. At its end lanes run empty.
_ROUNDS = 8
# Tasks that a worker has: one that it works on, and the next.
_TASKS = 2
# Seconds between two looks for new machines, and between two reports at most.
_LOOK, _REPORT = 5.0, 0.3
# How a worker sends: it waits once so many pictures have not been taken, or those of large machines would fill memory.
_STREAMING = {"num_returns": "streaming", "_generator_backpressure_num_objects": 64}
# Workers that may be lost in one place one after another, without a solution in between.
_LOSSES = 3
_NOTHING = Progress(0, 0, 0, 0, 0.0, 0.0, 0.0)


def solve_on_workers(
    problems: Iterable[Problem],
    generator: Generator,
    *,
    address: str,
    count: int,
    config: SearchConfig,
    lanes: int | None,
    strict: bool = False,
    on_chunk: Callable[[Progress], Any],
    on_compiling: Callable[[float], Any],
    on_lost: Callable[[str], Any],
) -> Stream[Solution, None, None]:
    """Yield the solution of every search as soon as it has arrived, as `solve_stream` of this process gives it.

    Every GPU of the cluster has a worker if JAX computes on GPUs here, else every node has one on all of its cores;
    machines that join later take part.

    Args:
        problems: Problems to solve, each with an index of its own.
        generator: Generator to search, which is sent to the workers.
        address: The cluster (see `cluster.connected`).
        count: How many problems there are, at most.
        config: Settings of the searches.
        lanes: Searches at once in each worker; None for what suits it.
        strict: Run every search as a program by itself on other devices than CPUs too.
        on_chunk: Called some times a second with where all searches stand. If it raises, or the iterator is closed,
            the stream ends, and what is under way is lost.
        on_compiling: Called so before the first solution, with the seconds since the beginning.
        on_lost: Called with a line about each worker that is lost.

    Raises:
        RunError: The cluster cannot be used, has no place for a worker, has a worker that would find other bits, or
            loses all of them again and again.
    """
    problems = iter(problems)
    first = next(problems, None)
    if first is None:  # which needs no cluster
        on_chunk(_NOTHING)
        return
    with connected(address) as ray:
        crew = _Crew(ray, generator, config, lanes, strict, count, on_lost)
        try:
            yield from _solve(crew, itertools.chain([first], problems), on_chunk, on_compiling)
        finally:
            crew.dismiss()


def _solve(
    crew: "_Crew",
    problems: Iterator[Problem],
    on_chunk: Callable[[Progress], Any],
    on_compiling: Callable[[float], Any],
) -> Iterator[Solution]:
    began = time.monotonic()
    done = feasible = 0
    reported = 0.0
    while True:
        crew.staff()
        for worker in crew.free():
            task = crew.task(worker, problems)
            if not task.left:
                break
            worker.begin(task)
        if crew.is_idle:
            break
        for solution in crew.arrived():
            done, feasible = done + 1, feasible + solution.feasible
            yield solution
        if time.monotonic() >= reported + _REPORT:
            reported = time.monotonic()
            if done:
                on_chunk(crew.progress(done, feasible, reported - began))
            else:
                on_compiling(reported - began)
    on_chunk(crew.progress(done, feasible, time.monotonic() - began))


@dataclasses.dataclass(eq=False)
class _Task:
    """Problems that a worker has been given.

    Attributes:
        left: The problems by their indices, with what has arrived of each in `ended`.
        reports: Ray's stream of what the worker sends.
        progress: How far the worker's stream has come.
    """

    left: dict[int, Problem]
    reports: Any = None
    progress: Progress = _NOTHING

    def note(self, solution: Solution) -> None:
        """Count a search as done."""
        problem = self.left[solution.index]
        ended = {**problem.ended, solution.restart: solution.feasible}
        self.left[solution.index] = dataclasses.replace(problem, ended=ended)


class _Worker:
    """A worker: the actor, whether it has started, and its tasks, the first of which it works on."""

    def __init__(self, actor: Any, expected: Mapping[str, Any]) -> None:
        self.actor = actor
        self.starting: Any = actor.check.remote(expected)
        self.tasks: deque[_Task] = deque()

    @property
    def awaited(self) -> Any:
        """What Ray is to wait for; None of a worker that has nothing to do."""
        return self.starting or (self.tasks[0].reports if self.tasks else None)

    def begin(self, task: _Task) -> None:
        """Take on a task."""
        task.reports = self.actor.solve.options(**_STREAMING).remote([*task.left.values()])
        self.tasks.append(task)


class _Crew:
    """All workers by their places, and the problems of those that were lost."""

    def __init__(
        self,
        ray: Any,
        generator: Generator,
        config: SearchConfig,
        lanes: int | None,
        strict: bool,
        count: int,
        on_lost: Callable[[str], Any],
    ) -> None:
        self._workers: dict[Place, _Worker] = {}
        self._returned: deque[Problem] = deque()
        self._count = count
        self._ray = ray
        self._platform = jax.default_backend()
        self._expected = determining(generator, config)
        self._lanes = lanes
        self._given = ray.put(jax.device_get(generator)), config, lanes, strict
        self._on_lost = on_lost
        self._losses: Counter[Place] = Counter()
        self._last_loss = ""
        self._next_look = 0.0
        self._finished = _NOTHING

    def staff(self) -> None:
        """See that every place has a worker, but those that have lost several.

        Raises:
            RunError: There is no place.
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK
        known = places(self._ray, self._platform)
        usable = [place for place in known if self._losses[place] < _LOSSES]
        for place in usable:
            if place not in self._workers:
                self._workers[place] = _Worker(self._hired(place), self._expected)
        if not self._workers:
            if known:
                raise RunError(f"every worker was lost {_LOSSES} times without a solution; the last: {self._last_loss}")
            raise RunError(
                f"the Ray cluster has no {self._platform.upper()} that is free for searches; "
                "--device says what to compute on"
            )

    def _hired(self, place: Place) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._ray.remote(StreamWorker).options(
            num_cpus=1 if place.cores is None else place.cores,
            num_gpus=1 if place.cores is None else 0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        )
        return actor.remote(*self._given, place.cores)

    def free(self) -> list[_Worker]:
        """The workers that can take another task, those with fewer first."""
        able = [one for one in self._workers.values() if one.starting is None and len(one.tasks) < _TASKS]
        return sorted(able, key=lambda one: len(one.tasks))

    def task(self, worker: _Worker, problems: Iterator[Problem]) -> _Task:
        """The next task of a worker: what others have left, and then of the problems."""
        place = next(place for place, one in self._workers.items() if one is worker)
        first = self._returned.popleft() if self._returned else next(problems, None)
        if first is None:
            return _Task({})
        at_once = self._lanes or place.cores or 1
        # Of a quota, others are begun only if these are not feasible.
        each = min(first.restarts, first.solutions or first.restarts)
        # Fewer at a time toward the end, so that all workers end together; but a GPU's lanes cost the same half empty.
        share = math.ceil(self._count / (_TASKS * len(self._workers)))
        share = max(share, 1 if place.cores else math.ceil(at_once / each))
        more = max(1, min(share, _ROUNDS * at_once // each)) - 1
        back = [self._returned.popleft() for _ in range(min(more, len(self._returned)))]
        rest = itertools.islice(problems, more - len(back))
        task = _Task({problem.index: problem for problem in (first, *back, *rest)})
        self._count -= len(task.left)
        return task

    @property
    def is_idle(self) -> bool:
        """Whether nobody works, and nobody who starts is waited for."""
        if any(one.tasks for one in self._workers.values()) or self._returned:
            return False
        return any(one.starting is None for one in self._workers.values())

    def arrived(self) -> Iterator[Solution]:
        """Wait for a moment, and yield what has come."""
        ray, awaited = self._ray, {place: one.awaited for place, one in self._workers.items() if one.awaited}
        if not awaited:
            time.sleep(_REPORT)
            return
        ready, _ = ray.wait([*awaited.values()], num_returns=len(awaited), timeout=0)
        if not ready:
            ready, _ = ray.wait([*awaited.values()], timeout=_REPORT)
        for place, reference in awaited.items():
            if reference in ready:
                try:
                    yield from self._taken(place, self._workers[place])
                except ray.exceptions.RayTaskError as error:
                    self._fail(place, error)
                except ray.exceptions.RayError as error:
                    self._lose(place, error)

    def _taken(self, place: Place, worker: _Worker) -> Iterator[Solution]:
        """What a worker has sent that is there."""
        if worker.starting is not None:
            self._ray.get(worker.starting)
            worker.starting = None
            return
        task = worker.tasks[0]
        try:
            sent = self._ray.get(next(task.reports))
        except StopIteration:
            self._finished = _sum([self._finished, worker.tasks.popleft().progress])
            return
        if isinstance(sent, Progress):
            task.progress = sent
            return
        task.note(sent)
        self._losses[place] = 0
        yield unpacked(sent)

    def _fail(self, place: Place, error: Any) -> None:
        """Ends all with what a worker has raised; where it is one of several and could not start, leaves it alone."""
        others = [one for where, one in self._workers.items() if where != place and one.starting is None]
        if self._workers[place].starting is None or not others or not isinstance(error.cause, RunError):
            raise error.cause from error
        self._ray.kill(self._workers.pop(place).actor)
        self._losses[place] = _LOSSES
        self._on_lost(f"{place.host}: takes no part: {error.cause}")

    def _lose(self, place: Place, error: Exception) -> None:
        """Forgets a worker, and takes its problems back."""
        worker = self._workers.pop(place)
        self._ray.kill(worker.actor)
        self._losses[place] += 1
        # Ray tells at length; the cause is the first sentence of its last line.
        last_line = (str(error).strip() or type(error).__name__).splitlines()[-1]
        self._last_loss = printable(last_line.partition(". ")[0].rstrip("."), 300)
        for task in worker.tasks:
            self._finished = _sum([self._finished, task.progress])
            self._returned.extend(task.left.values())
            self._count += len(task.left)
        self._next_look = 0.0
        self._on_lost(f"{place.host}: a worker was lost ({self._last_loss}); what it was searching is begun again")

    def dismiss(self) -> None:
        """End all workers, whatever they do."""
        for worker in self._workers.values():
            self._ray.kill(worker.actor)
        self._workers.clear()

    def progress(self, done: int, feasible: int, seconds: float) -> Progress:
        """Where all searches stand; of what passes in each worker by itself, the mean."""
        running = [task.progress for one in self._workers.values() for task in one.tasks]
        total, count = _sum([self._finished, *running]), max(1, len(self._workers))
        return dataclasses.replace(
            total,
            done=done,
            feasible=feasible,
            seconds=seconds,
            compile_seconds=min(seconds, total.compile_seconds / count),
            idle_seconds=total.idle_seconds / count,
        )


def _sum(parts: Sequence[Progress]) -> Progress:
    """What several streams come to together."""
    return Progress(
        *(sum(getattr(one, field.name) for one in parts) for field in dataclasses.fields(Progress)[:-1]),
        position_independent=all(one.position_independent for one in parts),
    )
