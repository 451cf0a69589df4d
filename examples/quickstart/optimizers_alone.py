"""Optimisers without a search: leading eigenvectors of 256 matrices at once, and one by one by pymanopt (float64)."""

import time

import jax
import numpy as np
import optax
import pymanopt

from pulse_jax import manifold, optimizers, sphere

ROOTS = np.random.default_rng(0).normal(size=(256, 48, 64)).astype(np.float32)
MATRICES = ROOTS @ np.swapaxes(ROOTS, 1, 2) / 64
STARTS = np.asarray(sphere.random_uniform(jax.random.key(0), (256, 48), radius=1.0), np.float32)


@jax.jit
@jax.vmap
def ours(matrix: jax.Array, x: jax.Array) -> jax.Array:  # any optax optimiser, converted to the sphere, on -xᵀAx/2
    optimizer = optimizers.riemannian(optax.sgd(0.1, momentum=0.9, nesterov=True), manifold.Sphere())

    def step(_, carry):
        updates, state = optimizer.update(-matrix @ carry[0], carry[1], carry[0])
        return optax.apply_updates(carry[0], updates), state

    return jax.lax.fori_loop(0, 300, step, (x, optimizer.init(x)))[0]


def theirs(a: np.ndarray, x: np.ndarray):
    on = pymanopt.function.numpy(space := pymanopt.manifolds.Sphere(48))
    problem = pymanopt.Problem(space, on(lambda x: -x @ a @ x / 2), euclidean_gradient=on(lambda x: -a @ x))
    return pymanopt.optimizers.ConjugateGradient(verbosity=0).run(problem, initial_point=x.astype(np.float64)).point


jax.block_until_ready(ours(MATRICES, STARTS))  # compiled once, for every batch of this shape
for name, solve, count in (("pulse_jax", ours, 256), ("pymanopt", lambda *some: np.array([*map(theirs, *some)]), 16)):
    began, (a, x) = time.perf_counter(), (MATRICES[:count], STARTS[:count])
    x, seconds = np.asarray(solve(a, x), np.float64), time.perf_counter() - began
    error = np.max(1 - np.einsum("ni,nij,nj->n", x, a, x) / np.linalg.eigvalsh(a.astype(np.float64))[:, -1])
    print(f"{name}: {1e3 * seconds / count:.2f} ms a matrix, eigenvalues within {error:.0e}")
