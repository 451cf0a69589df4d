"""Degradations by name."""

from pulse_jax.images.degradations.area import Area
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.lanczos import Lanczos
from pulse_jax.images.degradations.protocol import Degradation

__all__ = ["DEGRADATIONS", "find_degradation"]

DEGRADATIONS: dict[str, type[Degradation]] = {"bicubic": Bicubic, "area": Area, "lanczos": Lanczos}
"""Every downscaling that a search can invert, `between` gives the one for a pair of sides; `chain` has more."""


def find_degradation(name: str) -> type[Degradation]:
    """Return one of `DEGRADATIONS` by name.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in DEGRADATIONS:
        raise ValueError(f"degradation: expected one of {', '.join(DEGRADATIONS)}, got {name!r:.80}")
    return DEGRADATIONS[name]
