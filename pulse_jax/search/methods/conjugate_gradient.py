"""Conjugate gradients on the product of spheres and flat spaces that a search runs on.

Polak and Ribière's rule, never negative, with transported directions (Absil, Mahony and Sepulchre 2008, "Optimization
algorithms on matrix manifolds", section 8.3) and Powell's restarts (Nocedal and Wright, equation 5.52).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.search.methods.line_search import Arrival, Departure, backtracking, dot, plus, scaled
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.space import Variables

__all__ = ["conjugate_gradient"]

# Successive gradients that are less orthogonal than this, as the cosine of their angle, say that the loss is not the
# quadratic that conjugacy is of: the direction starts anew.
_ORTHOGONAL = 0.2


class _Memory(NamedTuple):
    """The direction, of the gradient's size, that the last point was left in, and the curvature along it.

    The curvature is that of the last direction along which it was positive; 0 for none.
    """

    direction: Variables
    curvature: Float[Array, ""]


def conjugate_gradient(setting: Setting) -> Method:
    """Return the method of conjugate gradients with backtracking (`line_search.backtracking`).

    The first trial of a direction is where the slope would end if the loss curved as over the step before.

    Raises:
        ValueError: The search has phases.
    """

    def remember(point: Variables) -> _Memory:
        return _Memory(jax.tree.map(jnp.zeros_like, point), jnp.float32(0))

    def leave(arrival: Arrival, memory: _Memory) -> Departure:
        gradient, before = arrival.gradient, arrival.before
        change = jax.tree.map(jnp.subtract, gradient, before)
        bend, length = dot(arrival.step, change), dot(arrival.step, arrival.step)
        curvature = jnp.where(bend > 0, bend / jnp.where(length > 0, length, 1.0), memory.curvature)
        squared, was = dot(gradient, gradient), dot(before, before)
        share = jnp.maximum(dot(gradient, change) / jnp.where(was > 0, was, 1.0), 0.0)
        share = jnp.where(jnp.abs(dot(gradient, before)) < _ORTHOGONAL * squared, share, 0.0)
        downhill = scaled(-1.0, gradient)
        turned = plus(downhill, share, arrival.carry(memory.direction))
        slope = dot(turned, gradient)
        direction: Variables = jax.tree.map(lambda a, b: jnp.where(slope < 0, a, b), turned, downhill)
        flat = curvature * dot(direction, direction)
        first = -dot(direction, gradient) / jnp.where(flat > 0, flat, 1.0)
        return Departure(scaled(first, direction), flat > 0, arrival.loss, _Memory(direction, curvature))

    return backtracking(setting, remember, leave)
