"""The options of `latents`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import Folder
from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["Latents"]


@options
class Latents(Everywhere):
    """Write the latents of a run's solutions, their w, as other programs read them."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Folder of an upsample run, or one solutions.npz of it."""
    output: Folder
    """Folder for the results, made if missing: a folder per input."""
    format: Annotated[Literal["ada", "npy", "rosinality"], arg(metavar="ada|npy|rosinality")] = "ada"
    """ada: projected_w.npz of each solution, as StyleGAN2-ADA's projector writes it; npy: w.npy, of all solutions of
    an input; rosinality: projected.pt, likewise, as rosinality's projector writes it."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Nothing can be wrong before the run is read."""
