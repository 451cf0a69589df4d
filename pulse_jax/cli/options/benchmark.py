"""The options of `benchmark`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from pulse_jax.cli.options.common import MAX_LANES, Family, Folder, GeneratorFolder, Search, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.generators.architectures import FAMILIES, Precision
from pulse_jax.system.errors import UsageError

__all__ = ["Benchmark"]


@options
class Benchmark(Everywhere):
    """Measure how fast this machine searches, with several lane counts and precisions, and against plainer ways."""

    output: Folder = Path("pulse-benchmark")
    """Folder for benchmark.json and benchmark.png; those of an earlier benchmark are replaced."""
    generator: GeneratorFolder = None
    """Folder of the generator to search."""
    architecture: Annotated[Family | None, arg(metavar="|".join(FAMILIES), help_behavior_hint="")] = None
    """Instead of --generator: this family with random weights, which are as fast as trained ones."""
    resolution: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 1024)")] = None
    """With --architecture or --plan: side of its pictures."""
    channels: Annotated[
        tuple[int, ...], arg(metavar="N [N ...]", help_behavior_hint="(default: the family's own)")
    ] = ()
    """With --architecture or --plan: width of each block, from 4x4 up."""
    lanes: Annotated[
        tuple[int, ...],
        arg(metavar="N [N ...]", help_behavior_hint="(default: 1 4 8 16 on a CPU, elsewhere 1 4 16 64 128)"),
    ] = ()
    """Searches at once, each count to be measured."""
    precision: Annotated[
        tuple[Precision, ...],
        arg(metavar="float32|tf32|bfloat16 [...]", help_behavior_hint="(default: float32 on a CPU, elsewhere all)"),
    ] = ()
    """Arithmetic of the generator's convolutions, each to be measured."""
    factor: Annotated[
        int | None, arg(metavar="F", help_behavior_hint="(default: an eighth of the pictures' side, at most 32)")
    ] = None
    """How many pixels of a picture become one of the inputs, along each side."""
    steps: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the preset's)")] = None
    """Optimiser steps per search, at most."""
    preset: Annotated[Search, arg(metavar="NAME")] = "pulse"
    """The search, as in upsample."""
    plan: Annotated[Literal["gpu", "tpu"] | None, arg(metavar="gpu|tpu", help_behavior_hint="")] = None
    """Instead of one generator: all that a lent card is for in a few minutes, both families at 1024x1024 and the
    embedded generator, numbers, speeds beside their bound, the largest kernels; plan.json and plan.md."""
    minutes: Annotated[float, arg(metavar="M", help_behavior_hint="(default: 10)")] = 10.0
    """With --plan: minutes after which nothing new is begun."""
    original: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None
    """With --plan, in a checkout of this repository: checkout of the original program, timed on the same device; torch
    must be installed."""
    overwrite: bool = False
    """Replace the results of any other run in the output folder too; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is out of range or has no meaning together; the rest is checked when used."""
        if self.architecture is not None and self.generator is not None:
            raise UsageError("--architecture: has no meaning with --generator, leave one of the two out")
        if self.architecture is None and self.plan is None:
            for flag in ("resolution", "channels"):
                if getattr(self, flag):
                    raise UsageError(f"--{flag}: has a meaning with --architecture or --plan only")
        if self.plan is not None:
            for flag in ("generator", "architecture", "steps", "factor"):
                if getattr(self, flag) is not None:
                    raise UsageError(f"--{flag}: has no meaning with --plan, which says itself what is measured")
        elif self.original is not None:
            raise UsageError("--original: has a meaning with --plan only")
        for count in self.lanes:
            check_range("lanes", count, 1, MAX_LANES)
