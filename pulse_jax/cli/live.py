"""Progress of a search as the user sees it: a bar or lines, with the time left."""

import time

from pulse_jax.engine.progress import Progress
from pulse_jax.system.screen import Bar, Screen
from pulse_jax.system.text import duration, pace

__all__ = ["Live"]


class Live(Bar):
    """Progress of a search, as a bar on a terminal and as lines elsewhere.

    Args:
        screen: Screen to show it on.
        total: Searches in all, as far as is known.
        steps: Steps per search, at most.
        earlier: Searches that have ended before, and how many of them were feasible.

    Attributes:
        standing: The last report of the progress.
    """

    def __init__(self, screen: Screen, total: int, steps: int, earlier: tuple[int, int] = (0, 0)) -> None:
        super().__init__(screen)
        self.total = total
        self.earlier = earlier
        self.standing = Progress(0, 0, 0, 0, 0.0, 0.0, 0.0)
        self._most_steps = steps

    @property
    def standing_at(self) -> tuple[int, int]:
        """See `Bar`."""
        return self.done, self.total

    @property
    def done(self) -> int:
        """Searches that have ended, earlier ones included."""
        return self.earlier[0] + self.standing.done

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the steps that a search took so far; None before there is a speed."""
        standing = self.standing
        if standing.steps_per_second is None:
            return None
        each = min(self._most_steps, standing.steps / standing.done) if standing.done else self._most_steps
        return max(0.0, (self.total - self.earlier[0]) * each - standing.steps) / standing.steps_per_second

    def update(self, standing: Progress) -> None:
        """Say that the search has come as far as `standing`."""
        self.standing = standing
        # At most a line per second, and fewer as a run grows long.
        pause = max(1.0, standing.seconds / 20)
        self.show(self._words(), self.done, self.total, now=time.monotonic(), pause=pause)

    def writing(self, written: int, total: int) -> None:
        """Say how many inputs' files are written, after all searches have ended."""
        words = f"all searches have ended; {written}/{total} inputs are written"
        self.show(words, written, total, now=time.monotonic(), pause=10.0)

    def _words(self) -> str:
        words = [f"{self.done}/{self.total} searches", f"{self.earlier[1] + self.standing.feasible} feasible"]
        if self.standing.steps_per_second is not None:
            words.append(pace(self.standing.steps_per_second))
        if self.seconds_left is not None and self.done < self.total:
            words.append(f"{duration(self.seconds_left)} left")
        return ", ".join(words)
