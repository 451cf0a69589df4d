"""Optimisers by name: a new one is a file of this package and a row of `OPTIMIZERS`."""

from collections.abc import Callable

import optax
from jaxtyping import PyTree

from pulse_jax.optimizers.adaptive import adam, riemannian_adam
from pulse_jax.optimizers.descent import normalized_gradient, riemannian_sgd
from pulse_jax.optimizers.momentum import riemannian_momentum
from pulse_jax.optimizers.projection import projected

__all__ = ["OPTIMIZERS", "make_optimizer"]

OPTIMIZERS: dict[str, Callable[[optax.ScalarOrSchedule, PyTree], optax.GradientTransformationExtraArgs]] = {
    "projected_adam": lambda rate, manifold: projected(adam(rate), manifold),
    "projected_sgd": lambda rate, manifold: projected(optax.sgd(rate), manifold),
    "projected_sgdm": lambda rate, manifold: projected(optax.sgd(rate, momentum=0.9), manifold),
    "projected_adamax": lambda rate, manifold: projected(optax.adamax(rate), manifold),
    "riemannian_sgd": riemannian_sgd,
    "riemannian_momentum": lambda rate, manifold: riemannian_momentum(rate, manifold, normalize=True),
    "riemannian_adam": riemannian_adam,
    "normalized_gradient": normalized_gradient,
}
"""Functions from a learning rate and a manifold to an optimiser, by the names that a `SearchConfig` gives.

The projected ones are the PULSE program's `adam`, `sgd`, `sgdm` and `adamax`; momentum takes normalised gradients.
"""


def make_optimizer(
    name: str, learning_rate: optax.ScalarOrSchedule, manifold: PyTree
) -> optax.GradientTransformationExtraArgs:
    """Return one of `OPTIMIZERS`.

    Args:
        name: Key of `OPTIMIZERS`.
        learning_rate: Learning rate, a number or a function of the update count.
        manifold: Manifold of the variables, a pytree prefix of theirs.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"name: expected one of {', '.join(OPTIMIZERS)}; got {name!r}")
    return OPTIMIZERS[name](learning_rate, manifold)
