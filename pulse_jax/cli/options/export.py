"""The options of `export`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["Export"]


@options
class Export(Everywhere):
    """Write a StyleGAN2 generator as another program's checkpoint, which that program's own class loads strictly."""

    generator: Annotated[Positional[Path], arg(metavar="GENERATOR")]
    """Folder of the generator."""
    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """File to write: .safetensors, or .pt or .pth for torch (which is not needed)."""
    naming: Literal["ada", "rosinality", "basicsr", "genforce"] = "ada"
    """The program: StyleGAN2-ADA's in PyTorch, rosinality/stylegan2-pytorch, BasicSR or GenForce."""
    overwrite: bool = False
    """Replace an existing file."""

    def check(self) -> None:
        """Nothing can be wrong before the generator is read."""
