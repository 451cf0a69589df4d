"""The degradation D that a search inverts, by its settings."""

from pulse_jax.images.degradations.protocol import Degradation
from pulse_jax.images.degradations.registry import find_degradation
from pulse_jax.search.config import UpsamplingConfig

__all__ = ["degradation_of", "low_sides"]


def degradation_of(config: UpsamplingConfig, high: int, low: int) -> Degradation:
    """Return the configured degradation from images of side `high` to those of side `low`.

    Raises:
        ValueError: There is none between these sides.
    """
    return _kind(config).between(high, low, blur_at_factor_one=config.blur_at_factor_one)


def low_sides(config: UpsamplingConfig, high: int) -> list[int]:
    """Return the sides, ascending, to which the configured degradation can bring images of side `high`."""
    return _kind(config).low_sides(high, blur_at_factor_one=config.blur_at_factor_one)


def _kind(config: UpsamplingConfig) -> type[Degradation]:
    return find_degradation(config.degradation)
