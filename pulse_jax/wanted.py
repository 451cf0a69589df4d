"""What is wanted of a run's inputs, and how far each of them is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["Input", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """Which solutions of each input: all of `searches` restarts, or `count` of them.

    Attributes:
        count: solutions that are delivered.
        searches: restarts at most.
        stops: no further restart once `count` solutions are feasible.
        diverse: of the feasible ones those that differ most where downscaling does not see it, instead of the best.
    """

    count: int
    searches: int
    stops: bool
    diverse: bool = False

    def met(self, ended: Mapping[int, bool]) -> bool:
        """Whether an input is done, whose restarts have ended so: feasible or not."""
        return len(ended) >= self.searches or (self.stops and sum(ended.values()) >= self.count)


@dataclass
class Input:
    """One input on its way: what is solved, and how its searches have ended so far.

    Attributes:
        ended: restarts that have ended, and whether their solutions are feasible.
        is_complete: whether all its searches have ended.
    """

    index: int
    path: Path
    low_res: np.ndarray
    notes: tuple[str, ...]
    ended: dict[int, bool] = field(default_factory=dict)
    is_complete: bool = False

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.path.stem
