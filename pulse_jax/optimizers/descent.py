"""Gradient descent on manifolds, without memory.

Source: Bonnabel, "Stochastic Gradient Descent on Riemannian Manifolds" (2013).
"""

import optax
from jaxtyping import PyTree

from pulse_jax.optimizers.links import normalize_gradient, riemannian_chain

__all__ = ["normalized_gradient", "riemannian_sgd"]


def riemannian_sgd(learning_rate: optax.ScalarOrSchedule, manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """Riemannian gradient descent, exp(x, −learning_rate · g).

    The learning rate has the units of `optax.sgd`'s: a step is learning_rate · |g| long, g the Riemannian gradient.
    """
    return riemannian_chain(learning_rate, manifold)


def normalized_gradient(
    learning_rate: optax.ScalarOrSchedule, manifold: PyTree
) -> optax.GradientTransformationExtraArgs:
    """Steepest descent by a fixed angle: every sphere turns by `learning_rate` radians a step.

    That holds however small the gradient is, short of zero, so only a decaying rate comes to rest at a minimum. A
    Euclidean variable moves by `learning_rate` in norm.
    """
    return riemannian_chain(learning_rate, manifold, normalize_gradient(manifold))
