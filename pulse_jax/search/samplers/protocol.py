"""The inner protocol of a sampler: a chain is told what a point is worth and says which one to look at next.

It is that of search methods (`search.methods.protocol`), its update in two halves, `land` and `leave`, between which
tempering exchanges points. The density is exp(−loss / temperature) with respect to the uniform one on spheres, or the
standard normal one in flat spaces. **Every update spends exactly one evaluation**: a slice that shrinks and a leapfrog
step are states, so that no chain waits for another.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from pulse_jax.manifold import product
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.space import Variables

__all__ = ["Chain", "Sampler", "as_method", "begin", "check_spaces", "has_begun", "normal", "select"]

# What no loss is above: that of a chain whose start was not looked at yet.
_NONE_YET = float(np.finfo(np.float32).max)


class Chain(NamedTuple):
    """Where a chain stands, which is what it draws.

    Attributes:
        point: The latest draw.
        loss: Its loss, not divided by the temperature.
        gradient: Tangent gradient of the loss there; zero for samplers that use none.
        transitions: Transitions completed, refused ones included; −1 before the start was looked at.
        acceptance: Of the last transition: the probability that its end was accepted, or of a slice one over its looks.
    """

    point: Variables
    loss: Float[Array, ""]
    gradient: Variables
    transitions: Int[Array, ""]
    acceptance: Float[Array, ""]


class Sampler(NamedTuple):
    """One way to sample; all functions are pure and for one chain.

    Attributes:
        init: From the first point and the radii of its manifold (`product.radii`) to the state: a NamedTuple with a
            `chain` and a `landed`, whether the last look completed a transition.
        land: From a key, the state and the evaluation of the point looked at, to the state with its verdict.
        leave: From another key and the state to the next point to look at and the state.
        uses_gradient: Whether evaluations need the gradient of the loss.
        acceptance: Mean acceptance that its step, `numbers["learning_rate"]`, is tuned for; None where it has none.
        replicas: Chains at ascending temperatures that make one; 1 but for tempering.
    """

    init: Callable[[Variables, PyTree], Any]
    land: Callable[[PRNGKeyArray, Any, Evaluation], Any]
    leave: Callable[[PRNGKeyArray, Any], tuple[Variables, Any]]
    uses_gradient: bool = True
    acceptance: float | None = None
    replicas: int = 1


def as_method(sampler: Sampler, setting: Setting) -> Method:
    """Return a sampler as a search method (`search.methods.protocol.Method`), which draws without an end.

    Args:
        sampler: Sampler of one replica, made for the setting.
        setting: What it was made for.
    """

    def init(point: Variables, key: PRNGKeyArray) -> Any:
        del key
        return sampler.init(point, product.radii(setting.manifold, point))

    def update(key: PRNGKeyArray, state: Any, evaluation: Evaluation) -> tuple[Variables, Any]:
        land, leave = jax.random.split(key)
        return sampler.leave(leave, sampler.land(land, state, evaluation))

    return Method(init, update)


def begin(point: Variables) -> Chain:
    """Return the chain at its start, of which nothing is known yet."""
    zeros = jax.tree.map(jnp.zeros_like, point)
    return Chain(point, jnp.float32(_NONE_YET), zeros, jnp.int32(-1), jnp.float32(0))


def has_begun(chain: Chain) -> Bool[Array, ""]:
    """Return whether the start was looked at."""
    return chain.transitions >= 0


def check_spaces(name: str, manifold: PyTree, kind: type[Sphere] | type[Euclidean]) -> None:
    """See that all variables live in spaces of a kind, unbounded ones where that is `Euclidean`.

    Raises:
        ValueError: One does not.
    """
    spaces = jax.tree.leaves(manifold, is_leaf=lambda leaf: isinstance(leaf, Sphere | Euclidean))
    if any(type(space) is not kind for space in spaces):
        where, geometry = ("spheres", "sphere") if kind is Sphere else ("flat spaces", "euclidean")
        raise ValueError(f"manifold: expected {where} alone (geometry {geometry}) with {name}, got {manifold}")


def normal(key: PRNGKeyArray, like: Variables) -> Variables:
    """Draw N(0, I) of these shapes."""
    leaves, structure = jax.tree.flatten(like)
    drawn = [jax.random.normal(jax.random.fold_in(key, place), leaf.shape) for place, leaf in enumerate(leaves)]
    return jax.tree.unflatten(structure, drawn)


def select(condition: Bool[Array, ""], yes: Any, no: Any) -> Any:
    """Return one of two states, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
