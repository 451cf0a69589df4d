"""Downscaling by Lanczos' kernel of three lobes, antialiased, as Pillow and most image programs do it."""

from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

import numpy as np
from jaxtyping import Float64

from pulse_jax.images.degradations.separable import Separable

__all__ = ["Lanczos"]

_LOBES = 3


@dataclass(frozen=True)
class Lanczos(Separable):
    """Downscale by an integer factor: sinc(t) sinc(t / 3) stretched by it, weights at borders renormalised.

    Source: Duchon 1979, "Lanczos filtering in one and two dimensions"; borders and sampling as Pillow's `LANCZOS`.

    Attributes:
        factor: How many pixels become one, along each axis; 1 for the identity.

    Raises:
        ValueError: `factor` is not an integer of at least 1. Methods raise it for sides that it does not divide.
    """

    factor: int

    def __post_init__(self) -> None:
        if not isinstance(self.factor, Integral) or self.factor < 1:
            raise ValueError(f"factor: expected an integer of at least 1, got {self.factor!r}")

    @classmethod
    def between(cls, high: int, low: int, *, blur_at_factor_one: bool = False) -> "Lanczos":
        """See `Degradation.between`; it has no blur."""
        del blur_at_factor_one
        if low < 1 or high % low:
            raise ValueError(f"low: expected a whole part of the high side {high}, got {low}")
        return cls(high // low)

    @classmethod
    def low_sides(cls, high: int, *, blur_at_factor_one: bool = False) -> list[int]:
        """See `Degradation.low_sides`."""
        del blur_at_factor_one
        return [low for low in range(1, high + 1) if high % low == 0]

    def _matrix(self, side: int) -> Float64[np.ndarray, "low high"]:
        return _lanczos_matrix(side, self.factor)

    def _high(self, low: int) -> int:
        return low * self.factor


@lru_cache(maxsize=64)
def _lanczos_matrix(side: int, factor: int) -> Float64[np.ndarray, "low high"]:
    if side % factor:
        raise ValueError(f"image: expected sides that {factor} divides, got {side}")
    centres = (np.arange(side // factor) + 0.5) * factor
    t = (np.arange(side) + 0.5 - centres[:, None]) / factor
    weights = np.where(np.abs(t) < _LOBES, np.sinc(t) * np.sinc(t / _LOBES), 0.0)
    matrix = weights / weights.sum(axis=1, keepdims=True)
    matrix.setflags(write=False)
    return matrix
