"""The options of `study make` and `study analyse`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import Folder, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.system.errors import UsageError

__all__ = ["StudyAnalyse", "StudyMake"]


@options
class StudyMake(Everywhere):
    """Make a page on which people rate pictures of several methods, from 1 to 5, without knowing what made them."""

    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDERS", help_behavior_hint="(required)")]
    """A folder for each method, which is called like it: of pictures, the same names for the same inputs, or of a run
    of upsample, of which the best solution of each input is taken."""
    output: Folder
    """Folder for the study, made if missing: its folder rate is what raters get, key.json is what they must not see."""
    anchors: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of high-resolution pictures, which raters see first: as examples of a 5, and downscaled and enlarged
    again by nearest neighbours as examples of a 1."""
    examples: Annotated[int, arg(metavar="N")] = 10
    """With --anchors: examples of a 5, at most, and as many of a 1."""
    factor: Annotated[int, arg(metavar="F")] = 8
    """With --anchors: how many pixels become one in examples of a 1, along each side."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """What the pictures' new names, and with these their order, are drawn from."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is missing or out of range."""
        if not self.folders:
            raise UsageError("no folders: expected a folder of pictures for each method")
        check_range("examples", self.examples, 1, 100)
        check_range("factor", self.factor, 2, 1024)
        check_range("seed", self.seed, 0, 2**32 - 1)


@options
class StudyAnalyse(Everywhere):
    """Say what raters think of each method: mean opinion scores with 95 % intervals, and all pairs tested."""

    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILES", help_behavior_hint="(required)")]
    """Files that raters have saved on the page, one for each rater."""
    key: Annotated[Path, arg(metavar="FILE")]
    """The study's key.json."""
    output: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder for study.json, study.md, study.csv and ratings.csv."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """What the resamples of the intervals are drawn from."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is missing or out of range."""
        if not self.files:
            raise UsageError("no files: expected those that raters have saved")
        check_range("seed", self.seed, 0, 2**32 - 1)
