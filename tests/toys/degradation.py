"""A toy degradation: means of square blocks."""

from dataclasses import dataclass

import numpy as np

from pulse_jax.images.degradations.protocol import Degradation


@dataclass(frozen=True)
class Blocks(Degradation):
    """Every block of `factor` × `factor` pixels becomes its mean."""

    factor: int

    @classmethod
    def between(cls, high, low, *, blur_at_factor_one=False):
        del blur_at_factor_one
        if low < 1 or high % low:
            raise ValueError(f"low: expected a whole part of the high side {high}, got {low}")
        return cls(high // low)

    @classmethod
    def low_sides(cls, high, *, blur_at_factor_one=False):
        del blur_at_factor_one
        return [low for low in range(1, high + 1) if high % low == 0]

    def apply(self, image):
        *batch, height, width, channels = image.shape
        small = (height // self.factor, self.factor, width // self.factor, self.factor)
        return image.reshape(*batch, *small, channels).mean(axis=(-4, -2))

    def apply_float64(self, image):
        return self.apply(np.asarray(image, np.float64))

    def pseudo_inverse(self, image):
        return np.asarray(image, np.float64).repeat(self.factor, axis=-3).repeat(self.factor, axis=-2)

    def adjoint(self, image):
        return self.pseudo_inverse(image) / self.factor**2
