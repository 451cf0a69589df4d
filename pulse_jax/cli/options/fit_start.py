"""The options of `fit-start`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import check_range
from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["FitStart"]


@options
class FitStart(Everywhere):
    """Fit a small network that stands for a generator behind D, so that searches with start "surrogate" need few steps.

    It serves inputs of all sizes, best those that it was fitted to and smaller ones. It costs as many evaluations, an
    image and its gradient each, as --samples and --directions say.
    """

    generator: Annotated[Positional[Path], arg(metavar="GENERATOR")]
    """Folder of the generator; it gets the network and a report."""
    factor: Annotated[
        int | None, arg(metavar="F", help_behavior_hint="(default: to 8x8 of 64x64, to 32x32 of 1024x1024)")
    ] = None
    """Factor by which D downscales the generator's pictures to the inputs that it is fitted to."""
    samples: Annotated[int, arg(metavar="N")] = 50_000
    """Evaluations that the network learns from."""
    directions: Annotated[int, arg(metavar="N")] = 8_192
    """Evaluations that find the directions of w which D sees."""
    coordinates: Annotated[int, arg(metavar="N")] = 192
    """How many of these directions the network is given."""
    hidden: Annotated[int, arg(metavar="N")] = 448
    """Width of the network's hidden layers."""
    steps: Annotated[int, arg(metavar="N")] = 8_000
    """Learning steps, which need no evaluation."""
    seed: Annotated[int, arg(metavar="S")] = 0
    """What everything is drawn from."""
    overwrite: bool = False
    """Replace such a network that the folder holds."""

    def check(self) -> None:
        """Raise `UsageError` for what is out of range."""
        if self.factor is not None:
            check_range("factor", self.factor, 1, 65_536)
        check_range("samples", self.samples, 128, 100_000_000)
        check_range("directions", self.directions, 1, 100_000_000)
        check_range("coordinates", self.coordinates, 1, 65_536)
        check_range("hidden", self.hidden, 1, 65_536)
        check_range("steps", self.steps, 4, 100_000_000)
        check_range("seed", self.seed, 0, 2**32 - 1)
