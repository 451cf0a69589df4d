"""Programs of searches for generators and devices that are only described: no weights are drawn, and nothing runs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pulse_jax.engine.lanes import run_chunk, start_all
from pulse_jax.generators.architectures import FAMILIES
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.generators.networks.initialization import init_params
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.search import presets
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Start

__all__ = ["EMBEDDED", "described_chunk", "described_generator"]

EMBEDDED = "heads64"
# As the engine jits it, but for options of the compiler, which ask for a device that is there.
_jitted = jax.jit(run_chunk.function, static_argnums=1, donate_argnums=3)


def described_generator(name: str) -> Generator:
    """Return a generator with shapes in its arrays' places.

    Args:
        name: `heads64`, the embedded one; or a family of `FAMILIES` and a resolution, such as `stylegan2-1024`.
    """
    if name == EMBEDDED:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), load_generator())
    family, _, side = name.partition("-")
    config: Any = FAMILIES[family].load_config()
    architecture = config(resolution=int(side))

    def made() -> Generator:
        row = jnp.zeros(architecture.latent_dim)
        fit = GaussianFit(*[row] * len(GaussianFit._fields))
        params = init_params(architecture, jax.random.key(0), jax.random.key(1))
        return Generator(config=architecture, params=params, gaussian_fit=fit, w_avg=row, w_std=jnp.float32(1))

    return jax.eval_shape(made)


def described_chunk(generator: Generator, config: SearchConfig, lanes: int, device: Any = None) -> Any:
    """Return the traced program that steps all lanes once: `.lower(lowering_platforms=…)` or `.lower().compile()`.

    Inputs have a thirty-second of the generator's side, or eight pixels if that is more.

    Args:
        generator: Described generator, in the form that the device is to run.
        config: Settings of the searches.
        lanes: Searches that run at once.
        device: Described device that the program is to be compiled for; None to lower it only.
    """
    side = max(8, generator.resolution // 32)
    numbers, structure = jax.tree.map(np.float32, config.numbers), config.structure
    lane = jax.ShapeDtypeStruct((lanes,), jnp.uint32)
    targets = jax.ShapeDtypeStruct((lanes, side, side, 3), jnp.float32)
    state, _ = jax.eval_shape(
        lambda *given: start_all.function(given[0], structure, *given[1:], Start(None)), generator, targets, *[lane] * 3
    )
    arguments: Any = (generator, numbers, state, np.int32(1), np.int32(1))
    if device is not None:
        placed = jax.sharding.SingleDeviceSharding(device)
        arguments = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placed), arguments)
    generator, *others = arguments
    return _jitted.trace(generator, structure, *others)


def settings(preset: str, precision: Any) -> SearchConfig:
    """Return a preset's settings with the arithmetic of the synthesis network that is asked for."""
    config = presets.PRESETS[preset](precision=precision)
    assert isinstance(config, SearchConfig)
    return config
