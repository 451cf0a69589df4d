"""Geometry of the sphere of a given radius in R^d, as pure functions on the last axis.

Points are arrays (..., d) of norm `radius`, tangent vectors at x are arrays (..., d) orthogonal to x, in the same
units. Leading axes broadcast; `radius` is positive, a number or an array that broadcasts against them (one radius per
sphere, without the last axis). The sphere carries the metric of R^d, so lengths are arc lengths: radius times angle.

Values and gradients are finite everywhere, also where the functions are not smooth (x = y, antipodes, zero vectors).
NaNs pass through. Nothing goes through an arc cosine, whose rounding hides angles below 0.014 rad in float32.

Every function raises ValueError, when traced, for shapes that do not fit together.

Sources: Absil, Mahony and Sepulchre, "Optimization Algorithms on Matrix Manifolds" (2008), examples 3.5.1, 4.1.1,
5.4.1 and 8.1.1; Boumal, "An Introduction to Optimization on Smooth Manifolds" (2023), sections 7.2 and 10.2.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Key, UInt32

__all__ = ["distance", "exp", "log", "norm", "project", "random_uniform", "retract", "slerp", "to_tangent", "transport"]

# Below this square of an angle, power series of four terms are exact to rounding even in float64.
_SMALL_SQUARE = 1e-4


def _column(radius: ArrayLike, **arrays: Array) -> Array:
    """The radius with a last axis of 1 and the arrays' dtype, once all shapes are known to fit."""
    (first, x), *_ = arrays.items()
    for name, array in arrays.items():
        if array.ndim == 0:
            raise ValueError(f"{name}: expected an array (..., d), got a scalar")
        if array.shape[-1] != x.shape[-1]:
            raise ValueError(f"{name}: expected a last axis of {x.shape[-1]}, like {first}'s; got shape {array.shape}")
    batches = {name: array.shape[:-1] for name, array in arrays.items()} | {"radius": jnp.shape(radius)}
    try:
        np.broadcast_shapes(*batches.values())
    except ValueError:
        raise ValueError(f"{', '.join(batches)}: expected leading axes that broadcast, got {batches}") from None
    return jnp.asarray(radius, x.dtype)[..., None]


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=-1, keepdims=True)


def _scaled(x: Array) -> tuple[Array, Array, Array]:
    """x over its largest entry, that entry, and whether it is zero (then ones stand in for x).

    The squares of the scaled vector neither overflow nor vanish. The scale is held constant in gradients: what the
    callers compute does not depend on it.
    """
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    zero = scale < jnp.finfo(x.dtype).tiny
    return jnp.where(zero, 1.0, x / jnp.where(zero, 1.0, scale)), scale, zero


def _norm(x: Array) -> Array:
    scaled, scale, zero = _scaled(x)
    return jnp.where(zero, 0.0, scale * jnp.sqrt(_dot(scaled, scaled)))


def _unit(x: Array) -> Array:
    scaled, _, zero = _scaled(x)
    return jnp.where(zero, 0.0, scaled / jnp.sqrt(_dot(scaled, scaled)))


def _root(square: Array) -> Array:
    """The square root, with gradient zero at zero."""
    zero = square == 0.0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))


def _any_tangent(x: Array) -> Array:
    """A unit tangent vector at the unit vector x: the first coordinate axis made tangent; near it, the second."""
    axis = (jnp.arange(x.shape[-1]) == (jnp.abs(x[..., :1]) > 0.8)).astype(x.dtype)
    tangent = axis - x * _dot(x, axis)
    # In one dimension it is zero.
    return jax.lax.stop_gradient(tangent / jnp.sqrt(jnp.maximum(_dot(tangent, tangent), jnp.finfo(x.dtype).tiny)))


def _midpoint(x: Array, total: Array, difference: Array) -> Array:
    """The unit vector to the middle of the shortest geodesic from x to y; at the antipode, of one of them.

    From x, x + y and y - x over the radius: the last two are exact where small, unless they are formed after dividing.
    """
    # Exactly, sum and difference are orthogonal. For distant points the rounding of their norms spoils a small sum:
    # restore it. For close ones it would spoil the difference, and the sum is good as it is.
    square = _dot(difference, difference)
    far = square > 2.0
    total = total - jnp.where(far, difference * (_dot(difference, total) / jnp.where(far, square, 1.0)), 0.0)
    square = _dot(total, total)
    antipodal = square <= jnp.finfo(x.dtype).eps ** 2
    return jnp.where(antipodal, _any_tangent(x), total / jnp.sqrt(jnp.where(antipodal, 1.0, square)))


def norm(x: Float[Array, "... d"]) -> Float[Array, "..."]:
    """Return the Euclidean norm (...) of the last axis, without overflow or underflow; its gradient at zero is zero."""
    _column(1.0, x=x)
    return _norm(x)[..., 0]


def project(x: Float[Array, "... d"], *, radius: ArrayLike) -> Float[Array, "... d"]:
    """Return the point of the sphere nearest to x, radius x / |x|. The zero vector, which has none, stays zero."""
    return _column(radius, x=x) * _unit(x)


def to_tangent(x: Float[Array, "... d"], v: Float[Array, "... d"], *, radius: ArrayLike) -> Float[Array, "... d"]:
    """Return the tangent vector at x nearest to the ambient vector v: v - u <u, v> with u = x / radius.

    Turns the gradient of a function on R^d into the Riemannian gradient of its restriction to the sphere.
    """
    unit = x / _column(radius, x=x, v=v)
    return v - unit * _dot(unit, v)


