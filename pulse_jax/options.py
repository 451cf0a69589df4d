"""The command line's options: one frozen dataclass per command, from which tyro makes flags and help (no JAX)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

__all__ = ["Command", "Convert", "Demo", "Downscale", "Info", "RunError", "Sample", "Upsample", "UsageError"]

_MAX_RESTARTS = 10_000
_MAX_LANES = 65_536
_MAX_COUNT = 1_000
_COUNT, _SEED, _TRUNCATION = 16, 0, 1.0

_Pictures = Annotated[Positional[tuple[Path, ...]], arg(metavar="FILES_OR_FOLDERS", help_behavior_hint="(required)")]
_Checkpoints = Annotated[
    Positional[tuple[Path, ...]],
    arg(metavar="CHECKPOINT [CHECKPOINT ...] OUTPUT", help_behavior_hint="(required)"),
]
_Folder = Annotated[Path, arg(metavar="DIR")]
_Generator = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: the embedded one)")]
_File = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]


class UsageError(ValueError):
    """The command was called in a way that cannot work; one line for the user, nothing was written, exit code 2."""


class RunError(ValueError):
    """Something that the command needs is missing, damaged or full; one line for the user, exit code 1."""


def _check_range(flag: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"--{flag}: expected {low} to {high}, got {value}")


def _check_inputs(inputs: tuple[Path, ...]) -> None:
    if not inputs:
        raise UsageError("no inputs: expected picture files, or folders of them")


@dataclass(frozen=True, kw_only=True)
class Upsample:
    """Find high-resolution pictures that downscale to the given low-resolution ones."""

    inputs: _Pictures
    """Low-resolution pictures (PNG, JPEG, WebP, BMP, TIFF), or folders of them."""
    output: _Folder
    """Folder for the results, made if missing: a folder per input, a contact sheet and summary.json."""
    generator: _Generator = None
    """Folder of the generator to search."""
    restarts: Annotated[int, arg(metavar="K")] = 4
    """Searches per input, each from another random start: as many solutions."""
    seed: Annotated[int, arg(metavar="S")] = 0
    """What the random starts are drawn from."""
    preset: Literal["pulse", "pulse_2020"] = "pulse"
    """The search: the paper's method, or the authors' program of 2020."""
    steps: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the preset's)")] = None
    """Optimiser steps per search, at most."""
    eps: Annotated[float | None, arg(metavar="E", help_behavior_hint="(default: the preset's)")] = None
    """Largest mean squared error, of [0, 1] pictures, at which a solution counts as feasible."""
    lanes: Annotated[int, arg(metavar="N")] = 8
    """Searches that run at once."""
    fit: Annotated[
        Literal["crop", "pad", "resize"] | None,
        arg(metavar="crop|pad|resize", help_behavior_hint="(default: such an input is refused)"),
    ] = None
    """What to do with an input whose size does not fit the generator."""
    init: _File = None
    """Start from the solutions in this solutions.npz: restart by restart, as many at most."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the generator's convolutions."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raises `UsageError` for what is out of range; steps and eps are the search's own to check."""
        _check_inputs(self.inputs)
        _check_range("restarts", self.restarts, 1, _MAX_RESTARTS)
        _check_range("seed", self.seed, 0, 2**32 - 1)
        _check_range("lanes", self.lanes, 1, _MAX_LANES)


