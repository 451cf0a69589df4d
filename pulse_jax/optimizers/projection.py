"""The optimisers of PULSE's program: a step of an ordinary optimiser, then back to the sphere by rescaling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from pulse_jax.manifold import product
from pulse_jax.optimizers.riemannian import _bias_correction, _require_params

__all__ = ["ProjectedState", "adam", "projected"]


class ProjectedState(NamedTuple):
    """State of `projected`.

    Attributes:
        radii: of all spheres.
        inner: the state of the wrapped optimiser.
    """

    radii: PyTree
    inner: Any


def adam(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """`optax.adam`, its bias corrections as exact in float32 as PyTorch's, which are of double precision."""
    b1, b2, eps = 0.9, 0.999, 1e-8

    def init(params: PyTree) -> optax.ScaleByAdamState:
        mu, nu = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return optax.ScaleByAdamState(count=jnp.zeros((), jnp.int32), mu=mu, nu=nu)

    def update(updates, state, params=None):
        del params
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)
        count = optax.safe_increment(state.count)
        mu_hat, nu_hat = _bias_correction(mu, b1, count), _bias_correction(nu, b2, count)
        direction = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu_hat, nu_hat)
        return direction, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.chain(optax.GradientTransformation(init, update), optax.scale_by_learning_rate(learning_rate))


def projected(optimizer: optax.GradientTransformation, manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """PULSE-2020: a step of any optax optimiser in the ambient space, then p ← p / sqrt(sum(p²) + 1e-9) · radius.

    The learning rate is the wrapped optimiser's, in ambient units. Euclidean variables get its step as it is.
    """
    inner = optax.with_extra_args_support(optimizer)

    def init(params: PyTree) -> ProjectedState:
        return ProjectedState(product.radii(manifold, params), inner.init(params))

    def update(updates, state, params=None, **extra_args):
        params = _require_params(params)
        steps, inner_state = inner.update(updates, state.inner, params, **extra_args)
        target = product.rescale(manifold, optax.apply_updates(params, steps), radii=state.radii)
        return jax.tree.map(jnp.subtract, target, params), ProjectedState(state.radii, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)
