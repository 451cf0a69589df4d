"""Optimisers on a sphere are optax transformations: here they find the leading eigenvector of a matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from pulse_jax import manifold, optimizers, sphere

ROOT = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
MATRIX = ROOT @ ROOT.T
LEADING = jnp.asarray(np.linalg.eigh(MATRIX)[1][:, -1])


def degrees(optimizer: optax.GradientTransformation, steps: int) -> list[float]:
    """Maximise xᵀAx on the unit sphere; return how far every step is from numpy's eigenvector or its opposite."""
    x, found = jnp.full(30, 30**-0.5), []
    state, update = optimizer.init(x), jax.jit(optimizer.update)
    for _ in range(steps):
        updates, state = update(-2 * MATRIX @ x, state, x)  # the ordinary gradient
        x = jnp.asarray(optax.apply_updates(x, updates))  # on the sphere again
        angle = float(sphere.distance(x, LEADING, radius=1.0))
        found.append(float(np.degrees(min(angle, np.pi - angle))))
    return found


def main() -> None:
    """Compare two optimisers with `numpy.linalg.eigh`."""
    for name in ("riemannian_sgd", "riemannian_momentum"):
        # Links before the optimiser's own see the ordinary gradient: optax's clip it.
        rule = getattr(optimizers, name)(0.05, manifold.Sphere())
        way = degrees(optax.chain(optax.clip_by_global_norm(1.0), rule), 256)
        told = ", ".join(f"{way[count - 1]:.1f} after {count}" for count in (4, 16, 64, 256))
        print(f"{name}: degrees from numpy's eigenvector: {told} steps")


if __name__ == "__main__":
    main()
