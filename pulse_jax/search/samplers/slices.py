"""Slice sampling on great circles, and on ellipses: no gradient and nothing to tune.

A transition draws a level under the density and a closed curve through the point, and tries random points of the curve
in a bracket that shrinks towards the point until one lies above the level (Neal 2003, "Slice sampling", figure 5).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from pulse_jax.manifold import product
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.search.methods.protocol import Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.samplers.protocol import Chain, Sampler, begin, check_spaces, has_begun, normal, select
from pulse_jax.search.space import Variables

__all__ = ["elliptical_slice", "geodesic_slice"]


# A bracket of fewer radians holds nothing but the point itself.
_NO_ANGLE = 1e-6


class _State(NamedTuple):
    """A chain and the curve cos(angle) · point + sin(angle) · axis that it tries.

    Attributes:
        radii: Radii of the spheres.
        chain, landed: See `Sampler`.
        axis: Point of the curve a quarter of a turn away.
        angle: Angle of the trial.
        low, high: Bracket of the angle.
        level: How far above the chain's loss, in temperatures, the loss of a point on the slice may be.
        looks: Trials of this transition.
    """

    radii: PyTree
    chain: Chain
    landed: Bool[Array, ""]
    axis: Variables
    angle: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    level: Float[Array, ""]
    looks: Float[Array, ""]


def geodesic_slice(setting: Setting) -> Sampler:
    """Return geodesic slice sampling: all spheres turn by one angle, each along a random great circle of its own.

    On one sphere: Habeck, Hasenpflug, Kodgirwar and Rudolf (2023), "Geodesic slice sampling on the sphere", with
    shrinkage (algorithm 2). On a product the curve is still closed, and turning keeps the uniform density of points and
    unit tangents, which is all that the proof needs.

    Raises:
        ValueError: A variable does not live on spheres.
    """
    check_spaces("geodesic_slice", setting.manifold, Sphere)

    def axis(key: PRNGKeyArray, point: Variables, radii: PyTree) -> Variables:
        tangent = product.to_tangent(setting.manifold, point, normal(key, point), radii=radii)
        return product.normalize(setting.manifold, tangent, radii=radii)

    return _slices(setting, axis)


def elliptical_slice(setting: Setting) -> Sampler:
    """Return elliptical slice sampling of exp(−loss / temperature) · N(0, I) (Murray, Adams and MacKay 2010, figure 2).

    Raises:
        ValueError: A variable lives on spheres, or in bounds.
    """
    check_spaces("elliptical_slice", setting.manifold, Euclidean)
    return _slices(setting, lambda key, point, radii: normal(key, point))


def _slices(setting: Setting, draw_axis: Callable[[PRNGKeyArray, Variables, PyTree], Variables]) -> Sampler:
    manifold, temperature = setting.manifold, setting.numbers["temperature"]

    def init(point: Variables, radii: PyTree) -> _State:
        zero = jnp.float32(0)
        none = jax.tree.map(jnp.zeros_like, point)
        return _State(radii, begin(point), jnp.bool_(False), none, zero, zero, zero, zero, zero)

    def land(key: PRNGKeyArray, state: _State, evaluation: Evaluation) -> _State:
        del key
        chain, looks = state.chain, state.looks + 1
        above = evaluation.loss - chain.loss <= temperature * state.level
        # Near the angle 0 it is above but for rounding, of which the bracket would shrink for ever.
        shrunk = (state.looks > 0) & (state.high - state.low < _NO_ANGLE)
        landed = ~has_begun(chain) | above | shrunk
        new = chain._replace(
            point=evaluation.point, loss=evaluation.loss, transitions=chain.transitions + 1, acceptance=1 / looks
        )
        return state._replace(chain=select(landed, new, chain), landed=landed, looks=looks)

    def leave(key: PRNGKeyArray, state: _State) -> tuple[Variables, _State]:
        for_axis, for_level, for_angle = jax.random.split(key, 3)
        chain, share = state.chain, jax.random.uniform(for_angle)
        angle = 2 * jnp.pi * share
        anew = state._replace(
            axis=draw_axis(for_axis, chain.point, state.radii),
            angle=angle,
            low=angle - 2 * jnp.pi,
            high=angle,
            level=jax.random.exponential(for_level),
            looks=jnp.float32(0),
        )
        low = jnp.where(state.angle < 0, state.angle, state.low)
        high = jnp.where(state.angle < 0, state.high, state.angle)
        shrunk = state._replace(angle=low + (high - low) * share, low=low, high=high)
        new = select(state.landed, anew, shrunk)
        cosine, sine = jnp.cos(new.angle), jnp.sin(new.angle)
        trial = jax.tree.map(lambda x, a: cosine * x + sine * a, chain.point, new.axis)
        # Projected, or rounding would add up over many transitions; a flat space is its own projection.
        return product.project(manifold, trial, radii=state.radii), new

    return Sampler(init, land, leave, uses_gradient=False)
