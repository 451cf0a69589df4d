"""Who follows a run while it is made: is told what is found, and is asked whether the run is to end."""

from pulse_jax.runs.inputs import Input
from pulse_jax.runs.plan import RunPlan
from pulse_jax.search.problems import Solution

__all__ = ["Watch"]


class Watch:
    """Follows a run and wants nothing of it; what follows one overrides what it is about.

    All methods are called from the thread of the run, and one that takes long holds it up.
    """

    def began(self, plan: RunPlan, lanes: int) -> None:
        """Hear that the run has begun, or goes on.

        Args:
            plan: What it is to do.
            lanes: Searches at once on each device.
        """

    def found(self, one: Input, solution: Solution) -> None:
        """Hear of a search that has ended, in this process or in an earlier one of the run.

        Args:
            one: Input of the search.
            solution: What it has found.
        """

    def wants_end(self) -> bool:
        """Return whether the run is to end, as after an interrupt: what there is of it is kept, and it can go on."""
        return False
