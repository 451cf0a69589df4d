"""Optimisers by name."""

from collections.abc import Callable

import optax
from jaxtyping import PyTree

from pulse_jax.optimizers.projection import adam, projected
from pulse_jax.optimizers.riemannian import normalized_gradient, riemannian_adam, riemannian_momentum, riemannian_sgd

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
"""Optimisers by name. The projected ones are the PULSE program's `adam`, `sgd`, `sgdm` and `adamax`."""


def make_optimizer(
    name: str, learning_rate: optax.ScalarOrSchedule, manifold: PyTree
) -> optax.GradientTransformationExtraArgs:
    """One of `OPTIMIZERS` by name; momentum takes normalised gradients.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"name: expected one of {', '.join(OPTIMIZERS)}; got {name!r}")
    return OPTIMIZERS[name](learning_rate, manifold)
