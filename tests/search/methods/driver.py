"""Methods driven by hand on losses of few variables."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.search import presets
from pulse_jax.search.methods.protocol import Method, Setting
from pulse_jax.search.methods.registry import METHODS
from pulse_jax.search.objective import Evaluation

D = 12
ROUND, FLAT = {"latent": Sphere(), "noise": Sphere()}, {"latent": Euclidean(), "noise": Euclidean()}
NOISE = jnp.ones((1, 2))


def method_of(name: str, manifold, largest=0.5, **settings) -> Method:
    """The method as a search makes it; `largest` may be traced."""
    config = presets.pulse(method=name, **settings)
    architecture = StyleGAN2Config(resolution=8, latent_dim=D, channels=(4, 4))
    return METHODS[name](Setting(config, {**config.numbers, "learning_rate": largest}, manifold, architecture))


def driven(name: str, loss: Callable, manifold, start, looks: int, largest=0.5):
    """The latents (looks, rows, D) that are looked at, and the loss of each; the gradient is JAX's."""
    return _run(name, loss, _Fixed(manifold), looks, start, jnp.float32(largest))


class _Fixed(dict):
    """A manifold, hashable."""

    def __hash__(self):
        return hash(tuple(sorted(self.items())))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _run(name, loss, manifold, looks, start, largest):
    method = method_of(name, dict(manifold), largest)
    first = {"latent": start, "noise": NOISE}

    def look(carry, _):
        point, state = carry
        seen = look_at(loss, point)
        return method.update(jax.random.key(0), state, seen), (point["latent"], seen.loss)

    return jax.lax.scan(look, (first, method.init(first, jax.random.key(0))), None, length=looks)[1]


def look_at(loss: Callable, point) -> Evaluation:
    """What a point is worth."""
    value, gradient = jax.value_and_grad(lambda point: loss(point["latent"]))(point)
    picture = jnp.zeros((1, 1, 3), jnp.uint8)
    return Evaluation(value, jnp.zeros((1, 1, 3)), value, value, {}, picture, point, gradient)


def start_of(rows=1, radius=1.0, seed=0):
    """Random rows of this length."""
    x = np.random.default_rng(seed).standard_normal((rows, D))
    return jnp.asarray(radius * x / np.linalg.norm(x, axis=1, keepdims=True), jnp.float32)


def spread(low=1.0, high=30.0, seed=1):
    """A symmetric matrix (D, D) of evenly spread eigenvalues."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))
    return jnp.asarray(basis @ np.diag(np.linspace(low, high, D)) @ basis.T, jnp.float32)
