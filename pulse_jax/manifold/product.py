"""Where searched variables live: spheres, Euclidean spaces and products of them.

A product manifold is a pytree of `Sphere` and `Euclidean`, a prefix of the variables' pytree, as in `jax.vmap`'s
in_axes: {"latent": Sphere(), "noise": Sphere(axes=(-3, -2))} for {"latent": (L, d), "noise": a tuple of (r, r, 1)},
or one `Sphere()` for a whole tree. Manifolds are static and hashable: close over them, or make them static arguments
of `jax.jit`.

The module's functions map the manifolds' methods of the same name over such trees. `radii` are computed once, from
the start, and passed to all others: deriving them again from points that carry rounding errors would let them drift.
A tree of radii has the variables' structure, with an array of shape (…, 1) per sphere (the variable's, with the
sphere's axes reduced to 1, so that it broadcasts), the start for `NearStart` and None for other Euclidean variables.

Every function raises ValueError, when traced, where the manifold is no prefix of the variables or where shapes do not
fit.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree, UInt32

from pulse_jax.manifold import sphere

__all__ = [
    "Euclidean",
    "L1Ball",
    "NearStart",
    "Sphere",
    "distance",
    "exp",
    "expand",
    "log",
    "normalize",
    "norms",
    "project",
    "radii",
    "random_uniform",
    "rescale",
    "retract",
    "to_tangent",
    "transport",
]

_Key = Key[Array, ""] | UInt32[Array, "2"]
# Under the root of a squared norm, as in the PULSE program: the norm of an image of zeros can be divided by.
_SQUARED_NORM_FLOOR = 1e-9


def _check_shapes(**arrays: Array) -> None:
    (first, x), *rest = arrays.items()
    for name, array in rest:
        if array.shape != x.shape:
            raise ValueError(f"{name}: expected the shape of {first}, {x.shape}; got {array.shape}")


def _floored_norm(x: Array, axes: tuple[int, ...]) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=axes, keepdims=True) + _SQUARED_NORM_FLOOR)


@dataclasses.dataclass(frozen=True)
class Sphere:
    """Spheres over trailing axes of an array, one for every index of the others.

    Attributes:
        axes: Axes, negative, that hold the coordinates of one sphere: (-1,) for latents (L, d), (-3, -2) for noise
            images (r, r, 1) with one sphere per channel.
        radius: Radius of all spheres; None for each one's norm at the start, sqrt(sum(x²) + 1e-9) as in PULSE's
            program.
        centred: Whether only the part of each sphere counts whose coordinates have mean zero, itself a sphere: noise
            images with no brightness of their own.

    Raises:
        ValueError: The axes are empty, repeated or not negative, or the radius is not positive and finite.
    """

    axes: tuple[int, ...] = (-1,)
    radius: float | None = None
    centred: bool = False

    def __post_init__(self) -> None:
        if not self.axes or len(set(self.axes)) != len(self.axes) or max(self.axes) >= 0:
            raise ValueError(f"axes: expected different negative axes, got {self.axes}")
        if self.radius is not None and not 0.0 < self.radius < math.inf:
            raise ValueError(f"radius: expected a positive number or None, got {self.radius}")

    def check(self, name: str, x: Array | jax.ShapeDtypeStruct) -> None:
        """Raise ValueError, naming the array, if x lacks one of the axes."""
        if x.ndim < -min(self.axes):
            raise ValueError(f"{name}: expected at least {-min(self.axes)} axes for {self}, got shape {x.shape}")

    def size(self, x: Array | jax.ShapeDtypeStruct) -> int:
        """Return the number of coordinates of one sphere of x."""
        return math.prod(x.shape[axis] for axis in self.axes)

    def _fold(self, x: Array) -> Array:
        """x with the sphere's axes as the last one."""
        last = range(-len(self.axes), 0)
        return jnp.moveaxis(x, self.axes, last).reshape(*self._batch(x), self.size(x))

    def _unfold(self, folded: Array, x: Array) -> Array:
        """The folded array in the layout of x."""
        last = range(-len(self.axes), 0)
        sizes = [x.shape[axis] for axis in self.axes]
        return jnp.moveaxis(folded.reshape(*self._batch(x), *sizes), last, self.axes)

    def _lift(self, function: Callable[..., Array], radius: Array, **arrays: Array) -> Array:
        """A function of `sphere` on arrays of one layout; its result has the sphere's axes last, or none."""
        _check_shapes(**arrays)
        return function(*map(self._fold, arrays.values()), radius=jnp.squeeze(radius, self.axes))

    def _centre(self, x: Array) -> Array:
        return x - jnp.mean(x, axis=self.axes, keepdims=True) if self.centred else x

    def _batch(self, x: Array) -> tuple[int, ...]:
        return tuple(size for axis, size in enumerate(x.shape, -x.ndim) if axis not in self.axes)

    def radii(self, x: Array) -> Array:
        """Return the spheres' radii (…, 1), from a start x."""
        if self.radius is None:
            return _floored_norm(x, self.axes)
        shape = [1 if axis in self.axes else size for axis, size in enumerate(x.shape, -x.ndim)]
        return jnp.full(shape, self.radius, x.dtype)

    def norms(self, v: Array) -> Array:
        """Return the norms (…, 1) of vectors, one per sphere."""
        return jnp.expand_dims(sphere.norm(self._fold(v)), self.axes)

    def project(self, x: Array, *, radius: Array) -> Array:
        """See `sphere.project`."""
        return self._unfold(self._lift(sphere.project, radius, x=self._centre(x)), x)

    def rescale(self, x: Array, *, radius: Array) -> Array:
        """Return x / sqrt(sum(x²) + 1e-9) · radius, the PULSE program's way back to the sphere."""
        x = self._centre(x)
        return x / _floored_norm(x, self.axes) * radius

    def normalize(self, v: Array, *, radius: Array) -> Array:
        """Make tangent vectors `radius` long, a step of one radian; zero stays zero."""
        return self.project(v, radius=radius)

    def to_tangent(self, x: Array, v: Array, *, radius: Array) -> Array:
        """See `sphere.to_tangent`."""
        return self._unfold(self._lift(sphere.to_tangent, radius, x=x, v=self._centre(v)), x)

    def exp(self, x: Array, v: Array, *, radius: Array) -> Array:
        """See `sphere.exp`."""
        return self._unfold(self._lift(sphere.exp, radius, x=x, v=v), x)

    def log(self, x: Array, y: Array, *, radius: Array) -> Array:
        """See `sphere.log`."""
        return self._unfold(self._lift(sphere.log, radius, x=x, y=y), x)

    def retract(self, x: Array, v: Array, *, radius: Array) -> Array:
        """See `sphere.retract`."""
        return self._unfold(self._lift(sphere.retract, radius, x=x, v=v), x)

    def transport(self, x: Array, y: Array, v: Array, *, radius: Array) -> Array:
        """See `sphere.transport`."""
        return self._unfold(self._lift(sphere.transport, radius, x=x, y=y, v=v), x)

    def distance(self, x: Array, y: Array, *, radius: Array) -> Array:
        """Return the arc lengths (…, 1), one per sphere; see `sphere.distance`."""
        return jnp.expand_dims(self._lift(sphere.distance, radius, x=x, y=y), self.axes)

    def random_uniform(self, key: _Key, like: Array | jax.ShapeDtypeStruct) -> Array:
        """Draw uniform points in the shape and dtype of `like`, on spheres of radius sqrt(size) if none is fixed."""
        x = jax.random.normal(key, like.shape, like.dtype)
        fixed = self if self.radius is not None else dataclasses.replace(self, radius=math.sqrt(self.size(x)))
        return fixed.project(x, radius=fixed.radii(x))


