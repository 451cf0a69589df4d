"""Adam in flat space, with bias corrections that are exact in float32, and on manifolds.

Source: Bécigneul and Ganea, "Riemannian Adaptive Optimization Methods" (ICLR 2019).
"""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree, Scalar

from pulse_jax.manifold import product
from pulse_jax.manifold.product import Sphere
from pulse_jax.optimizers.links import copied, require_params, riemannian_chain

__all__ = ["ScaleByRiemannianAdamState", "adam", "riemannian_adam", "scale_by_riemannian_adam"]

SecondMoment = Literal["sphere", "coordinate"]


def _bias_correction(moment: PyTree, decay: float | Scalar, count: Any) -> PyTree:
    """moment / (1 − decay^count), as `optax.tree.bias_correction`, which in float32 cancels digits for a decay near 1.

    After two steps of Adam its 1 − 0.999² is off by 1.5e-5, which moved latents five times as far from the original
    program's as all other rounding together.
    """
    correction = -jnp.expm1(count * jnp.log1p(decay - 1.0))
    return jax.tree.map(lambda m: m / correction.astype(m.dtype), moment)


def adam(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """`optax.adam`, its bias corrections as exact in float32 as PyTorch's, which are of double precision."""
    b1, b2, eps = 0.9, 0.999, 1e-8

    def init(params: PyTree) -> optax.ScaleByAdamState:
        mu, nu = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return optax.ScaleByAdamState(count=jnp.zeros((), jnp.int32), mu=mu, nu=nu)

    def update(updates, state, params=None):
        del params
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)
        count = optax.safe_increment(state.count)
        mu_hat, nu_hat = _bias_correction(mu, b1, count), _bias_correction(nu, b2, count)
        direction = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu_hat, nu_hat)
        return direction, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.chain(optax.GradientTransformation(init, update), optax.scale_by_learning_rate(learning_rate))


class ScaleByRiemannianAdamState(NamedTuple):
    """State of `scale_by_riemannian_adam`.

    Attributes:
        radii: Radii of all spheres.
        point: Variables at the last update, where `mu` is tangent.
        count: Number of updates so far, an int32 scalar.
        mu: First moment.
        nu: Second moment, of the variables' shape per coordinate, of the radii's (…, 1) per sphere.
    """

    radii: PyTree
    point: PyTree
    count: Any
    mu: PyTree
    nu: PyTree


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

    Args:
        manifold: Manifold of the variables, a pytree prefix of theirs.
        b1: Decay of the first moment.
        b2: Decay of the second moment.
        eps: Floor under the quotient's denominator.
        second_moment: One number per `sphere`, or one per `coordinate`.

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
            point=copied(product.project(manifold, params, radii=radii)),
            count=jnp.zeros((), jnp.int32),
            mu=zeros,
            nu=jax.tree.map(squares, product.expand(manifold, params), zeros),
        )

    def update(updates, state, params=None, **extra_args):
        del extra_args
        radii = state.radii
        spaces = product.expand(manifold, require_params(params))
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
    return riemannian_chain(learning_rate, manifold, direction)
