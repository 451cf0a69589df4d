"""A toy optimiser: the sign of the Riemannian gradient, made tangent again."""

import jax
import jax.numpy as jnp
import optax

from pulse_jax.optimizers.links import retract_updates, riemannian_gradient


def riemannian_sign(learning_rate, manifold):
    """Steps whose coordinates are all of one size."""
    sign = optax.stateless(lambda updates, params: jax.tree.map(jnp.sign, updates))
    return optax.with_extra_args_support(
        optax.chain(
            riemannian_gradient(manifold),
            sign,
            riemannian_gradient(manifold),
            optax.scale_by_learning_rate(learning_rate),
            retract_updates(manifold),
        )
    )
