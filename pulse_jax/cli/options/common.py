"""What options of several commands share: kinds of values, limits, and checks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from pulse_jax.generators.architectures import FAMILIES
from pulse_jax.search.presets import PRESETS, SEARCHES
from pulse_jax.system.errors import UsageError

__all__ = [
    "MAX_COUNT",
    "MAX_LANES",
    "MAX_RESTARTS",
    "Family",
    "File",
    "Folder",
    "GeneratorFolder",
    "Label",
    "Pictures",
    "Preset",
    "Search",
    "check_choice",
    "check_inputs",
    "check_range",
]

MAX_RESTARTS = 10_000
MAX_LANES = 65_536
MAX_COUNT = 1_000
Pictures = Annotated[Positional[tuple[Path, ...]], arg(metavar="FILES_OR_FOLDERS", help_behavior_hint="(required)")]
Folder = Annotated[Path, arg(metavar="DIR")]
GeneratorFolder = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: the embedded one)")]
File = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
Label = Annotated[int | None, arg(metavar="N", help_behavior_hint="(needed by a generator with classes)")]
if TYPE_CHECKING:
    Search = str
    Preset = str
    Family = str
else:  # the choices, which only running tells
    Search = Literal[tuple(SEARCHES)]
    Preset = Literal[tuple(PRESETS)]
    Family = Literal[tuple(FAMILIES)]


def check_range(flag: str, value: int, low: int, high: int) -> None:
    """Raise `UsageError` naming the flag, without its dashes, unless low ≤ value ≤ high."""
    if not low <= value <= high:
        raise UsageError(f"--{flag}: expected {low} to {high}, got {value}")


def check_choice(face: int | None, *, largest: bool) -> None:
    """Raise `UsageError` unless at most one of `--face` and `--largest` says which faces are taken."""
    if face is not None:
        check_range("face", face, 1, 10_000)
        if largest:
            raise UsageError("--largest: has no meaning with --face, which names one")


def check_inputs(inputs: tuple[Path, ...]) -> None:
    """Raise `UsageError` where no input is given."""
    if not inputs:
        raise UsageError("no inputs: expected picture files, or folders of them")
