"""Optimisers on manifolds, as optax transformations.

All take ordinary (ambient) gradients and follow optax's convention, with `params` required:

    updates, state = optimizer.update(grads, state, params)
    params = optax.apply_updates(params, updates)

`manifold` is a pytree prefix of `Sphere` and `Euclidean` (see `pulse_jax.manifold`). The learning rate is a number or
a schedule (see `schedule`), a function of the update count. Where it multiplies a normalised direction it is an angle
in radians, whatever the sphere's radius and dimension.
"""

from pulse_jax.optimizers.adaptive import *  # noqa: F403
from pulse_jax.optimizers.conversion import *  # noqa: F403
from pulse_jax.optimizers.descent import *  # noqa: F403
from pulse_jax.optimizers.links import *  # noqa: F403
from pulse_jax.optimizers.momentum import *  # noqa: F403
from pulse_jax.optimizers.projection import *  # noqa: F403
from pulse_jax.optimizers.registry import *  # noqa: F403
from pulse_jax.optimizers.schedules import *  # noqa: F403