@dataclasses.dataclass(frozen=True)
class Euclidean:
    """An unconstrained array: the methods of `Sphere` without curvature. The radius is not used.

    Attributes:
        axes: Trailing axes, negative, that hold one vector, of which norms and steps of length 1 are taken; None
            for the whole array as one vector.
    """

    axes: tuple[int, ...] | None = None

    def check(self, name: str, x: Array | jax.ShapeDtypeStruct) -> None:
        """Raise ValueError, naming the array, if x lacks one of the axes."""
        if self.axes is not None and x.ndim < -min(self.axes):
            raise ValueError(f"{name}: expected at least {-min(self.axes)} axes for {self}, got shape {x.shape}")

    def radii(self, x: Array) -> Array | None:
        """Return None: a flat space has no radius."""

    def norms(self, v: Array) -> Array:
        """Return the norm of each vector, with its axes reduced to 1."""
        if self.axes is None:
            return sphere.norm(v.reshape(-1)).reshape((1,) * v.ndim)
        return Sphere(self.axes).norms(v)

    def project(self, x: Array, *, radius: Array | None) -> Array:
        """Return x itself."""
        return x

    def rescale(self, x: Array, *, radius: Array | None) -> Array:
        """Return x itself."""
        return x

    def normalize(self, v: Array, *, radius: Array | None) -> Array:
        """Return v with the norm of each vector made 1; zero stays zero."""
        if self.axes is None:
            return sphere.project(v.reshape(-1), radius=1.0).reshape(v.shape)
        unit = Sphere(self.axes, radius=1.0)
        return unit.project(v, radius=unit.radii(v))

    def to_tangent(self, x: Array, v: Array, *, radius: Array | None) -> Array:
        """Return v itself."""
        _check_shapes(x=x, v=v)
        return v

    def exp(self, x: Array, v: Array, *, radius: Array | None) -> Array:
        """Return x + v."""
        _check_shapes(x=x, v=v)
        return x + v

    def log(self, x: Array, y: Array, *, radius: Array | None) -> Array:
        """Return y - x."""
        _check_shapes(x=x, y=y)
        return y - x

    def retract(self, x: Array, v: Array, *, radius: Array | None) -> Array:
        """Return x + v."""
        return self.exp(x, v, radius=radius)

    def transport(self, x: Array, y: Array, v: Array, *, radius: Array | None) -> Array:
        """Return v itself."""
        _check_shapes(x=x, y=y, v=v)
        return v

    def distance(self, x: Array, y: Array, *, radius: Array | None) -> Array:
        """Return |x - y| of each vector, with its axes reduced to 1."""
        return self.norms(self.log(x, y, radius=radius))

    def random_uniform(self, key: _Key, like: Array | jax.ShapeDtypeStruct) -> Array:
        """Draw a standard normal array in the shape and dtype of `like`: a flat space has no uniform distribution."""
        return jax.random.normal(key, like.shape, like.dtype)


