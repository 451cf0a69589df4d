"""The terminal: plain lines, and progress of what takes long.

Texts are printed as they are: no markup, emoji codes or control characters of a file name take effect.
"""

import time
from types import TracebackType
from typing import TypeVar

from rich import progress
from rich.console import Console
from rich.text import Text

from pulse_jax.system.text import duration

__all__ = ["Bar", "Count", "Screen"]

# Seconds between two lines about what cannot be counted.
_LONG = 10.0
_Bar = TypeVar("_Bar", bound="Bar")


class Screen:
    """Standard output for results, standard error for everything else.

    Args:
        quiet: Whether only results and what went wrong are shown.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False)

    def result(self, line: str, style: str = "") -> None:
        """Print one line of results."""
        _print(self.out, line, style)

    def note(self, line: str, style: str = "") -> None:
        """Print one line about the run."""
        if not self.quiet:
            _print(self.err, line, style)

    def progress(self, line: str, done: int, total: int) -> None:
        """Say how far something has come, `done` of `total`; where no bar is drawn, in lines that are few."""
        self.note(line)

    def error(self, line: str) -> None:
        """Print one line about what went wrong."""
        _print(self.err, line, "red")


def _print(console: Console, line: str, style: str) -> None:
    if console.is_terminal:
        console.print(Text(line, style), soft_wrap=True)
    else:  # as it is, which of very many lines saves much time
        print(line, file=console.file)


class Bar:
    """Progress as a bar on a terminal, which leaves nothing behind, and as few plain lines elsewhere.

    As a context manager it takes the bar away at the end. Nothing is shown before there is something to say.

    Args:
        screen: Screen to show it on.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._next_line = 0.0
        self._bar: progress.Progress | None = None
        self._task = progress.TaskID(0)
        if screen.err.is_terminal and not screen.quiet:
            columns = progress.SpinnerColumn(), progress.BarColumn(30), progress.TextColumn("{task.description}")
            self._bar = progress.Progress(*columns, console=screen.err, transient=True)

    def __enter__(self: _Bar) -> _Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def is_drawn(self) -> bool:
        """Whether it is a bar, not lines."""
        return self._bar is not None

    def announce(self, words: str) -> None:
        """Say what is done before anything can be counted."""
        if self._bar:
            self._draw(self._bar, words, 0, None)
        else:
            self._screen.note(words)

    @property
    def standing_at(self) -> tuple[int, int]:
        """How much has been done, and how much there is in all, as far as is known."""
        return 0, 1

    def compiling(self, seconds: float) -> None:
        """Say how long a program has been compiling; off a terminal only where that is long."""
        if not self.is_drawn and seconds < _LONG:
            return
        done, total = self.standing_at
        words = f"compiling ... {duration(seconds)}"
        self.show(words, done, max(total, done + 1), now=time.monotonic(), pause=_LONG)

    def show(self, words: str, done: int, total: int, *, now: float, pause: float) -> None:
        """Say how far it has come.

        Args:
            words: Text beside the bar, or of the line.
            done: How much has been done.
            total: How much there is in all; when all of it is done, the line is always printed.
            now: Reading of `time.monotonic`.
            pause: Seconds until the next line, at least.
        """
        if self._bar:
            self._draw(self._bar, words, done, total)
        elif now >= self._next_line or done == total:
            self._next_line = now + pause
            self._screen.progress(words, done, total)

    def _draw(self, bar: progress.Progress, words: str, done: int, total: int | None) -> None:
        if not bar.tasks:
            self._task = bar.add_task("", total=None)
            bar.start()
        bar.update(self._task, completed=done, total=total, description=words)


class Count(Bar):
    """Progress of something long that is counted, with the time that is left.

    Args:
        screen: Screen to show it on.
        what: What is being done, in a word or two.
    """

    def __init__(self, screen: Screen, what: str) -> None:
        super().__init__(screen)
        self._what = what
        self._first: tuple[float, int] | None = None

    def update(self, done: int, total: int) -> None:
        """Say that `done` of `total` are done; before the first call nothing is shown."""
        now = time.monotonic()
        words = f"{self._what}: {done:,} of {total:,}"
        if self._first is None:
            # What came before is compiling as well.
            self._first = (now, done)
        elif done < total:
            since, before = self._first
            if done > before:
                words += f", {duration((now - since) * (total - done) / (done - before))} left"
        # Fewer lines as it grows long.
        self.show(words, done, total, now=now, pause=max(2.0, (now - self._first[0]) / 4))
