"""Limited-memory BFGS on the product of spheres and flat spaces that a search runs on.

Huang, Gallivan and Absil (2015), "A Broyden class of quasi-Newton methods for Riemannian optimization", with exact
parallel transport along geodesics; the two loops are Nocedal and Wright's algorithm 7.4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.search.methods.line_search import Arrival, Departure, backtracking, dot, plus
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.space import Variables

__all__ = ["riemannian_lbfgs"]

# How many pairs of steps and changes of the gradient are remembered.
_PAIRS = 6
# How far from orthogonal a pair must be, as the cosine of its angle, to say something of the curvature.
_CURVED = 1e-6


class _Pairs(NamedTuple):
    """Steps taken before, and how the gradient changed over them, transported to the point; newest last.

    Attributes:
        steps, changes: The pairs.
        curvature: Inner product of each pair; 0 for none.
    """

    steps: Variables
    changes: Variables
    curvature: Float[Array, "pairs"]


def riemannian_lbfgs(setting: Setting) -> Method:
    """Return the method L-BFGS with backtracking (`line_search.backtracking`).

    Raises:
        ValueError: The search has phases.
    """

    def remember(point: Variables) -> _Pairs:
        none = jax.tree.map(lambda leaf: jnp.zeros((_PAIRS, *leaf.shape), leaf.dtype), point)
        return _Pairs(none, none, jnp.zeros(_PAIRS, jnp.float32))

    def leave(arrival: Arrival, pairs: _Pairs) -> Departure:
        step, change = arrival.step, jax.tree.map(jnp.subtract, arrival.gradient, arrival.before)
        curvature = dot(step, change)
        sizes = jnp.sqrt(dot(step, step) * dot(change, change))
        curvature = jnp.where(curvature > _CURVED * sizes, curvature, 0.0)
        pairs = _Pairs(
            steps=_pushed(jax.vmap(arrival.carry)(pairs.steps), step),
            changes=_pushed(jax.vmap(arrival.carry)(pairs.changes), change),
            curvature=jnp.append(pairs.curvature[1:], curvature),
        )
        direction = _direction(arrival.gradient, pairs)
        return Departure(direction, jnp.any(pairs.curvature > 0), pairs)

    return backtracking(setting, remember, leave)


def _direction(gradient: Variables, pairs: _Pairs) -> Variables:
    """Minus the inverse Hessian, as far as it is known, times the gradient (Nocedal and Wright, algorithm 7.4)."""
    known = pairs.curvature > 0
    inverse = jnp.where(known, 1.0 / jnp.where(known, pairs.curvature, 1.0), 0.0)
    each = [(_at(pairs.steps, k), _at(pairs.changes, k), inverse[k], known[k]) for k in range(_PAIRS)]
    result, shares, scale = gradient, [], jnp.float32(1)
    for step, change, one_over, _ in reversed(each):
        shares.append(one_over * dot(step, result))
        result = plus(result, -shares[-1], change)
    for _, change, one_over, is_known in each:  # the newest pair that is known sets the scale
        scale = jnp.where(is_known, 1.0 / jnp.maximum(one_over * dot(change, change), 1e-30), scale)
    result = jax.tree.map(lambda leaf: scale * leaf, result)
    for (step, change, one_over, _), share in zip(each, reversed(shares), strict=True):
        result = plus(result, share - one_over * dot(change, result), step)
    # Rounding may have turned it uphill.
    uphill = dot(result, gradient) <= 0
    return jax.tree.map(lambda a, b: -jnp.where(uphill, scale * b, a), result, gradient)


def _at(pairs: Variables, index: int) -> Variables:
    return jax.tree.map(lambda leaf: leaf[index], pairs)


def _pushed(pairs: Variables, newest: Variables) -> Variables:
    return jax.tree.map(lambda old, new: jnp.concatenate([old[1:], new[None]]), pairs, newest)
