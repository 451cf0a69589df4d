"""The degradation D that a search inverts, by its settings: one of the registry, or a chain in the language."""

import numpy as np

from pulse_jax.images.degradations.chain import Chain, chain_between, low_sides_of
from pulse_jax.images.degradations.protocol import Degradation
from pulse_jax.images.degradations.registry import DEGRADATIONS
from pulse_jax.search.config import SearchConfig, UpsamplingConfig

__all__ = ["as_input", "degradation_of", "low_sides", "starts_near"]


def degradation_of(config: UpsamplingConfig, high: int, low: int) -> Degradation:
    """Return the configured degradation from images of side `high` to those of side `low`.

    Raises:
        ValueError: There is none between these sides.
    """
    kind = DEGRADATIONS.get(config.degradation)
    if kind is None:
        return chain_between(config.degradation, high, low)
    return kind.between(high, low, blur_at_factor_one=config.blur_at_factor_one)


def low_sides(config: UpsamplingConfig, high: int) -> list[int]:
    """Return the sides, ascending, to which the configured degradation can bring images of side `high`."""
    kind = DEGRADATIONS.get(config.degradation)
    if kind is None:
        return low_sides_of(config.degradation, high)
    return kind.low_sides(high, blur_at_factor_one=config.blur_at_factor_one)


def as_input(config: UpsamplingConfig, high: int, low_res: np.ndarray) -> np.ndarray:
    """Return what is solved of a picture (h, h, 3) that a user brings: without what D leaves out, pixel by pixel.

    Args:
        config: Settings of the search.
        high: Side of its solutions.
        low_res: The picture, of a side that fits.
    """
    degradation = degradation_of(config, high, len(low_res))
    return degradation.as_input(low_res) if isinstance(degradation, Chain) else low_res


def starts_near(config: SearchConfig) -> bool:
    """Return whether searches start where a surrogate leads, which knows plain downscaling alone, if there is one."""
    return config.start == "surrogate" and config.degradation in DEGRADATIONS
