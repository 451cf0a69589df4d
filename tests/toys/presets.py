"""Toy presets: the toy optimiser, and the toy method, each with the toy loss term and the toy degradation."""

from pulse_jax.search.config import SearchConfig
from pulse_jax.search.presets import preset

_TOYS = {"loss": "1*L2+0.5*FOURTH", "degradation": "blocks", "space": "z", "start": "gaussian", "stop": "never"}


@preset
def toy(**overrides) -> SearchConfig:
    """Steps by sign."""
    settings = {"optimizer": "riemannian_sign", "learning_rate": 0.05, "schedule": "fixed"}
    return SearchConfig(**(_TOYS | settings | overrides))


@preset
def toy_walk(**overrides) -> SearchConfig:
    """A walk by chance."""
    return SearchConfig(**(_TOYS | {"method": "random_walk", "learning_rate": 0.3} | overrides))
