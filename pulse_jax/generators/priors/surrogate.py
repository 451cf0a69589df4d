"""A small network that stands for D∘G: the start that it leads near the input before a search's first look, and what it
knows of the curvature there.

A surrogate maps coordinates of the searched rows, u (L, d), whitened and on spheres, to a low-resolution image. The
coordinates span the latent's active subspace (Constantine, Dow and Wang 2014, "Active subspace methods in theory and
practice"): the directions in which D∘G changes most. `surrogate_fitting` makes it; what it costs stands there.

Steps have a metric M, a prior covariance of moves: what all rows do together is distributed as mapped w is, and each
row alone a little of that. The coordinates are scaled so that basisᵀ M basis = I.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax.images.degradations.bicubic import bicubic_matrix
from pulse_jax.manifold import sphere

__all__ = [
    "Curvature",
    "Surrogate",
    "approach",
    "corrected_step",
    "curvature_at",
    "gauss_newton_step",
    "in_metric",
    "inverse_curvature",
    "seen_by",
    "side_of",
    "suited",
    "with_jacobian",
]

# How much of the covariance each row has to itself. Fits are made for this number.
_APART = 0.1
# Of the approach: steps, their damping, and the largest angle by which a row may turn in one.
_STEPS, _DAMPING, _LARGEST = 6, 1e-2, 0.5
# Conjugate gradients end after so many steps, enough for the damping above, or once this share of a residual is left.
_ITERATIONS, _SOLVED = 48, 1e-6


class Surrogate(NamedTuple):
    """A multilayer perceptron of two hidden layers beside a linear map, and where its inputs come from.

    Attributes:
        basis: Coordinates' directions (L, d, k).
        metric: Covariance of mapped w on its sphere, with a share of the identity, (d, d).
        weight_1, bias_1, weight_2, bias_2: Hidden layers, (k, h), (h,), (h, h) and (h,).
        weight_3, linear, bias_3: What leads to the pixels from the last of them and from the coordinates, (h, m),
            (k, m) and (m,); m is side · side · 3.
    """

    basis: Float[Array, "layers d k"]
    metric: Float[Array, "d d"]
    weight_1: Float[Array, "k h"]
    bias_1: Float[Array, " h"]
    weight_2: Float[Array, "h h"]
    bias_2: Float[Array, " h"]
    weight_3: Float[Array, "h m"]
    linear: Float[Array, "k m"]
    bias_3: Float[Array, " m"]


def side_of(surrogate: Surrogate) -> int:
    """Return the side of the images that a surrogate was fitted to, in pixels."""
    return math.isqrt(surrogate.bias_3.shape[-1] // 3)


def in_metric(metric: Float[Array, "d d"], rows: Float[Array, "layers d *rest"]) -> Float[Array, "layers d *rest"]:
    """Return M v for vectors v (L, d), which may stand beside each other in a last axis."""
    moved = jnp.sum(rows, axis=0, keepdims=True) + _APART * rows
    return jnp.einsum("de,le...->ld...", metric, moved, precision=jax.lax.Precision.HIGHEST)


def with_jacobian(
    surrogate: Surrogate, coordinates: Float[Array, " k"]
) -> tuple[Float[Array, " m"], Float[Array, "m k"]]:
    """Return the image at a point, and the Jacobian there."""

    def bent(x: Array) -> tuple[Array, Array]:
        return jax.jvp(jax.nn.gelu, (x,), (jnp.ones_like(x),))

    first, slope_1 = bent(_product(coordinates, surrogate.weight_1) + surrogate.bias_1)
    second, slope_2 = bent(_product(first, surrogate.weight_2) + surrogate.bias_2)
    linear = _product(coordinates, surrogate.linear)
    image = _product(second, surrogate.weight_3) + linear + surrogate.bias_3
    inner = _product(surrogate.weight_1 * slope_1, surrogate.weight_2 * slope_2)
    return image, (_product(inner, surrogate.weight_3) + surrogate.linear).T


def gauss_newton_step(
    surrogate: Surrogate, rows: Float[Array, "layers d"], target: Float[Array, " m"], damping: float
) -> Float[Array, "layers d"]:
    """Return the step s that minimises |f + J s − target|² + damping · |s|² in the metric M⁻¹.

    It lies in M times the span of the basis; what is beyond it, a point's own part that D∘G hardly sees, stays.

    Args:
        surrogate: Surrogate f, with Jacobian J.
        rows: Point to step from.
        target: Low-resolution image, flattened.
        damping: Share of the step's own square.
    """
    image, jacobian = with_jacobian(surrogate, _along(surrogate, rows))
    normal = _product(jacobian.T, jacobian)
    right = jnp.sum(jacobian * (target - image)[:, None], axis=0)
    return _across(surrogate, _solve(normal, damping, right))


class Curvature(NamedTuple):
    """What a surrogate knows at a point, of its Jacobian J and a damping (see `gauss_newton_step`).

    Attributes:
        inverse: damping · (JᵀJ + damping · I)⁻¹.
        pseudo_inverse: (JᵀJ + damping · I)⁻¹ Jᵀ.
    """

    inverse: Float[Array, "k k"]
    pseudo_inverse: Float[Array, "k m"]


def curvature_at(surrogate: Surrogate, rows: Float[Array, "layers d"], *, damping: float = _DAMPING) -> Curvature:
    """Return what a surrogate knows at a point."""
    _, jacobian = with_jacobian(surrogate, _along(surrogate, rows))
    size = jacobian.shape[1]

    def exchange(pivot: Array, matrix: Array) -> Array:
        """One variable by Gauss and Jordan; what is positive definite needs no other pivots."""
        here = jnp.arange(size) == pivot
        inverse = 1.0 / matrix[pivot, pivot]
        row = jnp.where(here, inverse, matrix[pivot] * inverse)
        column = matrix[:, pivot]
        rest = jnp.where(here, -column[:, None] * inverse, matrix - column[:, None] * row)
        return jnp.where(here[:, None], row, rest)

    # As of `_solve`: sums of LAPACK's may depend on the number of threads.
    damped = _product(jacobian.T, jacobian) + damping * jnp.eye(size)
    inverse = jax.lax.fori_loop(0, size, exchange, damped)
    return Curvature(damping * inverse, _product(inverse, jacobian.T))


def corrected_step(
    surrogate: Surrogate, curvature: Curvature, residual: Float[Array, " m"]
) -> Float[Array, "layers d"]:
    """Return the Gauss–Newton step from the residual of D∘G itself, where the surrogate gives the Jacobian alone.

    What the surrogate is off at the point is so made good (defect correction; Stetter 1978).

    Args:
        surrogate: Surrogate whose images have the size of the residual (`suited`).
        curvature: What it knows at the point.
        residual: D(G(x)) − y there, flattened.
    """
    return _across(surrogate, -_times(curvature.pseudo_inverse, residual))


def inverse_curvature(
    surrogate: Surrogate, curvature: Curvature, vector: Float[Array, "layers d"]
) -> Float[Array, "layers d"]:
    """Return damping · (B JᵀJ Bᵀ + damping · M⁻¹)⁻¹ v of the basis B.

    It is the inverse of the curvature that a squared error has, up to a number, with the metric's own beyond what the
    coordinates see; symmetric and positive definite.

    Args:
        surrogate: Surrogate.
        curvature: What it knows at the point, or near it.
        vector: Vector v.
    """
    moved = in_metric(surrogate.metric, vector)
    along = _along(surrogate, moved)
    # Woodbury's identity, with Bᵀ M B = I.
    return moved - _across(surrogate, along - _times(curvature.inverse, along))


def _along(surrogate: Surrogate, rows: Float[Array, "layers d"]) -> Float[Array, " k"]:
    """Coordinates of rows, Bᵀ u."""
    each = jnp.einsum("ld,ldk->lk", rows, surrogate.basis, precision=jax.lax.Precision.HIGHEST)
    return jnp.sum(each, axis=0)


def _across(surrogate: Surrogate, coordinates: Float[Array, " k"]) -> Float[Array, "layers d"]:
    """The move of least length in the metric with these coordinates, M B a."""
    rows = jnp.einsum("ldk,k->ld", surrogate.basis, coordinates, precision=jax.lax.Precision.HIGHEST)
    return in_metric(surrogate.metric, rows)


def approach(
    surrogate: Surrogate,
    rows: Float[Array, "layers d"],
    target: Float[Array, "size size 3"],
    resolution: int,
    *,
    steps: int = _STEPS,
    damping: float = _DAMPING,
) -> Float[Array, "layers d"]:
    """Return where Gauss–Newton steps on the surrogate alone lead from a point: rows on their spheres of radius √d.

    Of inputs of other sizes, see `suited` and `seen_by`.

    Args:
        surrogate: Surrogate of the generator that is searched.
        rows: Start, on the spheres.
        target: Low-resolution image of any side that D can make.
        resolution: Side of the generator's images, in pixels.
        steps: How many steps are taken.
        damping: See `gauss_newton_step`.
    """
    surrogate = suited(surrogate, resolution, target.shape[0])
    goal = seen_by(surrogate, resolution, target)
    radius = math.sqrt(rows.shape[-1])

    def step(_: Array, rows: Array) -> Array:
        ambient = gauss_newton_step(surrogate, rows, goal, damping)
        tangent = sphere.to_tangent(rows, ambient, radius=radius)
        angle = jnp.max(sphere.norm(tangent)) / radius
        tangent = tangent * jnp.minimum(1.0, _LARGEST / jnp.maximum(angle, jnp.finfo(angle.dtype).tiny))
        moved = sphere.project(sphere.exp(rows, tangent, radius=radius), radius=radius)
        # An input that holds no numbers must not cost the start its own.
        return jnp.where(jnp.all(jnp.isfinite(moved)), moved, rows)

    return jax.lax.fori_loop(0, steps, step, rows)


@functools.cache
def _axis_between(resolution: int, one: int, other: int) -> np.ndarray:
    """From D's images of side `one` to those of side `other` along an axis, as near as the first can tell: D' D⁺."""

    def downscaling(side: int) -> np.ndarray:
        return np.eye(resolution) if side == resolution else bicubic_matrix(resolution, resolution // side)

    return (downscaling(other) @ np.linalg.pinv(downscaling(one))).astype(np.float32)


def _resized(images: Float[Array, "*batch h w c"], resolution: int, side: int) -> Float[Array, "*batch h2 w2 c"]:
    axis = _axis_between(resolution, images.shape[-2], side)
    highest = jax.lax.Precision.HIGHEST
    images = jnp.einsum("ph,...hwc->...pwc", axis, images, precision=highest)
    return jnp.einsum("qw,...pwc->...pqc", axis, images, precision=highest)


def suited(surrogate: Surrogate, resolution: int, side: int) -> Surrogate:
    """Return the surrogate of images of a side where they are smaller than its own: behind the linear map to them.

    Args:
        surrogate: Surrogate.
        resolution: Side of the generator's images, in pixels.
        side: Side of the low-resolution images.
    """
    own = side_of(surrogate)
    if side >= own:
        return surrogate
    parts = {
        name: _resized(getattr(surrogate, name).reshape(-1, own, own, 3), resolution, side)
        for name in ("weight_3", "linear", "bias_3")
    }
    shapes = {"weight_3": (-1, 3 * side**2), "linear": (-1, 3 * side**2), "bias_3": (-1,)}
    return surrogate._replace(**{name: part.reshape(shapes[name]) for name, part in parts.items()})


def seen_by(surrogate: Surrogate, resolution: int, image: Float[Array, "size size 3"]) -> Float[Array, " m"]:
    """Return what a surrogate can be compared with of an image of its side or of a larger one, flattened.

    Args:
        surrogate: Surrogate, suited to no larger images than this.
        resolution: Side of the generator's images, in pixels.
        image: Low-resolution image, or a difference of two.
    """
    own = side_of(surrogate)
    return (image if len(image) == own else _resized(image, resolution, own)).ravel()


def _solve(matrix: Float[Array, "k k"], damping: float, right: Float[Array, " k"]) -> Float[Array, " k"]:
    """Solve (matrix + damping · I) x = right by conjugate gradients (Hestenes and Stiefel 1952).

    LAPACK's factorisations may depend on the number of threads; these sums do not.
    """

    def step(_: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, residual, direction = state
        square = jnp.sum(residual * residual)
        along = jnp.sum(matrix * direction, axis=-1) + damping * direction
        curvature = jnp.sum(direction * along)
        # What is left of a solved system is rounding, which must not be followed.
        goes_on = (square > least) & (curvature > 0)
        rate = jnp.where(goes_on, square / jnp.where(goes_on, curvature, 1.0), 0.0)
        new = residual - rate * along
        turn = jnp.where(goes_on, jnp.sum(new * new) / jnp.where(goes_on, square, 1.0), 0.0)
        return x + rate * direction, new, new + turn * direction

    least = _SOLVED**2 * jnp.sum(right * right)
    return jax.lax.fori_loop(0, _ITERATIONS, step, (jnp.zeros_like(right), right, right))[0]


def _times(matrix: Float[Array, "k m"], vector: Float[Array, " m"]) -> Float[Array, " k"]:
    return jnp.sum(matrix * vector, axis=-1)


def _product(x: Array, matrix: Array) -> Array:
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)