@dataclass(frozen=True, kw_only=True)
class Downscale:
    """Make low-resolution inputs from pictures, with exactly the downscaling that upsample inverts."""

    inputs: _Pictures
    """Pictures (PNG, JPEG, WebP, BMP, TIFF), or folders of them; of each, the centre square is used."""
    output: _Folder
    """Folder for the results; made if missing."""
    size: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Side of the results, in pixels; this or --factor."""
    factor: Annotated[int | None, arg(metavar="F", help_behavior_hint="")] = None
    """How many pixels become one, along each side; this or --size."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raises `UsageError` for what is missing or out of range."""
        _check_inputs(self.inputs)
        if (self.size is None) == (self.factor is None):
            raise UsageError(f"expected --size or --factor, got {'neither' if self.size is None else 'both'}")
        if self.size is not None:
            _check_range("size", self.size, 2, 4096)
        if self.factor is not None:
            _check_range("factor", self.factor, 1, 4096)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Solve eight inputs that come with the program, verify what was written, and say what to look at."""

    output: _Folder = Path("pulse-demo")
    """Folder for the results; those of an earlier demo are replaced."""
    restarts: Annotated[int, arg(metavar="K")] = 4
    """Solutions per input."""
    overwrite: bool = False
    """Replace the results of any other run in the output folder too; other files are never touched."""

    def check(self) -> None:
        """Raises `UsageError` for what is out of range."""
        _check_range("restarts", self.restarts, 1, _MAX_RESTARTS)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Draw random pictures from a generator, or draw the solutions of an earlier run again."""

    output: _Folder
    """Folder for the results; made if missing."""
    generator: _Generator = None
    """Folder of the generator."""
    count: Annotated[int | None, arg(metavar="N", help_behavior_hint=f"(default: {_COUNT})")] = None
    """How many pictures."""
    seed: Annotated[int | None, arg(metavar="S", help_behavior_hint=f"(default: {_SEED})")] = None
    """What they are drawn from; a picture depends on the seed and its number alone."""
    truncation: Annotated[float | None, arg(metavar="T", help_behavior_hint=f"(default: {_TRUNCATION})")] = None
    """Below 1, pictures are drawn towards the average: more regular, less varied."""
    latents: _File = None
    """Draw the solutions in this solutions.npz instead, all of them as they are."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    @property
    def draw(self) -> tuple[int, int, float]:
        """Count, seed and truncation: as given, or the defaults."""
        return (
            _COUNT if self.count is None else self.count,
            _SEED if self.seed is None else self.seed,
            _TRUNCATION if self.truncation is None else self.truncation,
        )

    def check(self) -> None:
        """Raises `UsageError` for what is out of range or has no meaning together."""
        if self.latents is not None:
            for flag in ("count", "seed", "truncation"):
                if getattr(self, flag) is not None:
                    raise UsageError(f"--{flag}: has no meaning with --latents, leave one of the two out")
        count, seed, truncation = self.draw
        _check_range("count", count, 1, _MAX_COUNT)
        _check_range("seed", seed, 0, 2**32 - 1)
        if not -2 <= truncation <= 2:
            raise UsageError(f"--truncation: expected -2 to 2, got {truncation}")


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what a generator is and which inputs it takes, and which versions and devices are in use."""

    generator: _Generator = None
    """Folder of the generator."""

    def check(self) -> None:
        """Nothing can be out of range."""


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Make a generator folder from a StyleGAN checkpoint of another program; nothing in the file is run."""

    paths: _Checkpoints
    """The checkpoint, or all files of one (PULSE: synthesis.pt, mapping.pt, gaussian_fit.pt), and the folder to make;
    with --inspect checkpoints only."""
    inspect: bool = False
    """Say what the checkpoint is and list its arrays; write nothing."""
    clamp: Annotated[float | None, arg(metavar="C", help_behavior_hint="(default: what the file says)")] = None
    """Bound of StyleGAN2's activations, where the file does not say it; 0 for none."""
    samples: Annotated[int, arg(metavar="N")] = 1_000_000
    """Draws for the Gaussian fit of the mapping network, where no file holds one."""
    overwrite: bool = False
    """Replace an existing generator folder."""

    def check(self) -> None:
        """Raises `UsageError` for what is missing or out of range."""
        least = 1 if self.inspect else 2
        if len(self.paths) < least:
            raise UsageError(f"expected {'a checkpoint' if self.inspect else 'a checkpoint and the folder to make'}")
        if self.clamp is not None and not 0 <= self.clamp < 1e30:
            raise UsageError(f"--clamp: expected a positive number, or 0 for none, got {self.clamp}")
        _check_range("samples", self.samples, 2, 100_000_000)


Command = Convert | Upsample | Downscale | Demo | Sample | Info
