"""The options of `downscale`."""

from typing import Annotated

from tyro.conf import arg

from pulse_jax.cli.options.common import Folder, Pictures, check_inputs, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.images.degradations.language import parse_chain
from pulse_jax.system.errors import UsageError

__all__ = ["Downscale"]


@options
class Downscale(Everywhere):
    """Make low-resolution inputs from pictures, with exactly the downscaling that upsample inverts."""

    inputs: Pictures
    """Pictures (PNG, JPEG, WebP, BMP, TIFF), or folders of them; of each, the centre square is used."""
    recursive: bool = False
    """Search the sub-folders of folders too."""
    output: Folder
    """Folder for the results; made if missing."""
    size: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Side of the results, in pixels; this or --factor."""
    factor: Annotated[int | None, arg(metavar="F", help_behavior_hint="")] = None
    """How many pixels become one, along each side; this or --size."""
    degradation: Annotated[str | None, arg(metavar="CHAIN", help_behavior_hint="(default: bicubic)")] = None
    """What else becomes of the pictures: 'motion(100)|bicubic', 'bicubic|gaussian(25)' ...; the guide has the words."""
    seed: Annotated[int, arg(metavar="S")] = 0
    """With --degradation: what is random is drawn from."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is missing or out of range."""
        check_inputs(self.inputs)
        if (self.size is None) == (self.factor is None):
            raise UsageError(f"expected --size or --factor, got {'neither' if self.size is None else 'both'}")
        if self.size is not None:
            check_range("size", self.size, 2, 4096)
        if self.factor is not None:
            check_range("factor", self.factor, 1, 4096)
        check_range("seed", self.seed, 0, 2**32 - 1)
        if self.degradation is not None:
            try:
                parse_chain(self.degradation)
            except ValueError as error:
                raise UsageError(f"--degradation: {error}") from None
