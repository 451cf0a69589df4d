"""Methods driven by hand on sums of squares of few variables, which all of them can take."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.search import presets
from pulse_jax.search.methods.protocol import Method, Products, Setting
from pulse_jax.search.methods.registry import METHODS
from pulse_jax.search.objective import Evaluation

D = 12
ROUND, FLAT = {"latent": Sphere(), "noise": Sphere()}, {"latent": Euclidean(), "noise": Euclidean()}
NOISE = jnp.ones((1, 2))


def method_of(name: str, manifold, largest=0.5, **settings) -> Method:
    """The method as a search makes it; `largest` may be traced."""
    config = presets.pulse(**{"method": name, "loss": "L2"} | settings)
    architecture = StyleGAN2Config(resolution=8, latent_dim=D, channels=(4, 4))
    return METHODS[name](Setting(config, {**config.numbers, "learning_rate": largest}, manifold, architecture))


def driven(name: str, residual: Callable, manifold, start, looks: int, largest=0.5):
    """The latents (looks, rows, D) that are looked at, and the loss of each: the mean square of residual(latent).

    The residual is of the shape (n, n, 3); the gradient is JAX's.
    """
    return _run(name, residual, None, _Fixed(manifold), looks, start, jnp.float32(largest))


def driven_by_loss(name: str, loss: Callable, manifold, start, looks: int, largest=0.5):
    """The same for any loss(latent), without a residual."""
    return _run(name, None, loss, _Fixed(manifold), looks, start, jnp.float32(largest))


class _Fixed(dict):
    """A manifold, hashable."""

    def __hash__(self):
        return hash(tuple(sorted(self.items())))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _run(name, residual, loss, manifold, looks, start, largest):
    method = method_of(name, dict(manifold), largest)
    first = {"latent": start, "noise": NOISE}

    def left(point):
        return jnp.zeros((1, 1, 3)) if residual is None else residual(point["latent"])

    def worth(point):
        return jnp.mean(jnp.square(left(point))) if loss is None else loss(point["latent"])

    def look(carry, _):
        point, state = carry
        value, gradient = jax.value_and_grad(worth)(point)
        seen = Evaluation(
            loss=value,
            residual=left(point),
            search_error=value,
            delivered_error=value,
            terms={},
            picture=jnp.zeros((1, 1, 3), jnp.uint8),
            point=point,
            gradient=gradient,
            products=Products(left, point),
        )
        return method.update(jax.random.key(0), state, seen), (point["latent"], value)

    return jax.lax.scan(look, (first, method.init(first, jax.random.key(0))), None, length=looks)[1]


def start_of(rows=1, radius=1.0, seed=0):
    """Random rows of this length."""
    x = np.random.default_rng(seed).standard_normal((rows, D))
    return jnp.asarray(radius * x / np.linalg.norm(x, axis=1, keepdims=True), jnp.float32)


def spread(low=1.0, high=30.0, seed=1, count=D):
    """A matrix (count, D) whose product with itself has evenly spread eigenvalues: what a Hessian's condition is."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in (count, D))
    values = np.zeros((count, D))
    np.fill_diagonal(values, np.sqrt(np.linspace(low, high, min(count, D))))
    return jnp.asarray(left @ values @ right, jnp.float32)


def as_residual(rows):
    """An array shaped as residuals are (n, n, 3), filled up with zeros, of the same mean square."""
    side = int(np.ceil((rows.size / 3) ** 0.5))
    flat = jnp.zeros(3 * side**2).at[: rows.size].set(rows.reshape(-1))
    return (flat * (flat.size / rows.size) ** 0.5).reshape(side, side, 3)
