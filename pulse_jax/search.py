"""The search for one problem, one low-resolution image from one random start, as pure functions.

`init` → `step` repeated → `finish`; `jax.vmap` makes lanes, `lax.scan` makes chunks. A lane that has ended keeps its
state whatever step does, so finished, failed and empty lanes can share a program with running ones.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from pulse_jax.config import SearchConfig
from pulse_jax.generator import Generator
from pulse_jax.latents import merge_noise
from pulse_jax.objective import Evaluation, Variables, evaluate, output_size, search_manifold, start
from pulse_jax.optimizers import make_optimizer, schedule

__all__ = ["Result", "SearchState", "Status", "empty", "finish", "init", "optimizer", "step"]

# A search stops a hair below eps: the same picture, judged in float64, could otherwise end a rounding above it.
_MARGIN = 1.0 - 1e-4
# A plateau: the loss has not fallen by this share of itself for `patience` steps.
_PROGRESS = 1e-3


class Status(IntEnum):
    """How a lane stands or ended; failures are codes, never exceptions."""

    RUNNING = 0
    FEASIBLE = 1
    MAX_STEPS = 2
    PLATEAU = 3
    NONFINITE = 4
    EMPTY = 5


class SearchState(NamedTuple):
    """One lane: where it is, the best point of its trajectory, and what that was worth."""

    target: Float[Array, "size size 3"]
    variables: Variables
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...]
    optimizer: Any
    best: Variables
    best_picture: UInt8[Array, "h w 3"]
    best_loss: Float[Array, ""]
    best_error: Float[Array, ""]
    best_search_error: Float[Array, ""]
    reference_loss: Float[Array, ""]
    stalled: Int[Array, ""]
    steps: Int[Array, ""]
    status: Int[Array, ""]


class Result(NamedTuple):
    """What a lane delivers: the 8-bit picture of its best point, just as it was judged, and what reproduces it.

    Fields are one lane's, or lead with the lanes' axis, as the state did.
    """

    picture: UInt8[Array, "*lanes h w 3"]
    loss: Float[Array, "*lanes"]
    search_error: Float[Array, "*lanes"]
    latent: Float[Array, "*lanes rows d"]
    noise: tuple[Float[Array, "*lanes _ _ 1"], ...]
    steps: Int[Array, "*lanes"]
    status: Int[Array, "*lanes"]


def optimizer(config: SearchConfig, latent_dim: int) -> optax.GradientTransformationExtraArgs:
    """The configured optimiser on the search manifold, with its schedule."""
    rate = schedule(config.schedule, config.learning_rate, config.steps)
    return make_optimizer(config.optimizer, rate, search_manifold(config, latent_dim))


def init(
    generator: Generator,
    config: SearchConfig,
    target: Float[Array, "size size 3"],
    key: PRNGKeyArray,
    latent: Float[Array, "rows d"] | None = None,
    noise: tuple[Float[Array, "_ _ 1"], ...] | None = None,
) -> SearchState:
    """A lane at its random start, or at a given `latent` and full tuple of `noise` images.

    Raises:
        ValueError: a given start has other shapes than the generator and the search space.
    """
    variables, fixed = start(generator, config, key)
    if latent is not None:
        if latent.shape != variables["latent"].shape:
            raise ValueError(f"latent: expected shape {variables['latent'].shape}, got {latent.shape}")
        variables = Variables(latent=latent, noise=variables["noise"])
    if noise is not None:
        if tuple(n.shape for n in noise) != generator.noise_shapes:
            raise ValueError(f"noise: expected shapes {generator.noise_shapes}, got {tuple(n.shape for n in noise)}")
        searched = tuple(n for n, kept in zip(noise, fixed, strict=True) if kept is None)
        fixed = tuple(None if kept is None else n for n, kept in zip(noise, fixed, strict=True))
        variables = Variables(latent=variables["latent"], noise=searched)
    infinity = jnp.float32(jnp.inf)
    size = output_size(generator, config)
    return SearchState(
        target=target,
        variables=variables,
        fixed_noise=fixed,
        optimizer=optimizer(config, generator.latent_dim).init(variables),
        best=variables,
        # Black, delivered only if no look at all was finite.
        best_picture=jnp.zeros((size, size, 3), jnp.uint8),
        best_loss=infinity,
        best_error=infinity,
        best_search_error=infinity,
        reference_loss=infinity,
        stalled=jnp.int32(0),
        steps=jnp.int32(0),
        status=jnp.int32(Status.RUNNING),
    )


def empty(state: SearchState) -> SearchState:
    """The same lane, marked as holding no problem."""
    return state._replace(status=jnp.int32(Status.EMPTY))


def _where(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def step(generator: Generator, config: SearchConfig, state: SearchState) -> tuple[SearchState, Evaluation]:
    """Look at the current point, remember it if it is the best, stop or move on.

    Best is what is feasible as delivered, then what has the lowest total loss. `eps` is met by the delivered error.
    """
    gradient = jax.grad(lambda v: evaluate(generator, config, state.target, v, state.fixed_noise), has_aux=True)
    grads, seen = gradient(state.variables)
    finite = jnp.isfinite(seen.loss) & jnp.isfinite(optax.tree.norm(grads))
    limit = config.eps * _MARGIN
    feasible = seen.delivered_error <= limit
    was_feasible = state.best_error <= limit
    better = jnp.where(feasible == was_feasible, seen.loss < state.best_loss, feasible) & jnp.isfinite(seen.loss)
    progress = seen.loss < state.reference_loss * (1.0 - _PROGRESS)
    stalled = jnp.where(progress, 0, state.stalled + 1)
    steps = state.steps + 1

    status = jnp.int32(Status.RUNNING)
    status = jnp.where(steps >= config.steps, Status.MAX_STEPS, status)
    if config.stop == "plateau":
        status = jnp.where(stalled >= config.patience, Status.PLATEAU, status)
    status = jnp.where(finite, status, Status.NONFINITE)
    ended = (status != Status.RUNNING) | (config.stop != "never")
    status = jnp.where((feasible | was_feasible) & ended, Status.FEASIBLE, status).astype(jnp.int32)

    updates, optimizer_state = optimizer(config, generator.latent_dim).update(grads, state.optimizer, state.variables)
    moved = status == Status.RUNNING
    # The original program moves after its last look too; its final iterate is then never looked at.
    if config.stop == "never":
        moved = finite
    new = state._replace(
        variables=_where(moved, optax.apply_updates(state.variables, updates), state.variables),
        optimizer=_where(moved, optimizer_state, state.optimizer),
        best=_where(better, state.variables, state.best),
        best_picture=_where(better, seen.picture, state.best_picture),
        best_loss=jnp.where(better, seen.loss, state.best_loss),
        best_error=jnp.where(better, seen.delivered_error, state.best_error),
        best_search_error=jnp.where(better, seen.search_error, state.best_search_error),
        reference_loss=jnp.where(progress, seen.loss, state.reference_loss),
        stalled=stalled,
        steps=steps,
        status=status,
    )
    return _where(state.status == Status.RUNNING, new, state), seen


def finish(state: SearchState) -> Result:
    """Deliver the best point, of one lane or of all lanes of a batched state."""
    return Result(
        picture=state.best_picture,
        loss=state.best_loss,
        search_error=state.best_search_error,
        latent=state.best["latent"],
        noise=merge_noise(state.best["noise"], state.fixed_noise),
        steps=state.steps,
        status=state.status,
    )
