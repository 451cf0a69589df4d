"""A family that `pulse_jax` does not have: settings and networks in one file, as a contributor would add one."""

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from pulse_jax.generators.architectures import ArchitectureConfig

__all__ = ["Mapping", "Synthesis", "ToyConfig"]


@dataclass(frozen=True, kw_only=True)
class ToyConfig(ArchitectureConfig):
    """A mapping network of one layer; a synthesis network whose every row of w paints one colour, row by row."""

    family: ClassVar[str] = "toy"
    scales: tuple[int, ...] = (1, 2)
    gain: float = 1.0

    @property
    def num_layers(self) -> int:
        return len(self.scales)

    @property
    def noise_shapes(self) -> tuple[tuple[int, int, int], ...]:
        return ((self.resolution, self.resolution, 1),)

    def array_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"mapping/kernel": (self.latent_dim, self.latent_dim), "synthesis/kernel": (self.latent_dim, 3)}


class Mapping(nn.Module):
    """z → z · kernel."""

    config: ToyConfig

    @nn.compact
    def __call__(self, z, label=None):
        return z @ self.param("kernel", nn.initializers.normal(1.0), (z.shape[-1], z.shape[-1]))


class Synthesis(nn.Module):
    """The colour Σ scale · w · kernel everywhere, and noise."""

    config: ToyConfig
    dtype: jnp.dtype = jnp.dtype(jnp.float32)

    @nn.compact
    def __call__(self, w, noise, offsets=None):
        kernel = self.param("kernel", nn.initializers.normal(1.0), (w.shape[-1], 3))
        colours = jnp.einsum("nld,dc,l->nc", w, kernel, jnp.asarray(self.config.scales, w.dtype))
        return self.config.gain * (colours[:, None, None] + noise[0])
