"""What the user sees while a command runs: plain lines, and live progress with the time left.

Texts are printed as they are: no markup, emoji codes or control characters of a file name take effect.
"""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from pulse_jax import engine

__all__ = ["Count", "Live", "Screen", "duration"]


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


def _bar(screen: Screen) -> Progress | None:
    """A bar that leaves nothing behind, on a terminal; none elsewhere."""
    if not screen.err.is_terminal:
        return None
    columns = SpinnerColumn(), BarColumn(30), TextColumn("{task.description}")
    return Progress(*columns, console=screen.err, transient=True)


class Live:
    """Progress of a search, as a bar on a terminal and as lines elsewhere.

    Args:
        screen: where to show it.
        total: searches in all, as far as is known.
        steps: steps per search, at most.
        earlier: searches that have ended before, and how many of them were feasible.

    Attributes:
        standing: the last report of the engine.
    """

    def __init__(self, screen: Screen, total: int, steps: int, earlier: tuple[int, int] = (0, 0)) -> None:
        self.total = total
        self.earlier = earlier
        self.standing = engine.Progress(0, 0, 0, 0, 0.0, 0.0, 0.0)
        self._screen = screen
        self._most_steps = steps
        self._next_line = 0.0
        self._bar = _bar(screen)
        self._task = self._bar.add_task("", total=total) if self._bar else TaskID(0)

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
    def done(self) -> int:
        """Searches that have ended, earlier ones included."""
        return self.earlier[0] + self.standing.done

    @property
    def steps_per_second(self) -> float | None:
        """While nothing compiled; None before the first chunk has ended."""
        seconds = self.standing.seconds - self.standing.compile_seconds
        return self.standing.steps / seconds if self.standing.steps and seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the steps that a search took so far; None before there is a speed."""
        if self.steps_per_second is None:
            return None
        standing = self.standing
        each = min(self._most_steps, standing.steps / standing.done) if standing.done else self._most_steps
        return max(0.0, (self.total - self.earlier[0]) * each - standing.steps) / self.steps_per_second

    def begin(self) -> None:
        """The search begins, which compiles first."""
        if self._bar:
            self._bar.update(self._task, description="compiling …")
        else:
            self._screen.note("compiling ...")

    def update(self, standing: engine.Progress) -> None:
        """The search has come further."""
        self.standing = standing
        if self._bar:
            self._bar.update(self._task, completed=self.done, total=self.total, description=self._words())
            return
        now = time.monotonic()
        if now >= self._next_line or self.done == self.total:
            # At most a line per second, and fewer as a run grows long.
            self._next_line = now + max(1.0, standing.seconds / 20)
            self._screen.note(self._words())

    def _words(self) -> str:
        words = [f"{self.done}/{self.total} searches", f"{self.earlier[1] + self.standing.feasible} feasible"]
        if self.steps_per_second is not None:
            words.append(f"{self.steps_per_second:.0f} steps/s")
        if self.seconds_left is not None and self.done < self.total:
            words.append(f"{duration(self.seconds_left)} left")
        return ", ".join(words)


class Count:
    """Progress of something long that is counted, as a bar on a terminal and as lines elsewhere.

    Args:
        screen: where to show it.
        what: what is being done.
    """

    def __init__(self, screen: Screen, what: str) -> None:
        self._screen, self._what = screen, what
        self._first: tuple[float, int] | None = None
        self._next_line = 0.0
        self._bar = _bar(screen)
        self._task = TaskID(0)

    def __enter__(self) -> "Count":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """It has come further; before the first call nothing is shown."""
        now = time.monotonic()
        words = f"{self._what}: {done:,} of {total:,}"
        if self._first is None:
            # What came before is compiling as well.
            self._first = (now, done)
            if self._bar:
                self._task = self._bar.add_task("", total=total)
                self._bar.start()
        elif done < total:
            since, before = self._first
            words += f", {duration((now - since) * (total - done) / (done - before))} left"
        if self._bar:
            self._bar.update(self._task, completed=done, description=words)
        elif now >= self._next_line or done == total:
            # Fewer lines as it grows long.
            self._next_line = now + max(2.0, (now - self._first[0]) / 4)
            self._screen.note(words)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 8 s, 4 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"
