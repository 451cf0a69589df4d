"""Progress of a search as the user sees it: a bar or lines, with the time left."""

import time
from types import TracebackType

from rich.progress import TaskID

from pulse_jax.engine import progress
from pulse_jax.system.screen import Screen, _bar
from pulse_jax.system.text import duration

__all__ = ["Live"]


class Live:
    """Progress of a search, as a bar on a terminal and as lines elsewhere.

    Args:
        screen: where to show it.
        total: searches in all, as far as is known.
        steps: steps per search, at most.
        earlier: searches that have ended before, and how many of them were feasible.

    Attributes:
        standing: the last report of the progress.
    """

    def __init__(self, screen: Screen, total: int, steps: int, earlier: tuple[int, int] = (0, 0)) -> None:
        self.total = total
        self.earlier = earlier
        self.standing = progress.Progress(0, 0, 0, 0, 0.0, 0.0, 0.0)
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

    def update(self, standing: progress.Progress) -> None:
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
