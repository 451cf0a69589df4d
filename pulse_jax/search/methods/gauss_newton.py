"""Gauss–Newton steps with Levenberg and Marquardt's damping on the spheres or flat spaces that a search runs on.

Adachi, Okuno and Takeda (2022), "Riemannian Levenberg–Marquardt method with global and local convergence properties",
with the damping of Nielsen (1999), "Damping parameter in Marquardt's method". The system is solved in the subspace that
so many iterations of conjugate gradients span, the same for every damping: a refused step is made shorter from what is
remembered, without another product.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.manifold import product
from pulse_jax.objectives.language import parse_loss
from pulse_jax.search.methods.line_search import UNKNOWN, dot, longest, plus, refuse_phases, scaled, turned
from pulse_jax.search.methods.protocol import Method, Products, Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.space import Variables

__all__ = ["gauss_newton"]

# Iterations of conjugate gradients: each takes a product with J, and all but the last one with Jᵀ.
_ITERATIONS = 3
# The first damping, as a share of the curvature along the gradient.
_DAMPING = 1.0
# A trial must lower the loss by this share of what the model promises.
_SUFFICIENT = 1e-4
# A damping below which single precision sees none.
_LEAST = 1e-6


class _State(NamedTuple):
    """The last point that was accepted, and the model of the loss around it.

    Attributes:
        radii: Radii of the spheres, which never change.
        base: The point, and with it `loss`.
        basis: Orthonormal tangent vectors, the first along the gradient; the rest zero where a residual has no more
            to say.
        slope: The loss's slope along each of them.
        curvature: The model's second derivatives between them.
        damping: Share of the curvature along the gradient that is added, and by what a refusal multiplies it, `growth`.
        promised: By how much the model says that the trial lowers the loss.
    """

    radii: Any
    base: Variables
    loss: Float[Array, ""]
    basis: tuple[Variables, ...]
    slope: Float[Array, "k"]
    curvature: Float[Array, "k k"]
    damping: Float[Array, ""]
    growth: Float[Array, ""]
    promised: Float[Array, ""]


def gauss_newton(setting: Setting) -> Method:
    """Return the method of damped Gauss–Newton steps; it is not random.

    The model's curvature is that of the squared residual; of the loss's other terms it has the slope. A look costs one
    evaluation and five products. `learning_rate` is the largest step: no latent row or noise image turns by more
    radians, or moves further where it is not on a sphere.

    Raises:
        ValueError: The search has phases, or no term of the loss is a squared residual.
    """
    refuse_phases(setting)
    names = [term.name for term in parse_loss(setting.config.loss)]
    if not _CURVATURES.keys() & names:
        raise ValueError(f"loss: expected one of {', '.join(_CURVATURES)} in it with the method gauss_newton")
    manifold, largest = setting.manifold, setting.numbers["learning_rate"]

    def init(point: Variables, key: PRNGKeyArray) -> _State:
        del key
        zeros = jax.tree.map(jnp.zeros_like, point)
        return _State(
            radii=product.radii(manifold, point),
            base=point,
            loss=jnp.float32(UNKNOWN),
            basis=(zeros,) * _ITERATIONS,
            slope=jnp.zeros(_ITERATIONS),
            curvature=jnp.zeros((_ITERATIONS, _ITERATIONS)),
            damping=jnp.float32(_DAMPING),
            growth=jnp.float32(2),
            promised=jnp.float32(0),
        )

    def update(key: PRNGKeyArray, state: _State, evaluation: Evaluation) -> tuple[Variables, _State]:
        del key
        fall = state.loss - evaluation.loss
        accepted = fall >= _SUFFICIENT * state.promised
        gain = jnp.clip(fall / jnp.maximum(state.promised, jnp.finfo(jnp.float32).tiny), 0.0, 1.0)
        eased = state.damping * jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
        basis, slope, curvature = _model(state.radii, evaluation)
        taken = state._replace(
            base=evaluation.point,
            loss=evaluation.loss,
            basis=basis,
            slope=slope,
            curvature=curvature,
            damping=jnp.where(state.loss == UNKNOWN, state.damping, jnp.maximum(eased, _LEAST)),
            growth=jnp.full_like(state.growth, 2),
        )
        refused = state._replace(damping=state.damping * state.growth, growth=2 * state.growth)
        new: _State = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), taken, refused)
        shares = _solved(new.curvature, new.damping, -new.slope)
        step = jax.tree.map(jnp.zeros_like, new.base)
        for share, vector in zip(shares, new.basis, strict=True):
            step = plus(step, share, vector)
        scale = jnp.minimum(1.0, largest / longest(manifold, step, new.radii))
        shares = scale * jnp.stack(shares)
        promised = -(shares @ new.slope) - 0.5 * shares @ new.curvature @ shares
        trial = turned(manifold, new.base, scaled(scale, step), new.radii)
        return trial, new._replace(promised=promised)

    def _model(radii: Any, evaluation: Evaluation) -> tuple[tuple[Variables, ...], Array, Array]:
        """The subspace, and the slope and curvature in it."""
        products: Products = evaluation.products
        weighted = zip(names, setting.numbers["weights"], strict=True)
        second = [weight * _CURVATURES[name](setting, evaluation) for name, weight in weighted if name in _CURVATURES]
        root = jnp.sqrt(sum(second))

        def tangent(vector: Variables) -> Variables:
            return product.to_tangent(manifold, evaluation.point, vector, radii=radii)

        gradient = tangent(evaluation.gradient)
        basis, images = [_unit(gradient, ())], []
        while len(images) < _ITERATIONS:
            images.append(root * products.jvp(basis[-1]))
            if len(basis) < _ITERATIONS:
                basis.append(_unit(tangent(products.vjp(root * images[-1])), basis))
        curvature = jnp.stack([jnp.stack([jnp.sum(a * b) for b in images]) for a in images])
        return tuple(basis), jnp.stack([dot(gradient, vector) for vector in basis]), curvature

    return Method(init, update)


def _unit(vector: Variables, others: Any) -> Variables:
    """The part of a vector that is orthogonal to others, of length 1; zero where it is but rounding."""
    size = dot(vector, vector)
    for _ in range(2):  # once more, for what rounding has left
        for other in others:
            vector = plus(vector, -dot(vector, other), other)
    rest = dot(vector, vector)
    some = rest > 1e-10 * size
    return scaled(jnp.where(some, jax.lax.rsqrt(jnp.where(some, rest, 1.0)), 0.0), vector)


def _solved(curvature: Array, damping: Array, right: Array) -> list[Array]:
    """(C + λ I)⁻¹ r by elimination; C has no negative eigenvalue, so that nothing need be exchanged."""
    count = len(right)
    added = jnp.maximum(damping * curvature[0, 0], 1e-30)  # also where nothing curves
    rows = [[curvature[i, j] + (added if i == j else 0.0) for j in range(count)] + [right[i]] for i in range(count)]
    for i in range(count):
        for j in range(i + 1, count):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    solution: list[Array] = []
    for i in reversed(range(count)):
        known = sum((rows[i][i + 1 + k] * value for k, value in enumerate(solution)), start=jnp.float32(0))
        solution.insert(0, (rows[i][-1] - known) / rows[i][i])
    return solution


_CURVATURES = {
    "L2": lambda setting, evaluation: 2.0 / evaluation.residual.size,
    "SQUARES": lambda setting, evaluation: 8.0 * (evaluation.picture.shape[0] / evaluation.residual.shape[0]) ** 2,
    "GAUSSIAN": lambda setting, evaluation: 1.0 / setting.numbers["noise_scale"] ** 2,
}
