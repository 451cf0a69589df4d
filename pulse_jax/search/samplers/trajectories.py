"""Hamiltonian Monte Carlo along geodesics, and its one-step form, Langevin's.

Byrne and Girolami (2013), "Geodesic Monte Carlo on embedded manifolds", algorithm 1: the velocity is a standard normal
tangent vector, kicks by the gradient alternate with exact geodesic flow, and the end is accepted with probability
min(1, exp(−ΔH)).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from pulse_jax.manifold import product
from pulse_jax.manifold.product import Sphere
from pulse_jax.search.methods.line_search import dot, plus
from pulse_jax.search.methods.protocol import Setting
from pulse_jax.search.objective import Evaluation
from pulse_jax.search.samplers.protocol import Chain, Sampler, begin, check_spaces, has_begun, normal, select
from pulse_jax.search.space import Variables

__all__ = ["geodesic_hmc", "riemannian_langevin"]

# Acceptance at which a leapfrog and a Langevin step are most efficient: Beskos et al. (2013) with room for curvature
# that varies; Roberts and Rosenthal (1998).
_HMC, _LANGEVIN = 0.8, 0.574
# A transition's step is the tuned one times 1 ± this, or trajectories could come back to where they began (Neal 2011,
# section 3.2).
_JITTER = 0.2


class _State(NamedTuple):
    """A chain and the trajectory that it is on.

    Attributes:
        radii: Radii of the spheres.
        chain, landed: See `Sampler`.
        passing: Point of the trajectory that was looked at last, with its tangent gradient of the loss.
        velocity: Velocity there: after half a kick when `leave` ends, carried along to what is looked at next.
        kinetic: Kinetic energy at the beginning.
        step: Step of this trajectory: its time, and for a velocity of √d an angle in radians.
        left: Steps that are left after the next look.
    """

    radii: PyTree
    chain: Chain
    landed: Bool[Array, ""]
    passing: tuple[Variables, Variables]
    velocity: Variables
    kinetic: Float[Array, ""]
    step: Float[Array, ""]
    left: Int[Array, ""]


def geodesic_hmc(setting: Setting) -> Sampler:
    """Return geodesic HMC, `numbers["leapfrogs"]` evaluations a transition.

    Raises:
        ValueError: A variable does not live on spheres.
    """
    return _trajectories("geodesic_hmc", setting, setting.numbers["leapfrogs"], _HMC)


def riemannian_langevin(setting: Setting) -> Sampler:
    """Return the Langevin step along a geodesic with Metropolis's correction: geodesic HMC of one step.

    Raises:
        ValueError: A variable does not live on spheres.
    """
    return _trajectories("riemannian_langevin", setting, 1, _LANGEVIN)


def _trajectories(name: str, setting: Setting, leapfrogs: int | Array, acceptance: float) -> Sampler:
    manifold, numbers = setting.manifold, setting.numbers
    temperature, tuned = numbers["temperature"], numbers["learning_rate"]
    check_spaces(name, manifold, Sphere)

    def init(point: Variables, radii: PyTree) -> _State:
        still = jax.tree.map(jnp.zeros_like, point)
        zero = jnp.float32(0)
        return _State(radii, begin(point), jnp.bool_(False), (point, still), still, zero, zero, jnp.int32(0))

    def kick(state: _State, velocity: Variables, *, at: Variables, gradient: Variables) -> Variables:
        """Half a kick by the gradient."""
        pushed = plus(velocity, -0.5 * state.step / temperature, gradient)
        return product.to_tangent(manifold, at, pushed, radii=state.radii)

    def land(key: PRNGKeyArray, state: _State, evaluation: Evaluation) -> _State:
        chain, here, begun = state.chain, evaluation.point, has_begun(state.chain)
        gradient = product.to_tangent(manifold, here, evaluation.gradient, radii=state.radii)
        velocity = kick(state, state.velocity, at=here, gradient=gradient)
        gained = (chain.loss - evaluation.loss) / temperature + state.kinetic - dot(velocity, velocity) / 2
        # What is not a number is refused.
        probability = jnp.nan_to_num(jnp.exp(jnp.minimum(gained, 0.0)))
        accepted = ~begun | (jax.random.uniform(key) < probability)
        moved = chain._replace(point=here, loss=evaluation.loss, gradient=gradient)
        ended = select(accepted, moved, chain)._replace(transitions=chain.transitions + 1, acceptance=probability)
        landed = ~begun | (state.left <= 0)
        chain = select(landed, ended, chain)
        return state._replace(chain=chain, landed=landed, passing=(here, gradient), velocity=velocity)

    def leave(key: PRNGKeyArray, state: _State) -> tuple[Variables, _State]:
        for_velocity, for_step = jax.random.split(key)
        chain = state.chain
        drawn = normal(for_velocity, chain.point)
        drawn = product.to_tangent(manifold, chain.point, drawn, radii=state.radii)
        anew = state._replace(
            passing=(chain.point, chain.gradient),
            velocity=drawn,
            kinetic=dot(drawn, drawn) / 2,
            step=tuned * (1 + _JITTER * jax.random.uniform(for_step, minval=-1.0)),
            left=jnp.int32(leapfrogs),
        )
        state = select(state.landed, anew, state)
        here, gradient = state.passing
        flow = jax.tree.map(lambda v: state.step * v, kick(state, state.velocity, at=here, gradient=gradient))
        # Projected, or rounding would add up over many steps.
        there = product.project(manifold, product.exp(manifold, here, flow, radii=state.radii), radii=state.radii)
        carried = product.transport(manifold, here, there, flow, radii=state.radii)
        # Beyond half a turn the shortest way back is another: no number, so that the trajectory is refused.
        lengths = jax.tree.leaves(product.norms(manifold, flow))
        turns = [jnp.max(one / radius) for one, radius in zip(lengths, jax.tree.leaves(state.radii), strict=True)]
        pace = jnp.where(jnp.max(jnp.stack(turns)) < jnp.pi, 1 / state.step, jnp.nan)
        velocity = jax.tree.map(lambda v: pace * v, carried)
        return there, state._replace(velocity=velocity, left=state.left - 1)

    return Sampler(init, land, leave, acceptance=acceptance)
