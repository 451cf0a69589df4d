"""The inner protocol of a search: a method is told what a point is worth and says which one to look at next.

`init(point, key) -> state`, then `update(key, state, evaluation) -> (next point, state)`, in the vocabulary of optax
and blackjax. Both are pure and for one problem; `jax.vmap` makes lanes. **Every update spends exactly one evaluation**,
which the search makes: a line search or a leapfrog step is a state that lasts several updates and not a loop inside
one, so that no lane waits for another. A refused point is an evaluation like any other.

Where an image's searches repel each other, a method follows loss and gradient with what `Evaluation.repulsion` adds to
them. The others move between two updates, so that a point from before is worth something else now.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from pulse_jax.generators.architectures import ArchitectureConfig
from pulse_jax.generators.forward_mode import linearize
from pulse_jax.generators.priors.surrogate import Surrogate
from pulse_jax.search.config import Numbers, SearchConfig
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.space import Variables

__all__ = ["Method", "Products", "Setting"]


@dataclass(frozen=True)
class Setting:
    """What a method is made for, anew in every traced step.

    Attributes:
        config: Structure of the search: all but its numbers (`SearchConfig.structure` serves).
        numbers: The numbers, traced: a method that takes its settings from here compiles once for all their values.
        manifold: Manifold of the variables, as optimisers take it.
        architecture: Architecture of the generator.
        surrogate: The generator's surrogate, suited to the input's size, where searches start near it; else None.
    """

    config: SearchConfig
    numbers: Numbers
    manifold: PyTree
    architecture: ArchitectureConfig
    surrogate: Surrogate | None = None


class Products:
    """Products with the Jacobian J of the residual D(G(x)) − y at the point looked at; each counts as an evaluation.

    Call them outside of loops: a call is counted once, where it is traced.

    Attributes:
        count: Products taken so far.
    """

    def __init__(self, residual: Callable[[Variables], Array], point: Variables) -> None:
        self.count = 0
        self._residual = residual
        self._point = point

    @functools.cached_property
    def _linear(self) -> tuple[Array, Callable[..., Array], Callable[..., Variables]]:
        return linearize(self._residual, self._point)

    def jvp(self, tangent: Variables) -> Float[Array, "size size 3"]:
        """Return J v, how the residual changes along a tangent of the variables' structure."""
        self.count += 1
        return self._linear[1](tangent)

    def vjp(self, cotangent: Float[Array, "size size 3"]) -> Variables:
        """Return Jᵀ u, an ambient gradient of the variables' structure."""
        self.count += 1
        return self._linear[2](cotangent)


class Method(NamedTuple):
    """One way to search.

    Attributes:
        init: From the first point and a random key to the state: a pytree of arrays of fixed shapes, which is saved and
            resumed with the search.
        update: From a random key, the state and the evaluation of the point that was looked at, its `products`
            included, to the next point and the state. The key is another for each update.
    """

    init: Callable[[Variables, PRNGKeyArray], Any]
    update: Callable[[PRNGKeyArray, Any, Evaluation], tuple[Variables, Any]]
