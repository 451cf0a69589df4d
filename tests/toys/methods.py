"""Search methods of a few lines, each of another kind: states instead of loops, chance, products with the Jacobian."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pulse_jax.manifold import product
from pulse_jax.search.methods.protocol import Method, Setting

SUFFICIENT = 1e-4


class _Tried(NamedTuple):
    base: Any
    loss: Any
    gradient: Any
    length: Any


def backtracking(setting: Setting) -> Method:
    """Steepest descent with Armijo's rule (Nocedal and Wright, algorithm 3.1), every trial an update of its own."""
    manifold = setting.manifold

    def init(point, key):
        del key
        zeros = jax.tree.map(jnp.zeros_like, point)
        return _Tried(point, jnp.float32(jnp.inf), zeros, jnp.float32(setting.numbers["learning_rate"]))

    def update(key, state, evaluation):
        del key
        radii = product.radii(manifold, evaluation.point)
        tangent = product.to_tangent(manifold, evaluation.point, evaluation.gradient, radii=radii)
        squared = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(state.gradient))
        accepted = evaluation.loss <= state.loss - SUFFICIENT * state.length * squared
        tried = _Tried(evaluation.point, evaluation.loss, tangent, 2.0 * state.length)
        refused = state._replace(length=0.5 * state.length)
        new = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), tried, refused)
        step = jax.tree.map(lambda leaf: -new.length * leaf, new.gradient)
        return product.exp(manifold, new.base, step, radii=product.radii(manifold, new.base)), new

    return Method(init, update)


class _Chain(NamedTuple):
    point: Any
    loss: Any


def random_walk(setting: Setting) -> Method:
    """Metropolis' algorithm for the density exp(−loss / 0.01), with steps of the learning rate."""
    manifold = setting.manifold

    def init(point, key):
        del key
        return _Chain(point, jnp.float32(jnp.inf))

    def update(key, state, evaluation):
        accept_key, noise_key = jax.random.split(key)
        allowed = jnp.exp(jnp.minimum((state.loss - evaluation.loss) / 0.01, 0.0))
        accepted = jax.random.uniform(accept_key) < allowed
        here = _Chain(evaluation.point, evaluation.loss)
        new = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), here, state)
        radii = product.radii(manifold, new.point)
        leaves, kind = jax.tree.flatten(new.point)
        keys = jax.random.split(noise_key, len(leaves))
        drawn = [jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
        noise = product.to_tangent(manifold, new.point, jax.tree.unflatten(kind, drawn), radii=radii)
        step = jax.tree.map(lambda leaf: setting.numbers["learning_rate"] * leaf, noise)
        return product.exp(manifold, new.point, step, radii=radii), new

    return Method(init, update)


def gauss_newton_step(setting: Setting) -> Method:
    """The step along Jᵀr that minimises the linear model ‖r − a·J Jᵀr‖²: a product of each kind for every point."""
    manifold = setting.manifold

    def init(point, key):
        del point, key
        return ()

    def update(key, state, evaluation):
        del key
        direction = evaluation.products.vjp(evaluation.residual)
        change = evaluation.products.jvp(direction)
        length = jnp.vdot(change, evaluation.residual) / jnp.maximum(jnp.vdot(change, change), 1e-12)
        moved = jax.tree.map(lambda x, v: x - length * v, evaluation.point, direction)
        return product.project(manifold, moved, radii=product.radii(manifold, evaluation.point)), state

    return Method(init, update)


TOYS = {"backtracking": backtracking, "random_walk": random_walk, "gauss_newton_step": gauss_newton_step}
