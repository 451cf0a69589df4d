"""Products J v with the Jacobians of generators, whose layers bring backward passes but no forward rules of their own.

`jax.jvp`, and with it `jax.linearize` and `jax.jacfwd`, refuses such functions. Forward rules that kept the backward
passes would need transposes of their own, for which JAX has nothing that `jax.vmap` takes; reverse mode twice needs
none, and leaves the networks as they are.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["linearize"]


def linearize(function: Callable[[Any], Any], point: Any) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
    """Return function(point), v → J v, how it changes along a tangent of the point's structure, and u → Jᵀ u.

    As `jax.linearize`, for functions of floating-point arrays that JAX differentiates twice in reverse mode. u → Jᵀ u
    is linear, and its transpose is v → J v; what the second reverse pass computes is about a forward pass. Source:
    Townsend 2017, "A new trick for calculating Jacobian vector products".
    """
    value, vjp = jax.vjp(function, point)
    # Of a linear function the gradient is everywhere the same.
    anywhere = jax.tree.map(jnp.zeros_like, value)

    def pull(cotangent: Any) -> Any:
        return vjp(cotangent)[0]

    def push(tangent: Any) -> Any:
        return jax.vjp(pull, anywhere)[1](tangent)[0]

    return value, push, pull
