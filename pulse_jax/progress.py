"""What the user sees while a command runs: plain lines, and live progress with the time left.

Texts are printed as they are: no markup, emoji codes or control characters of a file name take effect.
"""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from pulse_jax import engine

__all__ = ["Live", "Screen", "duration"]


class Screen:
    """Standard output for results, standard error for everything else."""

    def __init__(self) -> None:
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False)

    def result(self, line: str, style: str = "") -> None:
        """One line of results."""
        self.out.print(Text(line, style), soft_wrap=True)

    def note(self, line: str, style: str = "") -> None:
        """One line about the run."""
        self.err.print(Text(line, style), soft_wrap=True)

    def error(self, line: str) -> None:
        """One line about what went wrong."""
        self.note(line, "red")


class Live:
    """Progress over several search calls, one after another, as a bar on a terminal and as lines elsewhere.

    Args:
        screen: where to show it.
        total: problems of all calls together.
        steps: steps per problem, at most.

    Attributes:
        done, feasible: problems that have ended, and feasible solutions among them.
        steps: steps taken, over all problems.
        seconds, compile_seconds: in search calls, and of these in compiling.
    """

    def __init__(self, screen: Screen, total: int, steps: int) -> None:
        self.done = self.feasible = self.steps = 0
        self.seconds = self.compile_seconds = 0.0
        self._screen = screen
        self._total = total
        self._most_steps = steps
        self._last: engine.Progress | None = None
        self._measured_steps = 0
        self._measured_seconds = 0.0
        self._next_line = 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if screen.err.is_terminal:
            self._bar = Progress(
                SpinnerColumn(), BarColumn(30), TextColumn("{task.description}"), console=screen.err, transient=True
            )
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> "Live":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def steps_per_second(self) -> float | None:
        """Over all but each call's first chunk, which compiles; None if there was no other."""
        return self._measured_steps / self._measured_seconds if self._measured_steps else None

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the steps that a problem took so far; None before there is a speed."""
        if self.steps_per_second is None:
            return None
        each = min(self._most_steps, self.steps / self.done) if self.done else self._most_steps
        return max(0.0, self._total * each - self.steps) / self.steps_per_second

    def begin(self, what: str) -> None:
        """A search call for `what` begins, which compiles first."""
        self._last = None
        if self._bar:
            self._bar.update(self._task, description=f"compiling for {what} …")
        else:
            self._screen.note(f"compiling for {what} ...")

    def update(self, standing: engine.Progress) -> None:
        """The current call has come further."""
        last, self._last = self._last, standing
        self.done += standing.done - (last.done if last else 0)
        self.feasible += standing.feasible - (last.feasible if last else 0)
        self.steps += standing.steps - (last.steps if last else 0)
        self.seconds += standing.seconds - (last.seconds if last else 0.0)
        self.compile_seconds += standing.compile_seconds - (last.compile_seconds if last else 0.0)
        if last:
            self._measured_steps += standing.steps - last.steps
            self._measured_seconds += standing.seconds - last.seconds
        if self._bar:
            self._bar.update(self._task, completed=self.done, description=self._words())
            return
        now = time.monotonic()
        if now >= self._next_line or self.done == self._total:
            # At most a line per second, and fewer as a run grows long.
            self._next_line = now + max(1.0, self.seconds / 20)
            self._screen.note(self._words())

    def _words(self) -> str:
        words = [f"{self.done}/{self._total} solutions", f"{self.feasible} feasible"]
        if self.steps_per_second is not None:
            words.append(f"{self.steps_per_second:.0f} steps/s")
        if self.seconds_left is not None and self.done < self._total:
            words.append(f"{duration(self.seconds_left)} left")
        return ", ".join(words)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 8 s, 4 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"
