"""Where a stream of searches stands, as plain data."""

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """Where a stream stands after a chunk.

    Attributes:
        done: Searches that have ended.
        feasible: Feasible ones among them.
        steps: Looks taken, over all searches.
        lane_steps: Looks that the lanes could have taken; `steps / lane_steps` is their occupancy.
        seconds: Seconds since the stream began.
        compile_seconds: Seconds of these in tracing and compiling.
        idle_seconds: Seconds of these between two chunks, in which the device waited for the host, compiling left
            out; of several devices the mean.
        position_independent: Whether a search's bits do not depend on its place among the lanes, as far as was seen.
    """

    done: int
    feasible: int
    steps: int
    lane_steps: int
    seconds: float
    compile_seconds: float
    idle_seconds: float
    position_independent: bool = True

    @property
    def steps_per_second(self) -> float | None:
        """Looks per second while nothing compiled; None before the first chunk has ended."""
        seconds = self.seconds - self.compile_seconds
        return self.steps / seconds if self.steps and seconds > 0 else None
