"""The options of `evaluate`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from pulse_jax.cli.options.common import (
    MAX_LANES,
    MAX_RESTARTS,
    File,
    Folder,
    GeneratorFolder,
    Label,
    check_range,
)
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.images.degradations.language import parse_chain
from pulse_jax.search.presets import PRESETS
from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import meant, printable

__all__ = ["Evaluate"]

_PRESETS = ("fast", "pulse", "bicubic")
_CLEAN = ("bicubic",)


@options
class Evaluate(Everywhere):
    """Measure presets on pictures whose truth is known: tables, tests, figures and a page."""

    data: Annotated[tuple[Path, ...], arg(metavar="FILE_OR_FOLDER [...]", help_behavior_hint="(required)")] = ()
    """Pictures of high resolution, aligned as the generator's are: their centre squares are the truths."""
    output: Folder
    """Folder for the results, made if missing: report.html, results.json, .csv, .md and .tex, and the runs."""
    recursive: bool = False
    """Search the sub-folders of folders too."""
    count: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: all)")] = None
    """Take the first N pictures only."""
    generator: GeneratorFolder = None
    """Folder of the generator to search."""
    label: Label = None
    """The class to draw, from 0; info says how many there are."""
    presets: Annotated[str, arg(metavar="NAME,...")] = ",".join(_PRESETS)
    """Searches and enlargements to be compared, as in upsample; the first is what the others are tested against."""
    factors: Annotated[
        str, arg(metavar="F,...", help_behavior_hint="(default: to 8x8 of 64x64, to 32x32 of 1024x1024)")
    ] = ""
    """How many pixels of a picture become one of an input, along each side."""
    degradations: Annotated[tuple[str, ...], arg(metavar="CHAIN [...]")] = _CLEAN
    """What becomes of pictures, each at every factor: bicubic, 'motion(100)|bicubic', 'bicubic|gaussian(25)',
    'bicubic|salt_pepper(0.05)', 'bicubic|jpeg(50)' ...; the guide has the language."""
    known: bool = False
    """Tell searches the linear stages of what became of the pictures, instead of letting them assume bicubic."""
    restarts: Annotated[int, arg(metavar="K")] = 1
    """Searches per input; numbers are of the best, and how much all differ where there are several."""
    seed: Annotated[int, arg(metavar="S")] = 0
    """What starts and disturbances are drawn from."""
    steps: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: each preset's own)")] = None
    """Optimiser steps per search, at most; presets of fewer keep theirs."""
    eps: Annotated[float, arg(metavar="E")] = 1e-3
    """Largest mean squared error at which a solution counts as feasible, of every preset."""
    lanes: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: automatic)")] = None
    """Searches that run at once on each device."""
    attributes: File = None
    """CSV of pictures' attributes, a column with their names first: all numbers by groups too, and whether skin comes
    back lighter."""
    perceptual: File = None
    """Network of LPIPS that convert --perceptual wrote: for the measure, and for presets that compare by it."""
    inception: File = None
    """pytorch-fid's pt_inception-2015-12-05-6726825d.pth, for FID, KID, precision and recall."""
    niqe_model: File = None
    """Model of NIQE: BasicSR's niqe_pris_params.npz, or one that fit-niqe made of your own photographs."""
    overwrite: bool = False
    """Replace the results of an earlier evaluation in the output folder; other files are never touched."""

    @property
    def preset_names(self) -> tuple[str, ...]:
        """The presets, each once."""
        return tuple(dict.fromkeys(_listed(self.presets)))

    @property
    def factor_numbers(self) -> tuple[int, ...]:
        """The factors, each once; none where the generator says them.

        Raises:
            UsageError: One is no whole number.
        """
        try:
            return tuple(dict.fromkeys(map(int, _listed(self.factors))))
        except ValueError:
            raise UsageError(f"--factors: expected whole numbers, 8,16, got {printable(self.factors)}") from None

    def check(self) -> None:
        """Raise `UsageError` for what is missing, out of range or no chain; the rest is checked when used."""
        if not self.preset_names:
            raise UsageError("--presets: expected one at least")
        if not self.data:
            raise UsageError("--data: expected picture files, or folders of them")
        for name in self.preset_names:
            if name not in PRESETS:
                listed = ", ".join(PRESETS)
                raise UsageError(f"--presets: expected some of {listed}, got {printable(name)}{meant(name, PRESETS)}")
        if not self.degradations:
            raise UsageError("--degradations: expected one at least")
        for text in self.degradations:
            try:
                parse_chain(text)
            except ValueError as error:
                raise UsageError(f"--degradations: {error}") from None
        for factor in self.factor_numbers:
            check_range("factors", factor, 1, 4096)
        if self.count is not None:
            check_range("count", self.count, 1, 10**9)
        check_range("restarts", self.restarts, 1, MAX_RESTARTS)
        check_range("seed", self.seed, 0, 2**32 - 1)
        if self.lanes is not None:
            check_range("lanes", self.lanes, 1, MAX_LANES)


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
