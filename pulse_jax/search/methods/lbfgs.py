"""Limited-memory BFGS on the product of spheres and flat spaces that a search runs on.

Huang, Gallivan and Absil (2015), "A Broyden class of quasi-Newton methods for Riemannian optimization", with exact
parallel transport along geodesics; the two loops are Nocedal and Wright's algorithm 7.4.

Where a search starts near its input by a surrogate of the generator, the surrogate also gives the first step, which is
a Gauss–Newton step from the residual itself, and the matrix that the pairs then correct: a multiple not of the identity
but of the inverse of the curvature that the surrogate has at the start.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.generators.priors.surrogate import Curvature, corrected_step, curvature_at, inverse_curvature, seen_by
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


class _Memory(NamedTuple):
    """What is known of the curvature.

    Attributes:
        pairs: Pairs.
        curvature: What the surrogate knows at the first point; None without one.
    """

    pairs: _Pairs
    curvature: Curvature | None


def riemannian_lbfgs(setting: Setting) -> Method:
    """Return the method L-BFGS with backtracking (`line_search.backtracking`).

    Raises:
        ValueError: The search has phases.
    """

    near = setting.surrogate

    def remember(point: Variables) -> _Memory:
        none = jax.tree.map(lambda leaf: jnp.zeros((_PAIRS, *leaf.shape), leaf.dtype), point)
        pairs = _Pairs(none, none, jnp.zeros(_PAIRS, jnp.float32))
        return _Memory(pairs, None if near is None else curvature_at(near, point["latent"]))

    def leave(arrival: Arrival, memory: _Memory) -> Departure:
        pairs, point = memory.pairs, arrival.evaluation.point
        step, change = arrival.step, jax.tree.map(jnp.subtract, arrival.gradient, arrival.before)
        bent = dot(step, change)
        sizes = jnp.sqrt(dot(step, step) * dot(change, change))
        bent = jnp.where(bent > _CURVED * sizes, bent, 0.0)
        pairs = _Pairs(
            steps=_pushed(jax.vmap(arrival.carry)(pairs.steps), step),
            changes=_pushed(jax.vmap(arrival.carry)(pairs.changes), change),
            curvature=jnp.append(pairs.curvature[1:], bent),
        )
        is_scaled, memory = jnp.any(pairs.curvature > 0), _Memory(pairs, memory.curvature)
        if near is None or memory.curvature is None:
            return Departure(_direction(arrival.gradient, pairs, lambda vector: vector), is_scaled, memory)
        surrogate, curvature = near, memory.curvature

        def initial(vector: Variables) -> Variables:
            return arrival.tangent(vector | {"latent": inverse_curvature(surrogate, curvature, vector["latent"])})

        direction = _direction(arrival.gradient, pairs, initial)
        residual = seen_by(surrogate, setting.architecture.resolution, arrival.evaluation.residual)
        corrected = corrected_step(surrogate, curvature, residual)
        first = arrival.tangent(jax.tree.map(jnp.zeros_like, point) | {"latent": corrected})
        # Of the first point alone, and where it leads downhill.
        is_first = (dot(step, step) == 0) & (dot(first, arrival.gradient) < 0)
        direction = jax.tree.map(lambda a, b: jnp.where(is_first, a, b), first, direction)
        return Departure(direction, is_scaled | is_first, memory)

    return backtracking(setting, remember, leave)


def _direction(gradient: Variables, pairs: _Pairs, initial: Callable[[Variables], Variables]) -> Variables:
    """Minus the inverse Hessian, as far as it is known, times the gradient (Nocedal and Wright, algorithm 7.4).

    `initial` multiplies by a matrix that is positive definite; the pairs correct a multiple of it.
    """
    known = pairs.curvature > 0
    inverse = jnp.where(known, 1.0 / jnp.where(known, pairs.curvature, 1.0), 0.0)
    each = [(_at(pairs.steps, k), _at(pairs.changes, k), inverse[k], known[k]) for k in range(_PAIRS)]
    result, shares = gradient, []
    for step, change, one_over, _ in reversed(each):
        shares.append(one_over * dot(step, result))
        result = plus(result, -shares[-1], change)
    newest, one_over = jax.tree.map(jnp.zeros_like, gradient), jnp.float32(0)
    for _, change, inner, is_known in each:
        newest = jax.tree.map(lambda new, old, is_known=is_known: jnp.where(is_known, new, old), change, newest)
        one_over = jnp.where(is_known, inner, one_over)
    # The newest pair that is known sets the multiple.
    both = jax.vmap(initial)(jax.tree.map(lambda *leaves: jnp.stack(leaves), newest, result))
    square = one_over * dot(newest, _at(both, 0))
    scale = jnp.where(square > 0, 1.0 / jnp.maximum(square, 1e-30), 1.0)
    result = jax.tree.map(lambda leaf: scale * leaf[1], both)
    for (step, change, one_over, _), share in zip(each, reversed(shares), strict=True):
        result = plus(result, share - one_over * dot(change, result), step)
    # Rounding may have turned it uphill.
    uphill = dot(result, gradient) <= 0
    return jax.tree.map(lambda a, b: -jnp.where(uphill, scale * b, a), result, gradient)


def _at(pairs: Variables, index: int) -> Variables:
    return jax.tree.map(lambda leaf: leaf[index], pairs)


def _pushed(pairs: Variables, newest: Variables) -> Variables:
    return jax.tree.map(lambda old, new: jnp.concatenate([old[1:], new[None]]), pairs, newest)
