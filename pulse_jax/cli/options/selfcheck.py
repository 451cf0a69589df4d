"""The options of `selfcheck`."""

from pulse_jax.cli.options.everywhere import Everywhere, options

__all__ = ["Selfcheck"]


@options
class Selfcheck(Everywhere):
    """See within a minute that this device computes right, and that nothing beside a search changes its bits."""

    def check(self) -> None:
        """Nothing can be out of range."""
