"""The options of `paste`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import MAX_RESTARTS, Folder, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.system.errors import UsageError

__all__ = ["Paste"]


@options
class Paste(Everywhere):
    """Put solutions back into the photographs that their inputs were cut out of."""

    run: Annotated[Positional[Path], arg(metavar="RUN", help_behavior_hint="(required)")]
    """Folder of a run: of upsample --align, or of upsample on faces that align has cut out."""
    output: Folder
    """Folder for the results, made if missing: a PNG per photograph."""
    alignment: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: RUN itself)")] = None
    """Folder with the alignment.json of the run's inputs: the one that align has written."""
    solution: Annotated[int, arg(metavar="K")] = 1
    """Which of each input's solutions, the best one being 1."""
    feather: Annotated[float, arg(metavar="F")] = 0.1
    """Share of a face's square, from its edge on, over which the photograph goes over into the solution."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is out of range."""
        check_range("solution", self.solution, 1, MAX_RESTARTS)
        if not 0 <= self.feather <= 0.5:
            raise UsageError(f"--feather: expected 0 to 0.5, got {self.feather:g}")
