"""Any optax optimiser on a manifold: gradients made tangent, moments carried along, steps along geodesics.

An optimiser's state is not told apart by names, but by what it does: where all gradients and variables change their
signs, what lies in a tangent space (a momentum) does so too, and what scales coordinates (a mean of squares) does not.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from pulse_jax.manifold import product
from pulse_jax.optimizers.links import copied, require_params

__all__ = ["RiemannianState", "riemannian"]

Kind = Literal["tangent", "point", "other"]
# Of two updates, from which kinds are told; what is below this share of the largest counts as rounding.
_ROUNDING = 1e-4


class RiemannianState(NamedTuple):
    """State of `riemannian`.

    Attributes:
        radii: Radii of all spheres.
        point: Variables at the last update, where moments are tangent.
        inner: State of the optimiser that was converted.
    """

    radii: PyTree
    point: PyTree
    inner: PyTree


class _Leaf(NamedTuple):
    """A leaf of an optimiser's state: what it is, and the number of its variable; -1 of what belongs to none."""

    kind: Kind
    variable: int


def riemannian(optimizer: optax.GradientTransformation, manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """Convert an optax optimiser, or a chain of its transformations, into one on a manifold.

    It is given Riemannian gradients, so that what stands first in a chain, clipping for instance, acts on the tangent;
    every moment of a variable's shape is transported to the present point; the tangent part of the step that it
    proposes is followed along the geodesic. Means of squares stay as they are, in the coordinates of the ambient space
    ("coordinate" in `riemannian_adam`), and copies of variables, as schedule-free methods keep, are put back on the
    manifold. Euclidean variables get what the optimiser gives them by itself.

    The learning rate keeps its meaning, a length in the ambient space, not an angle: a sphere of radius r turns by
    |step| / r radians. Weight decay has no effect on spheres, whose radius stays.

    Bécigneul and Ganea, "Riemannian Adaptive Optimization Methods" (ICLR 2019), and Bonnabel 2013 do so for single
    methods; convergence is known for few of them.

    Args:
        optimizer: What is converted; its learning rate included.
        manifold: Manifold of the variables, a pytree prefix of theirs.

    Raises:
        ValueError: By `init`: the optimiser cannot work so: it keeps a history of steps (L-BFGS), needs the loss's
            value or function (line searches, Polyak's step), or keeps something of which nobody can tell what it is.
    """
    kinds: dict[Any, list[_Leaf]] = {}

    def known(params: PyTree) -> list[_Leaf]:
        leaves, structure = jax.tree.flatten(params)
        key = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if key not in kinds:
            kinds[key] = _kinds(optimizer, manifold, params)
        return kinds[key]

    def init(params: PyTree) -> RiemannianState:
        known(params)
        radii = product.radii(manifold, params)
        point = copied(product.project(manifold, params, radii=radii))
        return RiemannianState(radii, point, optimizer.init(params))

    def update(updates, state, params=None, **extra_args):
        radii = state.radii
        point = product.project(manifold, require_params(params), radii=radii)
        gradient = product.to_tangent(manifold, point, updates, radii=radii)
        leaves = known(params)
        carried = _carried(manifold, leaves, state, point)
        step, inner = optax.with_extra_args_support(optimizer).update(gradient, carried, point, **extra_args)
        tangent = product.to_tangent(manifold, point, step, radii=radii)
        target = product.project(manifold, product.exp(manifold, point, tangent, radii=radii), radii=radii)
        inner = _put_back(manifold, leaves, inner, radii, point)
        return jax.tree.map(jnp.subtract, target, params), RiemannianState(radii, point, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def _carried(manifold: PyTree, leaves: Sequence[_Leaf], state: RiemannianState, point: PyTree) -> PyTree:
    """The inner state with its tangent vectors transported to a point."""

    def transported(vectors: PyTree) -> PyTree:
        return product.transport(manifold, state.point, point, vectors, radii=state.radii)

    return _mapped("tangent", transported, leaves, state.inner, point)


def _put_back(manifold: PyTree, leaves: Sequence[_Leaf], inner: PyTree, radii: PyTree, point: PyTree) -> PyTree:
    """The inner state with its copies of variables on the manifold."""
    return _mapped("point", lambda points: product.project(manifold, points, radii=radii), leaves, inner, point)


def _mapped(kind: Kind, function: Any, leaves: Sequence[_Leaf], inner: PyTree, point: PyTree) -> PyTree:
    """A function of trees like the variables', applied to all leaves of a kind; one tree for the n-th of each."""
    values, structure = jax.tree.flatten(inner)
    variables, like = jax.tree.flatten(point)
    places: list[list[int]] = [[] for _ in variables]
    for place, leaf in enumerate(leaves):
        if leaf.kind == kind:
            places[leaf.variable].append(place)
    for turn in range(max(map(len, places), default=0)):
        taken = [own[turn] if turn < len(own) else None for own in places]
        # Where a variable has no more, it stands for itself: what comes of it is not used.
        tree = [x if place is None else values[place] for x, place in zip(variables, taken, strict=True)]
        made = jax.tree.leaves(function(jax.tree.unflatten(like, tree)))
        for place, value in zip(taken, made, strict=True):
            if place is not None:
                values[place] = value
    return jax.tree.unflatten(structure, values)


def _kinds(optimizer: optax.GradientTransformation, manifold: PyTree, params: PyTree) -> list[_Leaf]:
    """What each leaf of the state is, found by two updates from opposite points with opposite gradients."""
    rng = np.random.default_rng(0)
    paths = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]]

    def drawn() -> PyTree:
        return jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape), x.dtype), params)

    # Of arrays that are known: what is traced around this has no part in it.
    with jax.ensure_compile_time_eval():
        point = drawn()
        point = product.project(manifold, point, radii=product.radii(manifold, point))
        gradients = [drawn(), drawn()]
        before, after = _probe(optimizer, point, gradients, 1.0)
        opposite_before, opposite = _probe(optimizer, point, gradients, -1.0)
    found = []
    states = zip(
        jax.tree_util.tree_flatten_with_path(after)[0],
        *map(jax.tree.leaves, (opposite, before, opposite_before)),
        strict=True,
    )
    for (path, leaf), other, first, other_first in states:
        name = jax.tree_util.keystr(path)
        shape = np.shape(leaf)
        variable = next((i for i, (end, x) in enumerate(paths) if name.endswith(end) and shape == x.shape), -1)
        longer = any(len(shape) > x.ndim > 0 and shape[-x.ndim :] == x.shape and name.endswith(end) for end, x in paths)
        if variable < 0 and longer:
            raise ValueError(f"optimizer: expected one that works on a manifold; it keeps a history, {name} {shape}")
        kind = "other" if variable < 0 else _kind(leaf, other, first, other_first)
        if kind is None:
            raise ValueError(
                f"optimizer: expected one that works on a manifold; of its {name} nobody can tell whether it is to be "
                "carried along"
            )
        found.append(_Leaf(kind, variable))
    return found


