"""Degradations that are one matrix along each of the two axes."""

from abc import abstractmethod
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from pulse_jax.images.degradations.protocol import Degradation

__all__ = ["Separable", "check_axes"]


class Separable(Degradation):
    """A degradation whose matrix along an axis of a side is `_matrix(side)`, (low, high) in float64."""

    @abstractmethod
    def _matrix(self, side: int) -> Float64[np.ndarray, "low high"]:
        """Return the matrix along an axis of this high side.

        Raises:
            ValueError: There is none.
        """

    @abstractmethod
    def _high(self, low: int) -> int:
        """Return the high side of an axis by its low one."""

    def apply(self, image: Float[Array, "*batch high_h high_w c"]) -> Float[Array, "*batch low_h low_w c"]:
        """See `Degradation.apply`."""
        check_axes(image.shape)
        if not jnp.issubdtype(image.dtype, jnp.floating):
            raise ValueError(f"image: expected a floating-point array in [0, 1], got {image.dtype}")
        dtype = jnp.promote_types(image.dtype, jnp.float32)
        rows, columns = (jnp.asarray(self._matrix(side), dtype) for side in image.shape[-3:-1])
        precision = jax.lax.Precision.HIGHEST
        image = jnp.einsum("ph,...hwc->...pwc", rows, image.astype(dtype), precision=precision)
        return jnp.einsum("qw,...pwc->...pqc", columns, image, precision=precision)

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w c"]:
        """See `Degradation.apply_float64`."""
        image = _as_float64(image)
        rows, columns = (self._matrix(side) for side in image.shape[-3:-1])
        return _both(rows, columns, image)

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.adjoint`."""
        image = _as_float64(image)
        rows, columns = (self._matrix(self._high(side)).T for side in image.shape[-3:-1])
        return _both(rows, columns, image)

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.pseudo_inverse`: a Kronecker product's is that of its two factors'."""
        image = _as_float64(image)
        rows, columns = (_pseudo_inverse(self, self._high(side)) for side in image.shape[-3:-1])
        return _both(rows, columns, image)


@lru_cache(maxsize=16)
def _pseudo_inverse(degradation: Separable, side: int) -> Float64[np.ndarray, "high low"]:
    return np.linalg.pinv(degradation._matrix(side))


def check_axes(shape: tuple[int, ...]) -> None:
    """Raise `ValueError` for what are no images."""
    if len(shape) < 3:
        raise ValueError(f"image: expected shape (..., height, width, channels), got {shape}")


def _as_float64(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image, np.float64)
    check_axes(image.shape)
    return image


def _both(rows: np.ndarray, columns: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Images (..., h, w, C) after products along both axes with (p, h) and (q, w)."""
    lines = rows @ image.reshape(*image.shape[:-2], image.shape[-2] * image.shape[-1])
    return columns @ lines.reshape(*lines.shape[:-1], *image.shape[-2:])
