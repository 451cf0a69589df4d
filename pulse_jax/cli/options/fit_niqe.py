"""The options of `fit-niqe`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import printable

__all__ = ["FitNiqe"]


@options
class FitNiqe(Everywhere):
    """Make a model of NIQE of good photographs of your own, for evaluate --niqe-model."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Photographs with sides of at least 192 pixels; the method's authors took 125."""
    file: Annotated[Positional[Path], arg(metavar="FILE.npz")]
    """File to write."""
    overwrite: bool = False
    """Replace an existing file."""

    def check(self) -> None:
        """Raise `UsageError` where the file has another ending, or is there."""
        if self.file.suffix != ".npz":
            raise UsageError(f"{printable(self.file)}: expected a name that ends with .npz")
        if self.file.exists() and not self.overwrite:
            raise UsageError(f"{printable(self.file)}: exists; choose another name, or --overwrite replaces it")