def _probe(
    optimizer: optax.GradientTransformation, point: PyTree, gradients: Sequence[PyTree], sign: float
) -> tuple[PyTree, PyTree]:
    """The state before and after updates, with all signs changed or not."""

    def signed(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: (sign * x).astype(x.dtype), tree)

    params = signed(point)
    before = state = optimizer.init(params)
    for gradient in gradients:
        try:
            updates, state = optimizer.update(signed(gradient), state, params)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "optimizer: expected one that needs gradients and variables alone, "
                f"got one that needs more: {str(error).splitlines()[0]:.160}"
            ) from error
        params = optax.apply_updates(params, updates)
    return before, state


def _kind(leaf: Any, opposite: Any, before: Any, opposite_before: Any) -> Kind | None:
    """What a leaf is by its values from opposite sides, after updates and before; None where nobody can tell."""
    after, mirrored, first, other_first = (np.asarray(a, np.float64) for a in (leaf, opposite, before, opposite_before))
    scale = _ROUNDING * max(np.abs(after).max(initial=0.0), np.abs(mirrored).max(initial=0.0))
    if np.abs(after - mirrored).max(initial=0.0) <= scale:
        return "other"
    if np.abs(after + mirrored).max(initial=0.0) > scale:
        return None
    # Where it was not zero at first, it began as the variables themselves.
    return "point" if np.any(first) or np.any(other_first) else "tangent"