@dataclasses.dataclass(frozen=True)
class L1Ball(Euclidean):
    """Arrays whose mean absolute value is at most `mean_absolute`: small or sparse offsets.

    A flat space with a border: steps are Euclidean, and what leaves the ball is put back on its nearest point.

    Attributes:
        mean_absolute: Largest mean absolute value, positive.
    """

    mean_absolute: float = 1.0

    def project(self, x: Array, *, radius: Array | None) -> Array:
        """Project onto the ball (Duchi et al. 2008, "Efficient projections onto the l1-ball", figure 1)."""
        return _into_l1_ball(x, self.mean_absolute * x.size)

    def rescale(self, x: Array, *, radius: Array | None) -> Array:
        """See `project`."""
        return self.project(x, radius=radius)


@dataclasses.dataclass(frozen=True)
class NearStart(Euclidean):
    """Vectors that stay near where they started: each in an L1 ball around its start, which stands for a radius.

    A flat space with a border: steps are Euclidean, and what leaves the ball is put back on its nearest point. That
    leaves most coordinates of the way at zero (RLS+, Gheisari and Genovesio 2023).

    Attributes:
        norm: Largest L1 norm of the way from the start, of each vector, positive.
    """

    axes: tuple[int, ...] | None = (-1,)
    norm: float = 1.0

    def radii(self, x: Array) -> Array:
        """Return the start, a copy of it."""
        return jnp.array(x, copy=True)

    def project(self, x: Array, *, radius: Array | None) -> Array:
        """Put what is outside of the balls on their nearest points; `radius` is the start."""
        if self.axes != (-1,) or radius is None:
            raise ValueError(f"radius: expected the start, and vectors along the last axis, got axes {self.axes}")
        way = (x - radius).reshape(-1, x.shape[-1])
        return radius + jax.vmap(lambda row: _into_l1_ball(row, self.norm))(way).reshape(x.shape)

    def rescale(self, x: Array, *, radius: Array | None) -> Array:
        """See `project`."""
        return self.project(x, radius=radius)


def _into_l1_ball(x: Array, most: float) -> Array:
    magnitude = jnp.abs(x)
    descending = jnp.sort(magnitude.reshape(-1))[::-1]
    excess = (jnp.cumsum(descending) - most) / jnp.arange(1, x.size + 1)
    # The last coordinate that stays above its threshold; the first one always does.
    last = jnp.sum(descending > excess) - 1
    shrunk = jnp.sign(x) * jnp.maximum(magnitude - excess[jnp.maximum(last, 0)], 0.0)
    return jnp.where(jnp.sum(magnitude) <= most, x, shrunk)


