"""What every degradation answers."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Float64

__all__ = ["Degradation"]


@runtime_checkable
class Degradation(Protocol):
    """A linear map D from high-resolution to low-resolution images.

    A member is a small frozen dataclass that holds its sizes, as sides or as a factor: hashable, equal to another of
    the same settings, and so a static argument of `jax.jit`. It derives from this class, defines all that has no body
    here, and has a row in `registry.DEGRADATIONS`.

    `apply` is differentiable and runs on devices; all else runs on the host in float64, which verdicts are made in.
    Leading axes are independent images. Nothing is clipped: what D gives may leave [0, 1] a little.
    """

    @classmethod
    def between(cls, high: int, low: int, *, blur_at_factor_one: bool = False) -> "Degradation":
        """Return the degradation from square images of side `high` to those of side `low`, in pixels.

        Args:
            high: Side of the high-resolution images.
            low: Side of the low-resolution images.
            blur_at_factor_one: Whether D blurs at factor 1 too, if it is one that can (`Bicubic` says how).

        Raises:
            ValueError: There is none between these sides.
        """
        ...

    @classmethod
    def low_sides(cls, high: int, *, blur_at_factor_one: bool = False) -> list[int]:
        """Return the sides, ascending, that `between` accepts as `low`."""
        ...

    def apply(self, image: Float[Array, "*batch high_h high_w c"]) -> Float[Array, "*batch low_h low_w c"]:
        """Return Dx in JAX, in float32 (float64 for a float64 image)."""
        ...

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w c"]:
        """Return Dx."""
        ...

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """Return D*y of low-resolution images y: ⟨Dx, y⟩ = ⟨x, D*y⟩ for all x."""
        ...

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """Return D⁺y of low-resolution images y: of the x for which Dx is nearest to y, the one of least norm."""
        ...

    def unseen(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """Return x − D⁺Dx: what D does not see of images x, the nearest images that D maps to zero."""
        image = np.asarray(image, np.float64)
        return image - self.pseudo_inverse(self.apply_float64(image))

    def error(self, image: np.ndarray, target: np.ndarray) -> Float64[np.ndarray, "*batch"]:
        """Return the mean squared error of Dx against `target`, for each image: what ε bounds.

        Args:
            image: High-resolution images x (..., H, W, C).
            target: Low-resolution images (..., h, w, C).
        """
        return self.compare(image, target)[1]

    def compare(
        self, image: np.ndarray, target: np.ndarray
    ) -> tuple[Float64[np.ndarray, "*batch low_h low_w c"], Float64[np.ndarray, "*batch"]]:
        """Return Dx and `error`, for those who deliver both: D is computed once. Arguments as in `error`."""
        low = self.apply_float64(image)
        difference = low - np.asarray(target, np.float64)
        return low, np.asarray(np.mean(np.square(difference), axis=(-3, -2, -1)))
