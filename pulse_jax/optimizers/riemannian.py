"""First-order optimisers on manifolds, as optax transformations.

All take ordinary (ambient) gradients and follow optax's convention, with `params` required:

    updates, state = optimizer.update(grads, state, params)
    params = optax.apply_updates(params, updates)

A Riemannian optimiser is a chain of links: the gradient made tangent, a direction, the learning rate, and a last link
that turns the tangent step v at x into exp(x, v) - x, so that plain `optax.apply_updates` lands on the manifold.
Links that keep moments keep the point they belong to, and carry them to the new point by parallel transport at the
next update. Radii are computed once, by `init`, and stand in the state.

`manifold` is a pytree prefix of `Sphere` and `Euclidean` (see `pulse_jax.manifold`). The learning rate is a number or
a schedule (`pulse_jax.schedules`), a function of the update count. Where it multiplies a normalised direction it is an
angle in radians, whatever the sphere's radius and dimension.

Sources: Bonnabel, "Stochastic Gradient Descent on Riemannian Manifolds" (2013); Bécigneul and Ganea, "Riemannian
Adaptive Optimization Methods" (ICLR 2019); Menon et al., "PULSE" (CVPR 2020) and its program.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree, Scalar

from pulse_jax.manifold import product
from pulse_jax.manifold.product import Sphere

__all__ = [
    "RadiiState",
    "ScaleByRiemannianAdamState",
    "TransportedTraceState",
    "normalize_gradient",
    "normalized_gradient",
    "retract_updates",
    "riemannian_adam",
    "riemannian_gradient",
    "riemannian_momentum",
    "riemannian_sgd",
    "scale_by_riemannian_adam",
    "transported_trace",
]


def _bias_correction(moment: PyTree, decay: float | Scalar, count: Any) -> PyTree:
    """moment / (1 − decay^count), as `optax.tree.bias_correction`, which in float32 cancels digits for a decay near 1.

    After two steps of Adam its 1 − 0.999² is off by 1.5e-5, which moved latents five times as far from the original
    program's as all other rounding together.
    """
    correction = -jnp.expm1(count * jnp.log1p(decay - 1.0))
    return jax.tree.map(lambda m: m / correction.astype(m.dtype), moment)


class RadiiState(NamedTuple):
    """State of the links without memory.

    Attributes:
        radii: of all spheres, as `pulse_jax.manifold.radii` gives them.
    """

    radii: PyTree


class TransportedTraceState(NamedTuple):
    """State of `transported_trace`.

    Attributes:
        radii: of all spheres.
        point: the variables at the last update, where `trace` is tangent.
        trace: the accumulated directions.
    """

    radii: PyTree
    point: PyTree
    trace: PyTree


class ScaleByRiemannianAdamState(NamedTuple):
    """State of `scale_by_riemannian_adam`.

    Attributes:
        radii: of all spheres.
        point: the variables at the last update, where `mu` is tangent.
        count: the number of updates so far, an int32 scalar.
        mu: the first moment.
        nu: the second moment, of the variables' shape per coordinate, of the radii's (…, 1) per sphere.
    """

    radii: PyTree
    point: PyTree
    count: Any
    mu: PyTree
    nu: PyTree


def _copy(tree: PyTree) -> PyTree:
    # A state that shared its buffers with the variables could not be donated together with them.
    return jax.tree.map(lambda x: jnp.array(x, copy=True), tree)


def _require_params(params: PyTree | None) -> PyTree:
    if params is None:
        raise ValueError(
            "params: an optimiser on a manifold needs the variables, update(grads, state, params); got None"
        )
    return params


def _link(
    manifold: PyTree, function: Callable[[PyTree, PyTree, PyTree], PyTree]
) -> optax.GradientTransformationExtraArgs:
    """A link without memory: function(point, updates, radii), with the point put back on the manifold."""

    def init(params: PyTree) -> RadiiState:
        return RadiiState(product.radii(manifold, params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        return function(_require_params(params), updates, state.radii), state

    return optax.GradientTransformationExtraArgs(init, update)


def riemannian_gradient(manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """The first link of a chain: the tangent part of the ambient gradient."""

    def function(params, updates, radii):
        return product.to_tangent(manifold, product.project(manifold, params, radii=radii), updates, radii=radii)

    return _link(manifold, function)


def normalize_gradient(manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """The direction of steepest descent as a step of one radian on every sphere (norm 1 in a Euclidean variable).

    A zero gradient stays zero.
    """
    return _link(manifold, lambda _, updates, radii: product.normalize(manifold, updates, radii=radii))


def retract_updates(manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """The last link of a chain: a tangent step v at x becomes exp(x, v) - x.

    The point is put back on the sphere of the radius in the state before and after, so that rounding never adds up.
    """

    def function(params, updates, radii):
        point = product.project(manifold, params, radii=radii)
        target = product.project(manifold, product.exp(manifold, point, updates, radii=radii), radii=radii)
        return jax.tree.map(jnp.subtract, target, params)

    return _link(manifold, function)


def transported_trace(decay: float | Scalar, manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """Momentum: trace ← decay · (trace, carried to the present point) + updates, as `optax.trace` on a manifold.

    Parallel transport keeps the trace's length; projecting it onto the new tangent space would shrink it (to 0.928
    after a step of 22 degrees along it).
    """

    def init(params: PyTree) -> TransportedTraceState:
        radii = product.radii(manifold, params)
        point = _copy(product.project(manifold, params, radii=radii))
        return TransportedTraceState(radii, point, jax.tree.map(jnp.zeros_like, params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        point = product.project(manifold, _require_params(params), radii=state.radii)
        carried = product.transport(manifold, state.point, point, state.trace, radii=state.radii)
        trace = jax.tree.map(lambda old, new: decay * old + new, carried, updates)
        return trace, TransportedTraceState(state.radii, point, trace)

    return optax.GradientTransformationExtraArgs(init, update)


SecondMoment = Literal["sphere", "coordinate"]


def scale_by_riemannian_adam(
    manifold: PyTree,
    *,
    b1: float | Scalar = 0.9,
    b2: float | Scalar = 0.999,
    eps: float | Scalar = 1e-8,
    second_moment: SecondMoment = "sphere",
) -> optax.GradientTransformationExtraArgs:
    """Adam's direction on a manifold: radius / √n · m̂ / (√v̂ + eps), for spheres of n coordinates.

    m̂ and v̂ are the bias-corrected moving averages of the Riemannian gradient g, carried along by parallel
    transport, and of g². The latter is one number per sphere, the mean over its coordinates ("sphere": Bécigneul and
    Ganea 2019, independent of the coordinate system), or one per coordinate as in ordinary Adam, the quotient being
    made tangent again ("coordinate"). Either way |m̂ / √v̂| is about √n where the gradient is steady, hence the
    direction about one radian long. Euclidean variables get the direction of `optax.adam`.

    Raises:
        ValueError: `second_moment` is unknown.
    """
    if second_moment not in get_args(SecondMoment):
        raise ValueError(f"second_moment: expected one of {get_args(SecondMoment)}, got {second_moment!r}")

    def squares(space, g):
        if isinstance(space, Sphere) and second_moment == "sphere":
            return jnp.mean(jnp.square(g), axis=space.axes, keepdims=True)
        return jnp.square(g)

    def scale(space, direction, radius):
        return direction * (radius / space.size(direction) ** 0.5) if isinstance(space, Sphere) else direction

    def init(params: PyTree) -> ScaleByRiemannianAdamState:
        radii = product.radii(manifold, params)
        zeros = jax.tree.map(jnp.zeros_like, params)
        return ScaleByRiemannianAdamState(
            radii=radii,
            point=_copy(product.project(manifold, params, radii=radii)),
            count=jnp.zeros((), jnp.int32),
            mu=zeros,
            nu=jax.tree.map(squares, product.expand(manifold, params), zeros),
        )

    def update(updates, state, params=None, **extra_args):
        del extra_args
        radii = state.radii
        spaces = product.expand(manifold, _require_params(params))
        point = product.project(manifold, params, radii=radii)
        carried = product.transport(manifold, state.point, point, state.mu, radii=radii)
        mu = optax.tree.update_moment(updates, carried, b1, 1)
        nu = optax.tree.update_moment(jax.tree.map(squares, spaces, updates), state.nu, b2, 1)
        count = optax.safe_increment(state.count)
        mu_hat, nu_hat = _bias_correction(mu, b1, count), _bias_correction(nu, b2, count)
        direction = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu_hat, nu_hat)
        if second_moment == "coordinate":
            direction = product.to_tangent(manifold, point, direction, radii=radii)
        direction = jax.tree.map(scale, spaces, direction, radii)
        return direction, ScaleByRiemannianAdamState(radii, point, count, mu, nu)

    return optax.GradientTransformationExtraArgs(init, update)


def _riemannian(
    learning_rate: optax.ScalarOrSchedule, manifold: PyTree, *directions: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    return optax.with_extra_args_support(
        optax.chain(
            riemannian_gradient(manifold),
            *directions,
            optax.scale_by_learning_rate(learning_rate),
            retract_updates(manifold),
        )
    )


def riemannian_sgd(learning_rate: optax.ScalarOrSchedule, manifold: PyTree) -> optax.GradientTransformationExtraArgs:
    """Riemannian gradient descent, exp(x, -learning_rate · g) (Bonnabel 2013).

    The learning rate has the units of `optax.sgd`'s: a step is learning_rate · |g| long, g the Riemannian gradient.
    """
    return _riemannian(learning_rate, manifold)


def normalized_gradient(
    learning_rate: optax.ScalarOrSchedule, manifold: PyTree
) -> optax.GradientTransformationExtraArgs:
    """Steepest descent by a fixed angle: every sphere turns by `learning_rate` radians a step.

    That holds however small the gradient is, short of zero, so only a decaying rate comes to rest at a minimum. A
    Euclidean variable moves by `learning_rate` in norm.
    """
    return _riemannian(learning_rate, manifold, normalize_gradient(manifold))


def riemannian_momentum(
    learning_rate: optax.ScalarOrSchedule, manifold: PyTree, *, decay: float | Scalar = 0.9, normalize: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Riemannian gradient descent with momentum, carried along by parallel transport.

    Args:
        learning_rate: in the units of `optax.sgd`'s; with `normalize` the angle in radians of a single gradient's
            contribution, of which a steady gradient accumulates up to 1 / (1 - decay).
        manifold: where the variables live.
        decay: of the momentum; Euclidean variables behave as under optax.sgd(learning_rate, momentum=decay).
        normalize: make every gradient a unit direction first.
    """
    directions = [normalize_gradient(manifold)] if normalize else []
    return _riemannian(learning_rate, manifold, *directions, transported_trace(decay, manifold))


def riemannian_adam(
    learning_rate: optax.ScalarOrSchedule,
    manifold: PyTree,
    *,
    b1: float | Scalar = 0.9,
    b2: float | Scalar = 0.999,
    eps: float | Scalar = 1e-8,
    second_moment: SecondMoment = "sphere",
) -> optax.GradientTransformationExtraArgs:
    """Adam on a manifold; see `scale_by_riemannian_adam` for the direction and the arguments.

    While the gradient is steady every sphere turns by about `learning_rate` radians a step, less where it fluctuates.
    On spheres of radius √n that is a root mean square of `learning_rate` per coordinate, as in ordinary Adam.
    """
    direction = scale_by_riemannian_adam(manifold, b1=b1, b2=b2, eps=eps, second_moment=second_moment)
    return _riemannian(learning_rate, manifold, direction)
