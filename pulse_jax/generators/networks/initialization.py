"""The first parameters of a family's networks: random ones, or by `jax.eval_shape` no more than their shapes."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from pulse_jax.generators.architectures import FAMILIES, ArchitectureConfig

__all__ = ["init_params"]


def init_params(config: ArchitectureConfig, mapping_key: PRNGKeyArray, synthesis_key: PRNGKeyArray) -> dict[str, Any]:
    """Return random parameters of both networks, `mapping` and `synthesis`, as nested dicts of float32 arrays.

    Args:
        config: Architecture, of a family in `FAMILIES`.
        mapping_key: Random key of the mapping network.
        synthesis_key: Random key of the synthesis network.
    """
    networks = FAMILIES[config.family].load_networks()
    z, label = jnp.zeros((1, config.latent_dim)), jnp.zeros((config.label_dim,))
    w = jnp.zeros((1, config.num_layers, config.latent_dim))
    noise = tuple(jnp.zeros((1, *shape)) for shape in config.noise_shapes)
    # In jit, so that the picture, which nobody asks for, is not computed.
    mapping = jax.jit(networks.Mapping(config).init)(mapping_key, z, label)
    synthesis = jax.jit(networks.Synthesis(config).init)(synthesis_key, w, noise)
    # A network without parameters, such as a mapping network of no layers, gives none.
    return {"mapping": mapping.get("params", {}), "synthesis": synthesis.get("params", {})}
