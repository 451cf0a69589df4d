"""A line search as states, for methods that follow a direction from the last accepted point and backtrack.

A trial that does not lower the loss enough is an update like any other: the next one tries a shorter step from the last
accepted point (Armijo's rule; Nocedal and Wright, algorithm 3.1). A method adds which direction it leaves a point in.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from pulse_jax.manifold import product
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.space import Variables

__all__ = ["Arrival", "Departure", "backtracking", "dot", "plus"]

# The first step, of which nothing is known but its direction, as a share of the largest one.
_FIRST = 1 / 3
# A trial must lower the loss by this share of what the slope promises (Armijo), else it becomes so much shorter.
_SUFFICIENT, _SHORTER = 1e-4, 0.3
# What is no longer than this is no step; any largest step over it is still a number.
_NO_STEP = 1e-30


class Arrival(NamedTuple):
    """How the search came to a point that was accepted; all vectors are tangent there.

    Attributes:
        evaluation: What the point is worth.
        gradient: Gradient at the point.
        step: Step that led there, and `before`, the gradient before it; both zero at the start.
        carry: Transports other tangent vectors of the point before.
        tangent: Returns the tangent part of vectors at the point.
    """

    evaluation: Evaluation
    gradient: Variables
    step: Variables
    before: Variables
    carry: Callable[[Variables], Variables]
    tangent: Callable[[Variables], Variables]


class Departure(NamedTuple):
    """How a method leaves a point.

    Attributes:
        direction: Tangent direction whose whole is tried first.
        is_scaled: Whether its length means anything; if not, the step is a share of the largest one.
        memory: What the method remembers.
    """

    direction: Variables
    is_scaled: Bool[Array, ""]
    memory: Any


class _State(NamedTuple):
    """The last point that was accepted, and how it is left.

    Attributes:
        radii: Radii of the spheres, which never change.
        base: The point, and with it `loss` and `gradient`, its tangent gradient, both without repulsion.
        direction: Tangent direction that is tried from there, and `share`, how much of it.
        memory: What the method remembers.
    """

    radii: Any
    base: Variables
    loss: Float[Array, ""]
    gradient: Variables
    direction: Variables
    share: Float[Array, ""]
    memory: Any


def backtracking(
    setting: Setting, remember: Callable[[Variables], Any], leave: Callable[[Arrival, Any], Departure]
) -> Method:
    """Return the method that leaves accepted points as `leave` says; it is not random.

    `learning_rate` is the largest step: no latent row or noise image turns by more radians, or moves further where it
    is not on a sphere.

    Args:
        setting: What the method is made for.
        remember: From the first point to the method's memory before it, a pytree of arrays.
        leave: From an accepted point and the memory to how the point is left.

    Raises:
        ValueError: The search has phases, between which what is remembered would mean nothing.
    """
    if setting.config.phases:
        raise ValueError(f"phases: expected none with the method {setting.config.method}")
    manifold, largest = setting.manifold, setting.numbers["learning_rate"]

    def objective(
        evaluation: Evaluation, radii: Any, point: Variables, loss: Array, gradient: Variables
    ) -> tuple[Array, Variables]:
        """The loss and the tangent gradient at a point, with repulsion from where others stand in this update."""
        if evaluation.repulsion is None:
            return loss, gradient
        loss, gradient = evaluation.repulsion.added(point, loss, gradient)
        return loss, product.to_tangent(manifold, point, gradient, radii=radii)

    def init(point: Variables, key: PRNGKeyArray) -> _State:
        del key
        zeros = jax.tree.map(jnp.zeros_like, point)
        radii = product.radii(manifold, point)
        # Whatever the first loss is, it is accepted.
        loss = jnp.float32(jnp.finfo(jnp.float32).max)
        return _State(radii, point, loss, zeros, zeros, jnp.float32(1), remember(point))

    def update(key: PRNGKeyArray, state: _State, evaluation: Evaluation) -> tuple[Variables, _State]:
        del key
        # The others have moved since: the point before is compared as it is worth now.
        loss, before = objective(evaluation, state.radii, state.base, state.loss, state.gradient)
        promised = state.share * dot(before, state.direction)
        if evaluation.repulsion is not None:  # and the direction may have turned uphill
            promised = jnp.minimum(promised, 0.0)
        gradient = product.to_tangent(manifold, evaluation.point, evaluation.gradient, radii=state.radii)
        reached, here = objective(evaluation, state.radii, evaluation.point, evaluation.loss, gradient)
        accepted = reached <= loss + _SUFFICIENT * promised
        taken = _accept(state, evaluation, gradient, here, before)
        refused = state._replace(share=state.share * _SHORTER)
        new: _State = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), taken, refused)
        trial = product.exp(manifold, new.base, _scaled(new.share, new.direction), radii=new.radii)
        # Projected, or rounding would add up over many steps.
        return product.project(manifold, trial, radii=new.radii), new

    def _accept(
        state: _State, evaluation: Evaluation, own: Variables, gradient: Variables, before: Variables
    ) -> _State:
        """The trial as the point to go on from; `own` is its gradient without repulsion, which `gradient` has."""
        here, radii = evaluation.point, state.radii

        def carry(vector: Variables) -> Variables:
            return product.transport(manifold, state.base, here, vector, radii=radii)

        def tangent(vector: Variables) -> Variables:
            return product.to_tangent(manifold, here, vector, radii=radii)

        step = carry(_scaled(state.share, state.direction))
        arrival = Arrival(evaluation, gradient, step, carry(before), carry, tangent)
        departure = leave(arrival, state.memory)
        furthest = _longest(manifold, departure.direction, radii)
        scale = jnp.where(departure.is_scaled, jnp.minimum(1.0, largest / furthest), _FIRST * largest / furthest)
        return state._replace(
            base=here,
            loss=evaluation.loss,
            gradient=own,
            direction=_scaled(scale, departure.direction),
            share=jnp.ones_like(state.share),
            memory=departure.memory,
        )

    return Method(init, update)


def _longest(manifold: PyTree, direction: Variables, radii: PyTree) -> Array:
    """The furthest that a step takes any row, in radians on spheres; never zero."""
    units = jax.tree.map(_units, product.norms(manifold, direction), radii, is_leaf=lambda leaf: leaf is None)
    furthest = jnp.max(jnp.stack([jnp.max(length) for length in jax.tree.leaves(units)]))
    return jnp.maximum(furthest, _NO_STEP)


def _units(length: Array, radius: Array | None) -> Array:
    """Radians on a sphere; in a flat space, whose radius is none or the start, lengths."""
    return length / radius if radius is not None and radius.shape == length.shape else length


def dot(a: Variables, b: Variables) -> Float[Array, ""]:
    """Return the inner product of two vectors."""
    return jnp.sum(jnp.stack([jnp.sum(x * y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]))


def plus(a: Variables, share: Array | float, b: Variables) -> Variables:
    """Return a + share · b."""
    return jax.tree.map(lambda x, y: x + share * y, a, b)


def _scaled(share: Array | float, a: Variables) -> Variables:
    return jax.tree.map(lambda x: share * x, a)
