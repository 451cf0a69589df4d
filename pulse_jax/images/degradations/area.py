"""Downscaling by means of areas, which "Robust unsupervised StyleGAN image restoration" takes a camera for.

Source: `avg_pool2d` of that program (Poirier-Ginter and Lalonde 2023); BRGM's first program reduces pictures so too.
"""

from dataclasses import dataclass
from numbers import Integral

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from pulse_jax.images.degradations.protocol import Degradation

__all__ = ["Area"]


@dataclass(frozen=True)
class Area(Degradation):
    """Every square of `factor` × `factor` pixels becomes its mean; any sides that the factor divides.

    Attributes:
        factor: How many pixels become one, along each axis; 1 for the identity.

    Raises:
        ValueError: `factor` is not an integer of at least 1. Methods raise it for images with fewer than three axes or
            with sides that the factor does not divide.
    """

    factor: int

    def __post_init__(self) -> None:
        if not isinstance(self.factor, Integral) or self.factor < 1:
            raise ValueError(f"factor: expected an integer of at least 1, got {self.factor!r}")

    @classmethod
    def between(cls, high: int, low: int, *, blur_at_factor_one: bool = False) -> "Area":
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

    def apply(self, image: Float[Array, "*batch high_h high_w c"]) -> Float[Array, "*batch low_h low_w c"]:
        """See `Degradation.apply`.

        Raises:
            ValueError: See the class; or `image` is not floating-point.
        """
        if not jnp.issubdtype(image.dtype, jnp.floating):
            raise ValueError(f"image: expected a floating-point array in [0, 1], got {image.dtype}")
        image = image.astype(jnp.promote_types(image.dtype, jnp.float32))
        return jnp.mean(image.reshape(self._squares(image.shape)), axis=(-4, -2))

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w c"]:
        """See `Degradation.apply_float64`."""
        image = np.asarray(image, np.float64)
        return np.mean(image.reshape(self._squares(image.shape)), axis=(-4, -2))

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.adjoint`: every pixel's share of the square that it belongs to."""
        return self.pseudo_inverse(image) / self.factor**2

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.pseudo_inverse`: squares of one colour."""
        image = np.asarray(image, np.float64)
        _check_axes(image.shape)
        return image.repeat(self.factor, axis=-3).repeat(self.factor, axis=-2)

    def _squares(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which each of the two axes is split into squares and their pixels."""
        _check_axes(shape)
        *batch, height, width, channels = shape
        if height % self.factor or width % self.factor:
            raise ValueError(f"image: expected sides that {self.factor} divides, got shape {shape}")
        return (*batch, height // self.factor, self.factor, width // self.factor, self.factor, channels)


def _check_axes(shape: tuple[int, ...]) -> None:
    if len(shape) < 3:
        raise ValueError(f"image: expected shape (..., height, width, channels), got {shape}")
