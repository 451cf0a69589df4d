"""Pictures that downscale to an input exactly: what D sees of a picture is replaced by what it saw of the input.

x + D⁺(y − Dx) is the picture nearest to x that downscales to y: iterative back-projection (Irani and Peleg 1991) in one
step, the range–null-space split of later work (Wang et al. 2022, DDNM, section 3.1).
"""

import numpy as np
from jaxtyping import UInt8

from pulse_jax.images.degradations.protocol import Degradation
from pulse_jax.images.rounding import to_uint8

__all__ = ["back_projected"]

# Clipping to [0, 1] undoes a part, which is made up for again and again; far below what rounding to 8 bits leaves.
_MOST, _ENOUGH = 100, 1e-8


def back_projected(
    picture: UInt8[np.ndarray, "h w 3"], target: np.ndarray, degradation: Degradation
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the picture, moved as little as needed for Dx to be the target, clipped and rounded to 8 bits.

    Projections onto {x : Dx = y} and onto [0, 1] take turns until both hold (von Neumann); where no picture in [0, 1]
    downscales to the target they end near the ones that come closest.

    Args:
        picture: Picture x in 8 bits.
        target: Low-resolution image y (h', w', 3), in [0, 1].
        degradation: D.
    """
    x = picture / 255
    target = np.asarray(target, np.float64)
    for _ in range(_MOST):
        x = np.clip(x + degradation.pseudo_inverse(target - degradation.apply_float64(x)), 0.0, 1.0)
        if np.all(degradation.error(x, target) <= _ENOUGH):
            break
    return to_uint8(x)
