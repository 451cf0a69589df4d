"""Pseudo-inverses of what has no simple one, by conjugate gradients."""

import numpy as np
from jaxtyping import Float64

from pulse_jax.images.degradations.protocol import Degradation

__all__ = ["conjugate_gradients"]

# The residual that is left, seen from the picture, relative to the first; or so many steps.
_ENOUGH, _MOST = 1e-10, 500


def conjugate_gradients(degradation: Degradation, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
    """Return x of least norm for which Dx is nearest to y, up to ‖D*(y − Dx)‖ ≤ 1e-10 ‖D*y‖, or after 500 steps.

    From zero on the steps stay in the range of D*, so what they lead to is the solution of least norm (CGLS: Hestenes
    and Stiefel 1952; Björck 1996, section 7.4). What D hardly lets through, a blur's finest detail, comes last.

    Args:
        degradation: D, of which `apply_float64` and `adjoint` are used.
        image: Low-resolution images y (..., h, w, C).
    """
    residual = np.array(image, np.float64)
    pull = degradation.adjoint(residual)
    x, direction = np.zeros_like(pull), pull
    size = first = _squares(pull)
    for _ in range(_MOST):
        if np.all(size <= _ENOUGH**2 * first):
            break
        seen = degradation.apply_float64(direction)
        step = _ratio(size, _squares(seen))
        x += step * direction
        residual -= step * seen
        pull = degradation.adjoint(residual)
        size, before = _squares(pull), size
        direction = pull + _ratio(size, before) * direction
    return x


def _squares(image: np.ndarray) -> np.ndarray:
    """Of each image, its sum of squares, in a shape that multiplies it."""
    return np.sum(np.square(image), axis=(-3, -2, -1), keepdims=True)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
