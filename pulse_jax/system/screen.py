"""The terminal: plain lines, and progress of what is counted.

Texts are printed as they are: no markup, emoji codes or control characters of a file name take effect.
"""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from pulse_jax.system.text import duration

__all__ = ["Count", "Screen"]


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
