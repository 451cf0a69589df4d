"""The searches of one image that step together, because each is repelled by where the others stand."""

import jax
import jax.numpy as jnp

from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import Numbers, SearchConfig
from pulse_jax.search.problems import Status
from pulse_jax.search.repulsion import Repulsion, median_bandwidth
from pulse_jax.search.step import SearchState, step

__all__ = ["step_together"]


def step_together(
    generator: Generator,
    config: SearchConfig,
    states: SearchState,
    numbers: Numbers | None = None,
    *,
    in_turn: bool = False,
) -> SearchState:
    """Let all searches of an image take a step from where they stand, each repelled by all others (`Repulsion`).

    A search that has ended stays where it is and goes on repelling; one that failed, or never began, repels nobody.

    Args:
        generator: Generator to search.
        config: Settings of the searches.
        states: Their states, with a leading axis.
        numbers: As in `step`.
        in_turn: Compute them one after another, in the memory of one and by its arithmetic, those that have ended not
            at all; else all at once.
    """
    numbers = config.numbers if numbers is None else numbers
    points = states.variables["latent"]
    present = (states.status != Status.EMPTY) & (states.status != Status.NONFINITE)
    bandwidth, places = median_bandwidth(points, present), jnp.arange(len(points))

    def one(state: SearchState, place: jax.Array) -> SearchState:
        repulsion = Repulsion(points, present & (places != place), bandwidth, jnp.float32(numbers["repulsion"]))
        return step(generator, config, state, numbers, repulsion)[0]

    if not in_turn:
        return jax.vmap(one)(states, places)

    def unless_ended(search: tuple[SearchState, jax.Array]) -> SearchState:
        return jax.lax.cond(search[0].status == Status.RUNNING, one, lambda state, place: state, *search)

    return jax.lax.map(unless_ended, (states, places))
