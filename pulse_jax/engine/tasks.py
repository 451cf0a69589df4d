"""Searches that wait for a lane: problems read ahead, and which restart follows which outcome."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pulse_jax.search.problems import Problem, image_number

__all__ = ["Task", "TaskQueue"]


class Task(NamedTuple):
    """One search: a restart of a problem.

    Attributes:
        problem: What is searched for.
        restart: Number of the restart, from 0.
    """

    problem: Problem
    restart: int

    @property
    def side(self) -> int:
        """The side of the low-resolution image in pixels."""
        return len(self.problem.low_res)

    @property
    def is_known(self) -> bool:
        """Whether the caller has its solution from before: it is made again for the sake of others only."""
        return self.restart in self.problem.ended

    @property
    def name(self) -> str:
        """A name that no other search of a stream has, the same whenever the search is made."""
        problem = self.problem
        return f"{problem.index}-{self.restart}-{problem.seed}-{image_number(problem.low_res):08x}"


class TaskQueue:
    """Searches that wait, by the side of their input; the next restart after a failed one goes before new images.

    Args:
        problems: Problems, read as they are needed.
        ahead: How many searches wait at least, as long as there are problems.
        together: Whether the searches of a problem need each other. All of them are then queued at once, one after
            another, and if one is to be run, those that the caller has already are too.
    """

    def __init__(self, problems: Iterator[Problem], ahead: int, *, together: bool = False) -> None:
        self._problems = problems
        self._ahead = ahead
        self._together = together
        self._waiting: dict[int, deque[Task]] = {}
        # By a problem's identity: restarts begun, and those of them that have not ended.
        self._begun: dict[int, int] = {}
        self._open: dict[int, int] = {}
        # The problem whose restarts are being queued, and how many are left: of many, few wait at a time.
        self._reading: tuple[Problem, int] | None = None

    def pull(self) -> None:
        """Read problems until enough searches wait or the stream has ended."""
        while self._is_amid() or sum(map(len, self._waiting.values())) < self._ahead:
            if self._reading is None:
                problem = next(self._problems, None)
                if problem is None:
                    return
                self._begun[id(problem)] = self._open[id(problem)] = 0
                self._reading = problem, min(problem.solutions or problem.restarts, problem.restarts)
            problem, left = self._reading
            if left:
                self._begin(problem, deque.append)
                self._reading = problem, left - 1
            else:
                self._reading = None
                self._forget(problem)

    def _is_amid(self) -> bool:
        return self._together and self._reading is not None

    def _begin(self, problem: Problem, put: Callable[[deque[Task], Task], None]) -> None:
        """Queues the next restart, or what follows from those whose outcome is known."""
        while (restart := self._begun[id(problem)]) < problem.restarts:
            self._begun[id(problem)] += 1
            needed = self._together and len(problem.ended) < problem.restarts
            if needed or restart not in problem.ended:
                self._open[id(problem)] += 1
                task = Task(problem, restart)
                put(self._waiting.setdefault(task.side, deque()), task)
                return
            if problem.ended[restart] or problem.solutions is None:
                return

    def _forget(self, problem: Problem) -> None:
        is_read = self._reading is None or self._reading[0] is not problem
        if is_read and not self._open[id(problem)]:
            del self._open[id(problem)], self._begun[id(problem)]

    def ended(self, task: Task, *, feasible: bool) -> None:
        """Note that a search has ended; another restart follows if more solutions are wanted."""
        problem = task.problem
        self._open[id(problem)] -= 1
        if problem.solutions is not None and not feasible:
            self._begin(problem, deque.appendleft)
        self._forget(problem)

    def waiting(self) -> dict[int, int]:
        """Return how many searches wait, by the side of their input."""
        return {side: len(tasks) for side, tasks in self._waiting.items() if tasks}

    def take(self, side: int, most: int) -> list[Task]:
        """Take the next searches with inputs of a side, at most so many."""
        tasks = self._waiting.get(side, deque())
        return [tasks.popleft() for _ in range(min(most, len(tasks)))]
