"""Parallel tempering: chains at ascending temperatures that exchange their points, so that hot ones lead between modes.

Geyer (1991), "Markov chain Monte Carlo maximum likelihood"; neighbours take turns, even pairs and odd ones (Okabe et
al. 2001). All replicas take as many looks a transition, so that they land together.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pulse_jax.search.methods.protocol import Setting
from pulse_jax.search.samplers.protocol import Chain, Sampler
from pulse_jax.search.samplers.trajectories import geodesic_hmc

__all__ = ["EXCHANGES", "exchange", "parallel_tempering"]

EXCHANGES = 0.234
"""Share of exchanges at which temperatures are best apart (Atchadé, Roberts and Rosenthal 2011)."""
_REPLICAS = 4


def parallel_tempering(setting: Setting) -> Sampler:
    """Return geodesic HMC at four temperatures, the first of which is sampled (`exchange` joins them).

    Raises:
        ValueError: A variable does not live on spheres.
    """
    return geodesic_hmc(setting)._replace(replicas=_REPLICAS)


def exchange(
    key: PRNGKeyArray, chains: Chain, temperatures: Float[Array, "replicas"]
) -> tuple[Chain, Float[Array, "pairs"], Bool[Array, "pairs"]]:
    """Exchange points between neighbours that have landed.

    Args:
        key: Random key.
        chains: Chains, stacked, all with as many transitions.
        temperatures: Ascending.

    Returns:
        The chains, the probability of each pair's exchange, and which pairs it was the turn of.
    """
    lower = jnp.arange(len(temperatures) - 1)
    inverse = 1 / temperatures
    gain = (inverse[:-1] - inverse[1:]) * (chains.loss[:-1] - chains.loss[1:])
    probability = jnp.exp(jnp.minimum(gain, 0.0))
    turn = (lower + chains.transitions[0]) % 2 == 0
    swapped = turn & (jax.random.uniform(key, lower.shape) < probability)
    moves = swapped.astype(jnp.int32)
    source = jnp.arange(len(temperatures)) + jnp.pad(moves, (0, 1)) - jnp.pad(moves, (1, 0))
    point, loss, gradient = jax.tree.map(lambda leaf: leaf[source], (chains.point, chains.loss, chains.gradient))
    return chains._replace(point=point, loss=loss, gradient=gradient), probability, turn
