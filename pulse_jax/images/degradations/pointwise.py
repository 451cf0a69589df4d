"""Degradations of each pixel by itself: a part that is missing, and colours."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from pulse_jax.images.degradations.same_size import SameSize
from pulse_jax.images.degradations.separable import check_axes

__all__ = ["Gray", "Mask"]

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Mask(SameSize):
    """Pictures without a box, which becomes black: inpainting.

    Attributes:
        left, top, right, bottom: The box, in parts of the picture's sides, in [0, 1]; rounded to whole pixels.

    Raises:
        ValueError: They are no box within the picture.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            box = (self.left, self.top, self.right, self.bottom)
            raise ValueError(f"mask: expected left < right and top < bottom in [0, 1], got {box}")

    def apply(self, image: Float[Array, "*batch high_h high_w c"]) -> Float[Array, "*batch low_h low_w c"]:
        """See `Degradation.apply`."""
        dtype = jnp.promote_types(image.dtype, jnp.float32)
        return image.astype(dtype) * jnp.asarray(self.known(image.shape), dtype)

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w c"]:
        """See `Degradation.apply_float64`."""
        image = np.asarray(image, np.float64)
        return image * self.known(image.shape)

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.adjoint`: it is its own, and its own pseudo-inverse."""
        return self.apply_float64(image)

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.pseudo_inverse`."""
        return self.apply_float64(image)

    def as_input(self, image: np.ndarray) -> np.ndarray:
        """Return what is solved of a picture that a user brings: without what the box holds."""
        return image * self.known(image.shape).astype(image.dtype)

    def known(self, shape: tuple[int, ...]) -> Float64[np.ndarray, "h w 1"]:
        """Return 1 where a picture of this shape (…, h, w, c) is known, and 0 in the box."""
        check_axes(shape)
        height, width = shape[-3:-1]
        known = np.ones((height, width, 1))
        top, bottom, left, right = self.top * height, self.bottom * height, self.left * width, self.right * width
        known[round(top) : round(bottom), round(left) : round(right)] = 0
        return known


@dataclass(frozen=True)
class Gray(SameSize):
    """Pictures without their colours: luma (ITU-R BT.601) in all three channels."""

    def apply(self, image: Float[Array, "*batch high_h high_w 3"]) -> Float[Array, "*batch low_h low_w 3"]:
        """See `Degradation.apply`."""
        dtype = jnp.promote_types(image.dtype, jnp.float32)
        luma = jnp.sum(image.astype(dtype) * jnp.asarray(_LUMA, dtype), axis=-1, keepdims=True)
        return jnp.broadcast_to(luma, image.shape)

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w 3"]:
        """See `Degradation.apply_float64`."""
        luma = np.sum(np.asarray(image, np.float64) * _LUMA, axis=-1, keepdims=True)
        return np.broadcast_to(luma, image.shape).copy()

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w 3"]:
        """See `Degradation.adjoint`: the sum of the channels, weighted."""
        return np.sum(np.asarray(image, np.float64), axis=-1, keepdims=True) * np.asarray(_LUMA)

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w 3"]:
        """See `Degradation.pseudo_inverse`: of a matrix of rank one."""
        return self.adjoint(image) / (3 * np.sum(np.square(_LUMA)))

    def as_input(self, image: np.ndarray) -> np.ndarray:
        """Return what is solved of a picture that a user brings: its luma, if it has colours."""
        return self.apply_float64(image).astype(image.dtype) if np.ptp(image, axis=-1).any() else image
