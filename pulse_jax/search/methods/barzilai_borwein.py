"""Barzilai and Borwein's steps on the product of spheres and flat spaces that a search runs on.

Iannazzo and Porcelli (2018), "The Riemannian Barzilai–Borwein method with nonmonotone line search and the matrix
geometric mean computation", with exact parallel transport along geodesics.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from pulse_jax.search.methods.line_search import UNKNOWN, Arrival, Departure, backtracking, dot, scaled
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.space import Variables

__all__ = ["barzilai_borwein"]

# A trial need only be below the highest of so many last losses.
_LOSSES = 10


class _Memory(NamedTuple):
    """The losses of the last points, the lowest there is for none, and which of the two lengths is next."""

    losses: Float[Array, "losses"]
    is_long: Bool[Array, ""]


def barzilai_borwein(setting: Setting) -> Method:
    """Return the method of Barzilai–Borwein steps, the two lengths in turn, with backtracking.

    Trials are compared with the highest of the last ten losses (`line_search.backtracking` otherwise). Where the
    curvature over the last step was not positive, the length is that of the first step.

    Raises:
        ValueError: The search has phases.
    """

    def remember(point: Variables) -> _Memory:
        del point
        return _Memory(jnp.full(_LOSSES, -UNKNOWN, jnp.float32), jnp.bool_(True))

    def leave(arrival: Arrival, memory: _Memory) -> Departure:
        change = jax.tree.map(jnp.subtract, arrival.gradient, arrival.before)
        step, bend = dot(arrival.step, arrival.step), dot(arrival.step, change)
        bends = bend > 0
        long = step / jnp.where(bends, bend, 1.0)
        short = bend / jnp.where(bends, dot(change, change), 1.0)
        length = jnp.where(bends, jnp.where(memory.is_long, long, short), 1.0)
        losses = jnp.append(memory.losses[1:], arrival.loss)
        direction = scaled(-length, arrival.gradient)
        return Departure(direction, bends, jnp.max(losses), _Memory(losses, ~memory.is_long))

    return backtracking(setting, remember, leave)
