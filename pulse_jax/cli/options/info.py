"""The options of `info`."""

from pulse_jax.cli.options.common import GeneratorFolder
from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["Info"]


@options
class Info(Everywhere):
    """Say what a generator is and which inputs it takes, and which versions and devices are in use."""

    generator: GeneratorFolder = None
    """Folder of the generator."""

    def check(self) -> None:
        """Nothing can be out of range."""
