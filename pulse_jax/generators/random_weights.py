"""Generators of random weights, of any family and size, which run as fast as trained ones."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from pulse_jax.generators.architectures import ArchitectureConfig
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.initialization import init_params
from pulse_jax.system.keys import random_key

__all__ = ["random_generator"]

# Draws for the fit of random weights, of which nobody needs a good one.
_DRAWS = 16_384
# The standard deviation of a picture of random weights; noise between black and white has 0.5.
_CONTRAST = 0.2


def random_generator(architecture: ArchitectureConfig) -> Generator:
    """Return a generator of random weights with a Gaussian fit of its own, always the same for one architecture.

    The layers called `torgb`, which make StyleGANs' colours, are scaled so that pictures lie about grey within [0, 1].

    Args:
        architecture: Architecture without labels, of a family in `FAMILIES`.
    """
    params = init_params(architecture, random_key(0), random_key(1))
    generator = Generator(config=architecture, params=params)
    scale = _CONTRAST / jnp.std(generator.sample(random_key(2), 8))

    def fade(path: Any, leaf: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(path)
        return leaf * scale if "torgb" in name and "style" not in name else leaf

    faded = jax.tree_util.tree_map_with_path(fade, params)
    return dataclasses.replace(generator, params=faded).fitted(samples=_DRAWS)
