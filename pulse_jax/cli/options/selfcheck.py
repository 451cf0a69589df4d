"""The options of `selfcheck`."""

from dataclasses import dataclass

__all__ = ["Selfcheck"]


@dataclass(frozen=True, kw_only=True)
class Selfcheck:
    """See within a minute that this device computes right, and that nothing beside a search changes its bits."""

    def check(self) -> None:
        """Nothing can be out of range."""