def expand(manifold: PyTree, params: PyTree) -> PyTree:
    """Return the manifold of every variable, a pytree of `params`' structure, after all shapes have been checked."""

    for space in jax.tree.leaves(manifold):
        if not isinstance(space, Sphere | Euclidean):
            raise ValueError(f"manifold: expected a pytree of Sphere and Euclidean, got {space!r} in it")
    try:
        spaces = jax.tree.map(lambda space, variables: jax.tree.map(lambda _: space, variables), manifold, params)
    except ValueError as error:
        raise ValueError(f"manifold: expected a prefix of the variables, got {manifold}: {error}") from error
    jax.tree_util.tree_map_with_path(
        lambda path, space, x: space.check(f"variable{jax.tree_util.keystr(path)}", x), spaces, params
    )
    return spaces


def _map(function: Callable[..., Any], manifold: PyTree, params: PyTree, *rest: PyTree) -> Any:
    return jax.tree.map(function, expand(manifold, params), params, *rest)


def radii(manifold: PyTree, params: PyTree) -> PyTree:
    """Return the radii of all spheres, from the start `params`: (…, 1) per sphere, None for Euclidean variables."""
    return _map(lambda space, x: space.radii(x), manifold, params)


def norms(manifold: PyTree, tangents: PyTree) -> PyTree:
    """Return the norms (…, 1) of vectors, one per sphere and one per Euclidean variable."""
    return _map(lambda space, v: space.norms(v), manifold, tangents)


def project(manifold: PyTree, params: PyTree, *, radii: PyTree) -> PyTree:
    """Return the nearest points of the manifold."""
    return _map(lambda space, x, r: space.project(x, radius=r), manifold, params, radii)


def rescale(manifold: PyTree, params: PyTree, *, radii: PyTree) -> PyTree:
    """Return x / sqrt(sum(x²) + 1e-9) · radius on every sphere: the projection of the PULSE program."""
    return _map(lambda space, x, r: space.rescale(x, radius=r), manifold, params, radii)


def normalize(manifold: PyTree, tangents: PyTree, *, radii: PyTree) -> PyTree:
    """Make tangent vectors steps of one radian on every sphere, of norm 1 in Euclidean variables; zero stays zero."""
    return _map(lambda space, v, r: space.normalize(v, radius=r), manifold, tangents, radii)


def to_tangent(manifold: PyTree, params: PyTree, vectors: PyTree, *, radii: PyTree) -> PyTree:
    """Return the tangent part of ambient vectors at `params`: Riemannian from ordinary gradients."""
    return _map(lambda space, x, v, r: space.to_tangent(x, v, radius=r), manifold, params, vectors, radii)


def exp(manifold: PyTree, params: PyTree, tangents: PyTree, *, radii: PyTree) -> PyTree:
    """Return the ends of the geodesics that leave `params` along `tangents`."""
    return _map(lambda space, x, v, r: space.exp(x, v, radius=r), manifold, params, tangents, radii)


def log(manifold: PyTree, params: PyTree, targets: PyTree, *, radii: PyTree) -> PyTree:
    """Return the tangent vectors at `params` whose geodesics end in `targets`."""
    return _map(lambda space, x, y, r: space.log(x, y, radius=r), manifold, params, targets, radii)


def retract(manifold: PyTree, params: PyTree, tangents: PyTree, *, radii: PyTree) -> PyTree:
    """Step from `params` along `tangents` by projection."""
    return _map(lambda space, x, v, r: space.retract(x, v, radius=r), manifold, params, tangents, radii)


def transport(manifold: PyTree, params: PyTree, targets: PyTree, tangents: PyTree, *, radii: PyTree) -> PyTree:
    """Carry tangent vectors at `params` in parallel to `targets`."""
    return _map(
        lambda space, x, y, v, r: space.transport(x, y, v, radius=r), manifold, params, targets, tangents, radii
    )


def distance(manifold: PyTree, params: PyTree, targets: PyTree, *, radii: PyTree) -> PyTree:
    """Return the lengths (…, 1) of the shortest geodesics, one per sphere and one per Euclidean variable."""
    return _map(lambda space, x, y, r: space.distance(x, y, radius=r), manifold, params, targets, radii)


def random_uniform(manifold: PyTree, key: _Key, like: PyTree) -> PyTree:
    """Draw a random start in the shapes and dtypes of `like`, arrays or `jax.ShapeDtypeStruct`.

    Uniform on spheres, whose radius is sqrt(their size) where none is fixed; standard normal in Euclidean variables.
    """
    spaces, structure = jax.tree.flatten(expand(manifold, like))
    draws = [
        space.random_uniform(jax.random.fold_in(key, index), x)
        for index, (space, x) in enumerate(zip(spaces, jax.tree.leaves(like), strict=True))
    ]
    return jax.tree.unflatten(structure, draws)
