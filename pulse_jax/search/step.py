"""The search for one problem, one low-resolution image from one random start, as pure functions.

`init` → `step` repeated → `finish`; `jax.vmap` makes lanes, `lax.scan` makes chunks. A lane that has ended keeps its
state whatever step does, so finished, failed and empty lanes can share a program with running ones.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8, UInt32

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.surrogate import suited
from pulse_jax.search.config import Numbers, SearchConfig
from pulse_jax.search.curve import SLOTS, noted
from pulse_jax.search.degradation import starts_near
from pulse_jax.search.judge import Result
from pulse_jax.search.methods.protocol import Method, Products, Setting
from pulse_jax.search.methods.registry import make_method
from pulse_jax.search.objective import Evaluation, evaluate, residual_at
from pulse_jax.search.problems import Status
from pulse_jax.search.repulsion import Repulsion
from pulse_jax.search.requirements import output_size
from pulse_jax.search.space import (
    Variables,
    join_features,
    latent_shape,
    merge_noise,
    search_manifold,
    split_features,
    start,
    styles,
)
from pulse_jax.system.keys import wrapped_key

__all__ = ["SearchState", "empty", "finish", "init", "step"]

# A search stops a hair below eps: the same picture, judged in float64, could otherwise end a rounding above it.
_MARGIN = 1.0 - 1e-4
# A plateau: the loss has not fallen by this share of itself for `patience` steps.
_PROGRESS = 1e-3
# Sets the keys of a method apart from those of noise on the latent, which are numbered by its steps.
_METHOD = 0x6D657468
# And of noise inputs that are drawn for every look.
_REDRAWN = 0x6E6F6973
# Noise on the latent is gone after this share of the steps (the StyleGAN2 projector's).
_QUIET = 0.75
# What no loss or error is above: where there is none yet. Not infinity, which JAX can be told to look for.
_NONE_YET = float(np.finfo(np.float32).max)


class SearchState(NamedTuple):
    """One lane: where it is, the best point of its trajectory, and what that was worth.

    Attributes:
        target: Low-resolution image.
        variables: Point that the next look is at.
        fixed_noise: Noise inputs that are not searched, None where one is.
        key: Data of the key that noise on the latent and the method's choices are drawn from.
        method: State of the search method.
        best, best_picture, best_loss, best_error, best_search_error: Best point so far, and what it is worth.
        reference_loss, stalled: Loss that progress is measured by, and looks since there was some.
        steps: Looks taken.
        evaluations: Looks taken, and products with the residual's Jacobian.
        feasible_at: Look, counted from 1, that was the first to be feasible as delivered; 0 before.
        curve: Search errors on the way (`search.curve`).
        status: See `Status`.
    """

    target: Float[Array, "size size 3"]
    variables: Variables
    fixed_noise: tuple[Float[Array, "_ _ 1"] | None, ...]
    key: UInt32[Array, "2"]
    method: Any
    best: Variables
    best_picture: UInt8[Array, "h w 3"]
    best_loss: Float[Array, ""]
    best_error: Float[Array, ""]
    best_search_error: Float[Array, ""]
    reference_loss: Float[Array, ""]
    stalled: Int[Array, ""]
    steps: Int[Array, ""]
    evaluations: Int[Array, ""]
    feasible_at: Int[Array, ""]
    curve: Float[Array, " slots"]
    status: Int[Array, ""]


def _method(generator: Generator, config: SearchConfig, numbers: Numbers, side: int) -> Method:
    """The method, for inputs of this side."""
    manifold, surrogate = search_manifold(config, generator.latent_dim), None
    if starts_near(config) and generator.surrogate is not None:
        surrogate = suited(generator.surrogate, generator.resolution, side)
    return make_method(Setting(config, numbers, manifold, generator.config, surrogate))


def _key_of_update(state_key: UInt32[Array, "2"], number: int | Array) -> PRNGKeyArray:
    """Return the key of a method's update of this number, from 1; 0 is its start."""
    return jax.random.fold_in(jax.random.fold_in(wrapped_key(state_key), _METHOD), number)


