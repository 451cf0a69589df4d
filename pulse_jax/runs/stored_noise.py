"""The noise inputs of solutions in a `solutions.npz`, whether it holds them or not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.runs.solution_files import StoredSolutions
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.space import merge_noise, start_noise
from pulse_jax.system.keys import wrapped_key
from pulse_jax.system.programs import Program

__all__ = ["noise_of"]


def noise_of(stored: StoredSolutions, generator: Generator) -> tuple[np.ndarray, ...]:
    """Return the noise inputs (k, r, r, 1) of stored solutions; drawn again from their keys if the file has none.

    Args:
        stored: Solutions whose noise no search has varied, if it is not stored.
        generator: Generator that they are of.
    """
    if stored.noise:
        return stored.noise
    drawn = [_fixed_noise(generator, stored.config, jnp.asarray(key)) for key in stored.keys]
    return tuple(np.stack(layer) for layer in zip(*drawn, strict=True))


@functools.partial(Program, static_argnames="config")
def _fixed_noise(generator: Generator, config: SearchConfig, key_data: jax.Array) -> tuple[jax.Array, ...]:
    return merge_noise(*start_noise(generator, config, wrapped_key(key_data)))
