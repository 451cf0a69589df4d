"""Optimisers on manifolds, as optax transformations.

All take ordinary (ambient) gradients and follow optax's convention, with `params` required:

    updates, state = optimizer.update(grads, state, params)
    params = optax.apply_updates(params, updates)
"""

from pulse_jax.optimizers.projection import *  # noqa: F403
from pulse_jax.optimizers.registry import *  # noqa: F403
from pulse_jax.optimizers.riemannian import *  # noqa: F403
from pulse_jax.optimizers.schedules import *  # noqa: F403