def init(
    generator: Generator,
    config: SearchConfig,
    target: Float[Array, "size size 3"],
    key: PRNGKeyArray,
    latent: Float[Array, "rows d"] | None = None,
    noise: tuple[Float[Array, "_ _ 1"], ...] | None = None,
    first: bool | Array = True,
) -> SearchState:
    """Return a lane at its random start, or at a given one.

    Args:
        generator: Generator to search.
        config: Settings of the search.
        target: Low-resolution image in [0, 1].
        key: Random key of the start, of noise on the latent and of the method.
        latent: Latent to start from; drawn if None.
        noise: All noise images to start from; drawn if None.
        first: Whether this is an image's first search (see `SearchConfig.start`).

    Raises:
        ValueError: A given start has other shapes than the generator and the search space, or there is no such method.
    """
    variables, fixed = start(generator, config, key, target, first)
    if latent is not None:
        if latent.shape != (expected := latent_shape(generator, config)):
            raise ValueError(f"latent: expected shape {expected}, got {latent.shape}")
        rows, features = split_features(generator, config, latent)
        variables |= {"latent": rows} | ({"features": features} if features else {})
    if noise is not None:
        if tuple(n.shape for n in noise) != generator.noise_shapes:
            raise ValueError(f"noise: expected shapes {generator.noise_shapes}, got {tuple(n.shape for n in noise)}")
        searched = tuple(n for n, kept in zip(noise, fixed, strict=True) if kept is None)
        fixed = tuple(None if kept is None else n for n, kept in zip(noise, fixed, strict=True))
        variables |= {"noise": searched}
    key_data = jax.random.key_data(key)
    none_yet = jnp.float32(_NONE_YET)
    size = output_size(generator, config)
    return SearchState(
        target=target,
        variables=variables,
        fixed_noise=fixed,
        key=key_data,
        method=_method(generator, config, config.numbers, len(target)).init(variables, _key_of_update(key_data, 0)),
        best=variables,
        # Black, delivered only if no look at all was finite.
        best_picture=jnp.zeros((size, size, 3), jnp.uint8),
        best_loss=none_yet,
        best_error=none_yet,
        best_search_error=none_yet,
        reference_loss=none_yet,
        stalled=jnp.int32(0),
        steps=jnp.int32(0),
        evaluations=jnp.int32(0),
        feasible_at=jnp.int32(0),
        curve=jnp.zeros(SLOTS, jnp.float32),
        status=jnp.int32(Status.RUNNING),
    )


def empty(state: SearchState) -> SearchState:
    """Return the same lane, marked as holding no problem."""
    return state._replace(status=jnp.int32(Status.EMPTY))


