"""The options of `demo`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from pulse_jax.cli.options.common import MAX_RESTARTS, Folder, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["Demo"]


@options
class Demo(Everywhere):
    """Solve eight inputs that come with the program, verify what was written, and say what to look at."""

    output: Folder = Path("pulse-demo")
    """Folder for the results; those of an earlier demo are replaced."""
    restarts: Annotated[int, arg(metavar="K")] = 4
    """Solutions per input."""
    overwrite: bool = False
    """Replace the results of any other run in the output folder too; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is out of range."""
        check_range("restarts", self.restarts, 1, MAX_RESTARTS)
