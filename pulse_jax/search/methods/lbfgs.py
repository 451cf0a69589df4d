"""Limited-memory BFGS on the product of spheres and flat spaces that a search runs on.

Huang, Gallivan and Absil (2015), "A Broyden class of quasi-Newton methods for Riemannian optimization", with exact
parallel transport along geodesics; the two loops are Nocedal and Wright's algorithm 7.4.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.manifold import product
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.space import Variables

__all__ = ["riemannian_lbfgs"]

# How many pairs of steps and changes of the gradient are remembered.
_PAIRS = 6
# The first step, of which nothing is known but its direction, as a share of the largest one.
_FIRST = 1 / 3
# A trial must lower the loss by this share of what the slope promises (Armijo), else it becomes so much shorter.
_SUFFICIENT, _SHORTER = 1e-4, 0.3
# How far from orthogonal a pair must be, as the cosine of its angle, to say something of the curvature.
_CURVED = 1e-6


class _State(NamedTuple):
    """The last point that was accepted, and how it is left.

    Attributes:
        radii: Radii of the spheres, which never change.
        base: The point, and with it `loss` and `gradient`, its tangent gradient.
        direction: Tangent direction that is tried from there, and `share`, how much of it.
        steps, changes: Steps taken before, and how the gradient changed over them, transported to the point; newest
            last.
        curvature: Inner product of each pair; 0 for none.
    """

    radii: Any
    base: Variables
    loss: Float[Array, ""]
    gradient: Variables
    direction: Variables
    share: Float[Array, ""]
    steps: Variables
    changes: Variables
    curvature: Float[Array, "pairs"]


def riemannian_lbfgs(setting: Setting) -> Method:
    """Return the method L-BFGS with backtracking; it is not random.

    A trial that does not lower the loss enough is an update like any other: the next one tries a shorter step from the
    last accepted point. `learning_rate` is the largest step: no latent row or noise image turns by more radians, or
    moves further where it is not on a sphere.

    Raises:
        ValueError: The search has phases, between which what is remembered would mean nothing.
    """
    if setting.config.phases:
        raise ValueError("phases: expected none with the method riemannian_lbfgs")
    manifold, largest = setting.manifold, setting.numbers["learning_rate"]

    def init(point: Variables, key: PRNGKeyArray) -> _State:
        del key
        zeros = jax.tree.map(jnp.zeros_like, point)
        none = jax.tree.map(lambda leaf: jnp.zeros((_PAIRS, *leaf.shape), leaf.dtype), point)
        radii = product.radii(manifold, point)
        # Whatever the first loss is, it is accepted.
        loss = jnp.float32(jnp.finfo(jnp.float32).max)
        return _State(radii, point, loss, zeros, zeros, jnp.float32(1), none, none, jnp.zeros(_PAIRS, jnp.float32))

    def update(key: PRNGKeyArray, state: _State, evaluation: Evaluation) -> tuple[Variables, _State]:
        del key
        promised = state.share * _dot(state.gradient, state.direction)
        accepted = evaluation.loss <= state.loss + _SUFFICIENT * promised
        taken = _accept(state, evaluation)
        refused = state._replace(share=state.share * _SHORTER)
        new: _State = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), taken, refused)
        step = jax.tree.map(lambda leaf: new.share * leaf, new.direction)
        # Projected, or rounding would add up over many steps.
        trial = product.exp(manifold, new.base, step, radii=new.radii)
        return product.project(manifold, trial, radii=new.radii), new

    def _accept(state: _State, evaluation: Evaluation) -> _State:
        """The trial as the point to go on from."""
        here, radii = evaluation.point, state.radii

        def carried(vector: Variables) -> Variables:
            return product.transport(manifold, state.base, here, vector, radii=radii)

        gradient = product.to_tangent(manifold, here, evaluation.gradient, radii=radii)
        step = carried(jax.tree.map(lambda leaf: state.share * leaf, state.direction))
        change = jax.tree.map(jnp.subtract, gradient, carried(state.gradient))
        curvature = _dot(step, change)
        sizes = jnp.sqrt(_dot(step, step) * _dot(change, change))
        curvature = jnp.where(curvature > _CURVED * sizes, curvature, 0.0)
        state = state._replace(
            base=here,
            loss=evaluation.loss,
            gradient=gradient,
            share=jnp.ones_like(state.share),
            steps=_pushed(jax.vmap(carried)(state.steps), step),
            changes=_pushed(jax.vmap(carried)(state.changes), change),
            curvature=jnp.append(state.curvature[1:], curvature),
        )
        return state._replace(direction=_within(_direction(state), radii, _any_pair(state)))

    def _within(direction: Variables, radii: Any, experienced: Array) -> Variables:
        """A direction no longer than the largest step; of a first one, of which nothing else is known, just so long."""
        lengths = product.norms(manifold, direction)
        units = jax.tree.map(_units, lengths, radii, is_leaf=lambda leaf: leaf is None)
        longest = jnp.max(jnp.stack([jnp.max(length) for length in jax.tree.leaves(units)]))
        longest = jnp.maximum(longest, jnp.finfo(jnp.float32).tiny)
        scale = jnp.where(experienced, jnp.minimum(1.0, largest / longest), _FIRST * largest / longest)
        return jax.tree.map(lambda leaf: scale * leaf, direction)

    return Method(init, update)


def _units(length: Array, radius: Array | None) -> Array:
    """Radians on a sphere; in a flat space, whose radius is none or the start, lengths."""
    return length / radius if radius is not None and radius.shape == length.shape else length


def _any_pair(state: _State) -> Array:
    return jnp.any(state.curvature > 0)


def _direction(state: _State) -> Variables:
    """Minus the inverse Hessian, as far as it is known, times the gradient (Nocedal and Wright, algorithm 7.4)."""
    known = state.curvature > 0
    inverse = jnp.where(known, 1.0 / jnp.where(known, state.curvature, 1.0), 0.0)
    pairs = [(_at(state.steps, k), _at(state.changes, k), inverse[k], known[k]) for k in range(_PAIRS)]
    result, shares, scale = state.gradient, [], jnp.float32(1)
    for step, change, one_over, _ in reversed(pairs):
        shares.append(one_over * _dot(step, result))
        result = _plus(result, -shares[-1], change)
    for _, change, one_over, is_known in pairs:  # the newest pair that is known sets the scale
        scale = jnp.where(is_known, 1.0 / jnp.maximum(one_over * _dot(change, change), 1e-30), scale)
    result = jax.tree.map(lambda leaf: scale * leaf, result)
    for (step, change, one_over, _), share in zip(pairs, reversed(shares), strict=True):
        result = _plus(result, share - one_over * _dot(change, result), step)
    # Rounding may have turned it uphill.
    uphill = _dot(result, state.gradient) <= 0
    return jax.tree.map(lambda a, b: -jnp.where(uphill, scale * b, a), result, state.gradient)


def _dot(a: Variables, b: Variables) -> Array:
    return jnp.sum(jnp.stack([jnp.sum(x * y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]))


def _plus(a: Variables, share: Array, b: Variables) -> Variables:
    return jax.tree.map(lambda x, y: x + share * y, a, b)


def _at(pairs: Variables, index: int) -> Variables:
    return jax.tree.map(lambda leaf: leaf[index], pairs)


def _pushed(pairs: Variables, newest: Variables) -> Variables:
    return jax.tree.map(lambda old, new: jnp.concatenate([old[1:], new[None]]), pairs, newest)