def _where(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _looked_at(generator: Generator, config: SearchConfig, state: SearchState, numbers: Numbers) -> Variables:
    """The variables that this look is at: the search's own, with what is drawn for every look.

    That is noise on the latent, which dies away (ADA's projector), and noise inputs where they are `redrawn` (II2S);
    the first look's are those that the search was given.
    """
    variables = state.variables
    if config.latent_noise:
        assert generator.w_std is not None
        left = jnp.maximum(0.0, 1.0 - state.steps / numbers["steps"] / _QUIET)
        scale = numbers["latent_noise"] * generator.w_std * jnp.square(left)
        key = jax.random.fold_in(wrapped_key(state.key), state.steps)
        latent = variables["latent"]
        variables = variables | {"latent": latent + scale * jax.random.normal(key, latent.shape)}
    if config.noise == "redrawn":
        key = jax.random.fold_in(jax.random.fold_in(wrapped_key(state.key), _REDRAWN), state.steps)
        noise = tuple(
            jnp.where(state.steps == 0, image, jax.random.normal(jax.random.fold_in(key, place), image.shape))
            for place, image in enumerate(variables["noise"])
        )
        variables = variables | {"noise": noise}
    return variables


def step(
    generator: Generator,
    config: SearchConfig,
    state: SearchState,
    numbers: Numbers | None = None,
    repulsion: Repulsion | None = None,
) -> tuple[SearchState, Evaluation]:
    """Look at the current point, remember it if it is the best, stop or move on to where the method says.

    Best is what is feasible as delivered, then what has the lowest total loss. `eps` is met by the delivered error.
    `numbers` stand for the config's own where given, so that a program serves many configs (`SearchConfig.structure`).
    `repulsion` has a part in where the method goes, and none in what a look is worth: None for a search by itself.
    The evaluation comes back as the method was given it, without products.
    """
    numbers = config.numbers if numbers is None else numbers
    looked_at = _looked_at(generator, config, state, numbers)
    loss = functools.partial(evaluate, generator, config, state.target, fixed_noise=state.fixed_noise, numbers=numbers)
    grads, seen = jax.grad(loss, has_aux=True)(looked_at)
    if config.noise == "redrawn":
        grads = grads | {"noise": jax.tree.map(jnp.zeros_like, grads["noise"])}
    finite = jnp.isfinite(seen.loss) & jnp.isfinite(optax.tree.norm(grads))
    limit = numbers["eps"] * _MARGIN
    feasible = seen.delivered_error <= limit
    was_feasible = state.best_error <= limit
    better = jnp.where(feasible == was_feasible, seen.loss < state.best_loss, feasible) & jnp.isfinite(seen.loss)
    progress = seen.loss < state.reference_loss * (1.0 - _PROGRESS)
    stalled = jnp.where(progress, 0, state.stalled + 1)
    steps = state.steps + 1

    status = jnp.int32(Status.RUNNING)
    status = jnp.where(steps >= numbers["steps"], Status.MAX_STEPS, status)
    if config.stop == "plateau":
        status = jnp.where(stalled >= numbers["patience"], Status.PLATEAU, status)
    status = jnp.where(finite, status, Status.NONFINITE)
    ended = (status != Status.RUNNING) | (config.stop != "never")
    status = jnp.where((feasible | was_feasible) & ended, Status.FEASIBLE, status).astype(jnp.int32)

    residual = functools.partial(residual_at, generator, config, state.target, fixed_noise=state.fixed_noise)
    products = Products(residual, looked_at)
    seen = seen._replace(point=state.variables, gradient=grads, feasible=feasible, repulsion=repulsion)
    method = _method(generator, config, numbers, len(state.target))
    variables, memory = method.update(_key_of_update(state.key, steps), state.method, seen._replace(products=products))
    moved = status == Status.RUNNING
    # The original program moves after its last look too; its final iterate is then never looked at.
    if config.stop == "never":
        moved = finite
    new = state._replace(
        variables=_where(moved, variables, state.variables),
        method=_where(moved, memory, state.method),
        best=_where(better, looked_at, state.best),
        best_picture=_where(better, seen.picture, state.best_picture),
        best_loss=jnp.where(better, seen.loss, state.best_loss),
        best_error=jnp.where(better, seen.delivered_error, state.best_error),
        best_search_error=jnp.where(better, seen.search_error, state.best_search_error),
        reference_loss=jnp.where(progress, seen.loss, state.reference_loss),
        stalled=stalled,
        steps=steps,
        evaluations=state.evaluations + 1 + products.count,
        feasible_at=jnp.where((state.feasible_at == 0) & feasible, steps, state.feasible_at),
        curve=noted(state.curve, seen.search_error, state.steps),
        status=status,
    )
    return _where(state.status == Status.RUNNING, new, state), seen


def finish(generator: Generator, config: SearchConfig, state: SearchState) -> Result:
    """Deliver the best point of a lane."""

    def found(value: Array) -> Array:
        """The value of the best point; infinite where no look was finite."""
        return jnp.where(value == _NONE_YET, jnp.inf, value)

    w, offsets = styles(generator, config, state.best)
    return Result(
        picture=state.best_picture,
        loss=found(state.best_loss),
        search_error=found(state.best_search_error),
        latent=join_features(state.best),
        w=w,
        offsets=offsets,
        noise=merge_noise(state.best["noise"], state.fixed_noise),
        steps=state.steps,
        evaluations=state.evaluations,
        feasible_at=state.feasible_at,
        curve=state.curve,
        status=state.status,
    )
