"""The options of `serve`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from pulse_jax.cli.options.common import Folder, GeneratorFolder, Label, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["Serve"]


@options
class Serve(Everywhere):
    """Serve a page on which pictures are uploaded, solved and looked at; to this machine alone, unless told."""

    output: Folder = Path("pulse-serve")
    """Folder for uploads and results, one for each request in it; a server goes on with what an earlier one left."""
    generator: GeneratorFolder = None
    """Folder of the generator to search."""
    label: Label = None
    """The class to draw, from 0; info says how many there are."""
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets in everybody who can reach this machine, without a password."""
    port: Annotated[int, arg(metavar="N")] = 7860
    """Port to listen at; 0 for any that is free."""

    def check(self) -> None:
        """Raise `UsageError` for what is out of range."""
        check_range("port", self.port, 0, 65535)
