"""The options of `merge`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import Folder
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.system.errors import UsageError

__all__ = ["Merge"]


@options
class Merge(Everywhere):
    """Join runs of upsample with the same settings, shards for instance, as though one process had made them."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUNS", help_behavior_hint="(required)")]
    """Folders of the runs, finished or not; they stay as they are."""
    output: Folder
    """Folder for the joined run, which must not exist: its pictures are links to the runs' where that can be, else
    copies. Where inputs are missing, upsample without --shard goes on in it."""

    def check(self) -> None:
        """Raise `UsageError` where no run is named."""
        if not self.runs:
            raise UsageError("no runs: expected the folders of runs of upsample")
