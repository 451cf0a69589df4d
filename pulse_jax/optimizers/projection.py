"""The optimisers of PULSE's program (Menon et al. 2020): an ordinary optimiser's step, then back to the sphere."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from pulse_jax.manifold import product
from pulse_jax.optimizers.links import require_params

__all__ = ["ProjectedState", "projected"]


class ProjectedState(NamedTuple):
    """State of `projected`.

    Attributes:
        radii: Radii of all spheres.
        inner: State of the wrapped optimiser.
    """

    radii: PyTree
    inner: Any


def projected(optimizer: optax.GradientTransformation, manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """PULSE-2020: a step of any optax optimiser in the ambient space, then p ← p / sqrt(sum(p²) + 1e-9) · radius.

    The learning rate is the wrapped optimiser's, in ambient units. Euclidean variables get its step as it is.

    Args:
        optimizer: Optimiser of the ambient space.
        manifold: Manifold of the variables, a pytree prefix of theirs.
    """
    inner = optax.with_extra_args_support(optimizer)

    def init(params: PyTree) -> ProjectedState:
        return ProjectedState(product.radii(manifold, params), inner.init(params))

    def update(updates, state, params=None, **extra_args):
        params = require_params(params)
        steps, inner_state = inner.update(updates, state.inner, params, **extra_args)
        target = product.rescale(manifold, optax.apply_updates(params, steps), radii=state.radii)
        return jax.tree.map(jnp.subtract, target, params), ProjectedState(state.radii, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)
