"""The links that Riemannian optimisers are chained of, as optax transformations.

Such an optimiser is a chain: the gradient made tangent, a direction, the learning rate, and a last link that turns the
tangent step v at x into exp(x, v) − x, so that plain `optax.apply_updates` lands on the manifold. Links that keep
moments keep the point they belong to, and carry them to the new point by parallel transport at the next update. Radii
are computed once, by `init`, and stand in the state.

Sources: Bonnabel, "Stochastic Gradient Descent on Riemannian Manifolds" (2013); Menon et al., "PULSE" (CVPR 2020) and
its program.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from pulse_jax.manifold import product

__all__ = [
    "RadiiState",
    "copied",
    "normalize_gradient",
    "require_params",
    "retract_updates",
    "riemannian_chain",
    "riemannian_gradient",
]


class RadiiState(NamedTuple):
    """State of the links without memory.

    Attributes:
        radii: Radii of all spheres, as `pulse_jax.manifold.radii` gives them.
    """

    radii: PyTree


def copied(tree: PyTree) -> PyTree:
    """Return a copy of the variables for a state to keep, which could not be donated together with them otherwise."""
    return jax.tree.map(lambda x: jnp.array(x, copy=True), tree)


def require_params(params: PyTree | None) -> PyTree:
    """Return the variables.

    Raises:
        ValueError: They are None, which optax allows but an optimiser on a manifold cannot do with.
    """
    if params is None:
        raise ValueError(
            "params: an optimiser on a manifold needs the variables, update(grads, state, params); got None"
        )
    return params


def _link(
    manifold: PyTree, function: Callable[[PyTree, PyTree, PyTree], PyTree]
) -> optax.GradientTransformationExtraArgs:
    """A link without memory: function(point, updates, radii), with the point put back on the manifold."""

    def init(params: PyTree) -> RadiiState:
        return RadiiState(product.radii(manifold, params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        return function(require_params(params), updates, state.radii), state

    return optax.GradientTransformationExtraArgs(init, update)


def riemannian_gradient(manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """The first link of a chain: the tangent part of the ambient gradient."""

    def function(params, updates, radii):
        return product.to_tangent(manifold, product.project(manifold, params, radii=radii), updates, radii=radii)

    return _link(manifold, function)


def normalize_gradient(manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """The direction of steepest descent as a step of one radian on every sphere (norm 1 in a Euclidean variable).

    A zero gradient stays zero.
    """
    return _link(manifold, lambda _, updates, radii: product.normalize(manifold, updates, radii=radii))


def retract_updates(manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """The last link of a chain: a tangent step v at x becomes exp(x, v) − x.

    The point is put back on the sphere of the radius in the state before and after, so that rounding never adds up.
    """

    def function(params, updates, radii):
        point = product.project(manifold, params, radii=radii)
        target = product.project(manifold, product.exp(manifold, point, updates, radii=radii), radii=radii)
        return jax.tree.map(jnp.subtract, target, params)

    return _link(manifold, function)


def riemannian_chain(
    learning_rate: optax.ScalarOrSchedule, manifold: PyTree, *directions: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """Chain a whole optimiser: the tangent gradient, the directions in turn, the learning rate and the retraction.

    Args:
        learning_rate: Factor on the last direction, a number or a function of the update count.
        manifold: Manifold of the variables, a pytree prefix of theirs.
        directions: Links that make a step's direction of the tangent gradient; none for the gradient itself.
    """
    return optax.with_extra_args_support(
        optax.chain(
            riemannian_gradient(manifold),
            *directions,
            optax.scale_by_learning_rate(learning_rate),
            retract_updates(manifold),
        )
    )
