"""Gradient descent on manifolds with momentum, which is carried along by parallel transport."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree, Scalar

from pulse_jax.manifold import product
from pulse_jax.optimizers.links import copied, normalize_gradient, require_params, riemannian_chain

__all__ = ["TransportedTraceState", "riemannian_momentum", "transported_trace"]


class TransportedTraceState(NamedTuple):
    """State of `transported_trace`.

    Attributes:
        radii: Radii of all spheres.
        point: Variables at the last update, where `trace` is tangent.
        trace: Accumulated directions.
    """

    radii: PyTree
    point: PyTree
    trace: PyTree


def transported_trace(decay: float | Scalar, manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """Momentum: trace ← decay · (trace, carried to the present point) + updates, as `optax.trace` on a manifold.

    Parallel transport keeps the trace's length; projecting it onto the new tangent space would shrink it (to 0.928
    after a step of 22 degrees along it).
    """

    def init(params: PyTree) -> TransportedTraceState:
        radii = product.radii(manifold, params)
        point = copied(product.project(manifold, params, radii=radii))
        return TransportedTraceState(radii, point, jax.tree.map(jnp.zeros_like, params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        point = product.project(manifold, require_params(params), radii=state.radii)
        carried = product.transport(manifold, state.point, point, state.trace, radii=state.radii)
        trace = jax.tree.map(lambda old, new: decay * old + new, carried, updates)
        return trace, TransportedTraceState(state.radii, point, trace)

    return optax.GradientTransformationExtraArgs(init, update)


def riemannian_momentum(
    learning_rate: optax.ScalarOrSchedule, manifold: PyTree, *, decay: float | Scalar = 0.9, normalize: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Riemannian gradient descent with momentum.

    Args:
        learning_rate: Learning rate in the units of `optax.sgd`'s; with `normalize` the angle in radians of a single
            gradient's contribution, of which a steady gradient accumulates up to 1 / (1 − decay).
        manifold: Manifold of the variables, a pytree prefix of theirs.
        decay: Share of the momentum that a step keeps; Euclidean variables behave as under
            optax.sgd(learning_rate, momentum=decay).
        normalize: Whether every gradient is made a unit direction first.
    """
    directions = [normalize_gradient(manifold)] if normalize else []
    return riemannian_chain(learning_rate, manifold, *directions, transported_trace(decay, manifold))