def exp(x: Float[Array, "... d"], v: Float[Array, "... d"], *, radius: ArrayLike) -> Float[Array, "... d"]:
    """Return the end of the geodesic that leaves x with the tangent vector v and is |v| long; exactly x for v = 0.

    cos(t) x + sin(t)/t v with the angle t = |v| / radius.
    """
    column = _column(radius, x=x, v=v)
    angle = v / column
    # Both coefficients are smooth in the square of the angle, so no root stands in the way of gradients at v = 0.
    square = _dot(angle, angle)
    small = square < _SMALL_SQUARE
    low, t = jnp.where(small, square, 0.0), jnp.sqrt(jnp.where(small, 1.0, square))
    cosine = jnp.where(small, 1.0 - low / 2 * (1.0 - low / 12 * (1.0 - low / 30)), jnp.cos(t))
    sinc = jnp.where(small, 1.0 - low / 6 * (1.0 - low / 20 * (1.0 - low / 42)), jnp.sin(t) / t)
    return cosine * x + sinc * v


def log(x: Float[Array, "... d"], y: Float[Array, "... d"], *, radius: ArrayLike) -> Float[Array, "... d"]:
    """Return the tangent vector at x whose geodesic ends in y: the inverse of `exp` within half a turn, 0 for y = x.

    Its length is `distance(x, y)`. At the antipode (to rounding) every tangent vector of length pi radius would do: it
    is the one along the first coordinate axis, or along the second where |x_1| > 0.8 radius, with zero gradient. Close
    to it gradients grow like 1 / (pi - angle), to about 1 / (machine epsilon).
    """
    column = _column(radius, x=x, y=y)
    unit, total, difference = x / column, (x + y) / column, (y - x) / column
    # y, y - x and the midpoint differ by multiples of x and of each other, so they have one tangent direction. The
    # difference of close points has no rounding error; for distant ones the midpoint is the accurate choice.
    square = _dot(difference, difference) / 4.0  # sin²(angle / 2)
    ambient = jnp.where(square < 0.5, difference, _midpoint(unit, total, difference))
    tangent = ambient - unit * _dot(unit, ambient)
    # angle / sin(angle) as a series in sin²(angle / 2)
    small = square < _SMALL_SQUARE
    low = jnp.where(small, square, 0.0)
    series = 1.0 + low * (2 / 3 + low * (8 / 15 + low * 16 / 35))
    angle = 2.0 * jnp.arctan2(_root(square), _root(_dot(total, total) / 4.0))
    size = _root(jnp.where(small, 1.0, _dot(tangent, tangent)))
    return column * tangent * jnp.where(small, series, angle / jnp.where(size == 0.0, 1.0, size))


def retract(x: Float[Array, "... d"], v: Float[Array, "... d"], *, radius: ArrayLike) -> Float[Array, "... d"]:
    """Step along the tangent vector v by projection, project(x + v): cheaper than `exp`, equal to second order."""
    _column(radius, x=x, v=v)
    return project(x + v, radius=radius)


def transport(
    x: Float[Array, "... d"], y: Float[Array, "... d"], v: Float[Array, "... d"], *, radius: ArrayLike
) -> Float[Array, "... d"]:
    """Carry the tangent vector v at x in parallel along the shortest geodesic to y: tangent there, of equal length.

    v - 2 m <m, v>, where m is the unit vector towards the midpoint, x + y normalised. As a reflection it keeps
    lengths and angles to rounding, however close or far the points are. At the antipode (to rounding) the geodesic is
    the one that `log` takes, and the gradient with respect to x and y is zero.
    """
    column = _column(radius, x=x, y=y, v=v)
    middle = _midpoint(x / column, (x + y) / column, (y - x) / column)
    return v - 2.0 * middle * _dot(middle, v)


def distance(x: Float[Array, "... d"], y: Float[Array, "... d"], *, radius: ArrayLike) -> Float[Array, "..."]:
    """Return the length (...) of the shortest geodesic, 2 radius atan2(|x - y|, |x + y|), between 0 and pi radius.

    Accurate for close and for nearly antipodal points; exactly 0 for x = y. Its gradient has norm 1, except at x = y
    and at the antipode, where it is zero.
    """
    column = _column(radius, x=x, y=y)
    apart, together = _norm((x - y) / column), _norm((x + y) / column)
    # Two zero vectors are on no sphere, but atan2(0, 0) would make a NaN of their gradient.
    together = jnp.where((apart == 0.0) & (together == 0.0), 1.0, together)
    return (2.0 * column * jnp.arctan2(apart, together))[..., 0]


def random_uniform(
    key: Key[Array, ""] | UInt32[Array, "2"],
    shape: tuple[int, ...],
    *,
    radius: ArrayLike,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "..."]:
    """Draw independent points (..., d), uniform on their spheres, of this shape: standard normal vectors, projected."""
    return project(jax.random.normal(key, shape, dtype), radius=radius)


def slerp(x: Float[Array, "*batch d"], y: Float[Array, "*batch d"], way: Float[Array, ""]) -> Float[Array, "*batch d"]:
    """Return the point that lies `way` in [0, 1] from x to y along the shortest arc of each row's sphere.

    Where norms differ, as those of Gaussian starts do, the norm passes evenly from one to the other; a zero stays zero.
    """
    start, end = (project(point, radius=1.0) for point in (x, y))
    arc = exp(start, way * log(start, end, radius=1.0), radius=1.0)
    return arc * ((1.0 - way) * norm(x) + way * norm(y))[..., None]
