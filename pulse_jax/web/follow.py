"""From a run to what a visitor sees of it while it is made: its words, and pictures as searches end."""

import io

from rich.console import Console

from pulse_jax.images.files import save_png
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.inputs import Input
from pulse_jax.runs.plan import RunPlan
from pulse_jax.runs.so_far import write_so_far
from pulse_jax.runs.watch import Watch
from pulse_jax.search.problems import Solution
from pulse_jax.system.screen import Screen
from pulse_jax.web.job import Found, Job

__all__ = ["Follower", "JobScreen"]

# Of lines that name files of the server, which mean nothing to a visitor.
_OF_FILES = "bold"


class JobScreen(Screen):
    """Takes what a run prints, and tells the visitor what is for them.

    Args:
        job: Request that the run is of.

    Attributes:
        errors: What went wrong, line by line.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.err = self.out = Console(file=io.StringIO(), force_terminal=False)
        self.errors: list[str] = []
        self._job = job

    def result(self, line: str, style: str = "") -> None:
        """Keep a line of results."""
        if style != _OF_FILES:
            self._job.told.append(line)

    def note(self, line: str, style: str = "") -> None:
        """Show a line until the next one comes."""
        self._job.show(line, self._job.done)

    def progress(self, line: str, done: int, total: int) -> None:
        """Show how far the run has come."""
        self._job.show(line, done)

    def error(self, line: str) -> None:
        """Keep a line about what went wrong."""
        self.errors.append(line.strip())


class Follower(Watch):
    """Keeps the picture of every search that ends, and writes what there is of a run that was stopped.

    Args:
        job: Request that the run is of.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._plan: tuple[RunPlan, int] | None = None
        self._inputs: dict[str, Input] = {}

    def began(self, plan: RunPlan, lanes: int) -> None:
        """See `Watch`."""
        self._plan = plan, lanes
        self._job.live.mkdir(exist_ok=True)

    def found(self, one: Input, solution: Solution) -> None:
        """See `Watch`."""
        self._inputs[one.name] = one
        picture = self._job.live / f"search_{solution.restart + 1:02}.png"
        save_png(picture, to_uint8(solution.image))
        self._job.add(Found(solution.restart, picture, solution.feasible, solution.downscaling_error))

    def wants_end(self) -> bool:
        """See `Watch`."""
        return self._job.is_ending

    def write_stopped(self) -> int:
        """Write what there is of the stopped run, and return how many solutions that are.

        Raises:
            OSError: The disk is full or the like.
            RunError: What was kept is damaged.
        """
        self._job.forget_stopped()
        if self._plan is None:
            return 0
        plan, lanes = self._plan
        return write_so_far(plan, lanes, self._inputs.values(), self._job.stopped)
