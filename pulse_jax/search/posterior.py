"""Chains that sample the posterior p(x | y) ∝ exp(−‖D G(x) − y‖² / 2σ²) of latents on spheres, as pure functions.

`begin_chain` → `advance` repeated; nothing here knows of other chains. The density is with respect to the uniform one
on every sphere, or N(0, I) in flat spaces. Noise inputs that are not searched are given, and the same for all chains.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from pulse_jax.generators.generator import Generator
from pulse_jax.manifold import product
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.search.config import LatentSpace, Numbers, SearchConfig
from pulse_jax.search.methods.protocol import Setting
from pulse_jax.search.objective import Evaluation, evaluate
from pulse_jax.search.samplers.protocol import Chain, Sampler
from pulse_jax.search.samplers.registry import SAMPLERS
from pulse_jax.search.samplers.tempering import exchange
from pulse_jax.search.space import Variables, search_manifold, start
from pulse_jax.system.keys import wrapped_key
from pulse_jax.system.text import meant

__all__ = [
    "ChainState",
    "Tally",
    "advance",
    "begin_chain",
    "fixed_noise",
    "no_tally",
    "posterior_config",
    "prior_manifold",
    "sampler_of",
]


# Sets the key of a chain apart from that of a search's start.
_CHAIN = 0x63686169
# What a sampler is made for where its numbers do not matter.
_ANY = {"temperature": 1.0, "learning_rate": 1.0, "leapfrogs": 1}


class Tally(NamedTuple):
    """What a stretch of looks has shown, for tuning and for the report.

    Attributes:
        transitions: Transitions that ended, of the first replica.
        acceptance: Sum of their acceptances, of each replica.
        exchanges: Sum of the probabilities of each pair's exchanges.
        turns: How many exchanges of each pair that were.
    """

    transitions: Int[Array, ""]
    acceptance: Float[Array, "replicas"]
    exchanges: Float[Array, "pairs"]
    turns: Int[Array, "pairs"]


class ChainState(NamedTuple):
    """One chain, or where it is tempered its replicas, and what it has drawn.

    Attributes:
        sampler: State of the sampler, with an axis of replicas.
        point: What is looked at next, likewise.
        key: Data of the key that all is drawn from.
        looks: Looks taken.
        tally: Since `advance` began.
        seen: Transitions since drawing began.
        stored: Draws kept.
        draws: The draws, with room for all.
        errors: Mean squared error of each draw, of float images.
    """

    sampler: Any
    point: Variables
    key: UInt32[Array, "2"]
    looks: Int[Array, ""]
    tally: Tally
    seen: Int[Array, ""]
    stored: Int[Array, ""]
    draws: Variables
    errors: Float[Array, "draws"]


def posterior_config(
    sampler: str, *, space: LatentSpace = "w+", degradation: str = "bicubic", eps: float = 1e-3
) -> SearchConfig:
    """Return what a posterior is sampled with: the mean squared error on spheres, or in flat spaces if the sampler is
    for those.

    Args:
        sampler: A name in `SAMPLERS`.
        space: Which latents are drawn, see `SearchConfig`; in "w+" every layer's row is independent of the others
            under the prior.
        degradation: D, as in `SearchConfig`.
        eps: ε, as in `SearchConfig`.

    Raises:
        ValueError: There is no such sampler, or a setting is out of range.
    """
    if sampler not in SAMPLERS:
        raise ValueError(
            f"sampler: expected one of {', '.join(SAMPLERS)}, got {sampler!r:.80}{meant(sampler, SAMPLERS)}"
        )
    return SearchConfig(
        loss="L2",
        space=space,
        geometry="euclidean" if sampler == "elliptical_slice" else "sphere",
        start="uniform",
        stop="never",
        degradation=degradation,
        eps=eps,
    )


def sampler_of(sampler: str, generator: Generator, config: SearchConfig) -> Sampler:
    """Return a sampler for what it says of itself, such as its replicas: its numbers mean nothing.

    Raises:
        ValueError: The sampler does not suit the config, or the generator the space.
    """
    return _made(sampler, generator, config, _ANY)


def fixed_noise(
    generator: Generator, config: SearchConfig, key: PRNGKeyArray, target: Float[Array, "size size 3"]
) -> tuple[Float[Array, "_ _ 1"] | None, ...]:
    """Draw the noise inputs that all chains share, None for those that they sample."""
    return start(generator, config, key, target)[1]


def begin_chain(
    generator: Generator,
    config: SearchConfig,
    sampler: str,
    target: Float[Array, "size size 3"],
    key: PRNGKeyArray,
    draws: int,
) -> ChainState:
    """Return a chain at a random start, uniform on spheres or N(0, I).

    Args:
        generator: Generator.
        config: As `posterior_config` gives it.
        sampler: A name in `SAMPLERS`.
        target: Low-resolution image in [0, 1].
        key: Random key of the chain.
        draws: How many draws it has room for.

    Raises:
        ValueError: The sampler does not suit the config, or the generator the space.
    """
    made = sampler_of(sampler, generator, config)
    manifold = prior_manifold(config, generator.latent_dim)
    like, _ = start(generator, config, key, target)
    key = jax.random.fold_in(key, _CHAIN)
    for_starts, for_looks = jax.random.split(key)
    keys = jax.random.split(for_starts, made.replicas)
    points = jax.vmap(lambda key: product.random_uniform(manifold, key, like))(keys)
    states = jax.vmap(lambda point: made.init(point, product.radii(manifold, point)))(points)
    return ChainState(
        sampler=states,
        point=points,
        key=jax.random.key_data(for_looks),
        looks=jnp.int32(0),
        tally=no_tally(made.replicas),
        seen=jnp.int32(-1),
        stored=jnp.int32(0),
        draws=jax.tree.map(lambda leaf: jnp.zeros((draws, *leaf.shape), leaf.dtype), like),
        errors=jnp.zeros(draws, jnp.float32),
    )


def advance(
    generator: Generator,
    config: SearchConfig,
    sampler: str,
    target: Float[Array, "size size 3"],
    noise: tuple[Float[Array, "_ _ 1"] | None, ...],
    numbers: Numbers,
    state: ChainState,
) -> ChainState:
    """Take looks until there are `numbers["looks"]` of them or all draws are kept.

    Args:
        generator: Generator.
        config: As `posterior_config` gives it.
        sampler: A name in `SAMPLERS`.
        target: Low-resolution image in [0, 1].
        noise: As `fixed_noise` gives it.
        numbers: `temperature` and `learning_rate`, the step, of each replica; `leapfrogs`; `looks`; `thinning`, every
            how many transitions a draw is kept, 0 while warming up.
        state: State to go on from.
    """

    def evaluated(point: Variables) -> Evaluation:
        def loss(point: Variables) -> tuple[Array, Evaluation]:
            return evaluate(generator, config, target, point, noise)

        if not uses_gradient:
            return loss(point)[1]._replace(point=point)
        gradient, seen = jax.grad(loss, has_aux=True)(point)
        return seen._replace(point=point, gradient=gradient)

    def of_replica(number: int | Array) -> Sampler:
        own = {name: numbers[name][number] for name in ("temperature", "learning_rate")}
        return _made(sampler, generator, config, {**own, "leapfrogs": numbers["leapfrogs"]})

    uses_gradient = of_replica(0).uses_gradient
    replicas = jnp.arange(len(numbers["temperature"]))

    def look(state: ChainState) -> ChainState:
        key = jax.random.fold_in(wrapped_key(state.key), state.looks)
        for_landing, for_exchange, for_leaving = jax.random.split(key, 3)
        seen = _for_each(evaluated, state.point)
        keys = jax.random.split(for_landing, len(replicas))
        landed = _for_each(lambda number, *rest: of_replica(number).land(*rest), replicas, keys, state.sampler, seen)
        # The look at the start lands, but ends no transition.
        done, tally = landed.landed[0] & (landed.chain.transitions[0] > 0), state.tally
        acceptance = tally.acceptance + jnp.where(done, landed.chain.acceptance, 0.0)
        if len(replicas) > 1:
            chains, probability, turn = exchange(for_exchange, landed.chain, numbers["temperature"])
            chains = jax.tree.map(functools.partial(jnp.where, done), chains, landed.chain)
            landed = landed._replace(chain=chains)
            tally = tally._replace(
                exchanges=tally.exchanges + jnp.where(done & turn, probability, 0.0),
                turns=tally.turns + (done & turn),
            )
        tally = tally._replace(transitions=tally.transitions + done, acceptance=acceptance)
        state = _kept(state, numbers["thinning"], jax.tree.map(lambda leaf: leaf[0], landed.chain), done)
        keys = jax.random.split(for_leaving, len(replicas))
        point, left = _for_each(lambda number, *rest: of_replica(number).leave(*rest), replicas, keys, landed)
        return state._replace(sampler=left, point=point, looks=state.looks + 1, tally=tally)

    def goes_on(state: ChainState) -> Array:
        return (state.looks < last) & (state.stored < len(state.errors))

    last = state.looks + numbers["looks"]
    return jax.lax.while_loop(goes_on, look, state._replace(tally=no_tally(len(replicas))))


def _for_each(function: Callable[..., Any], *replicas: Any) -> Any:
    """`jax.vmap` over replicas; a single one goes by itself, which a CPU is faster at."""
    if len(jax.tree.leaves(replicas)[0]) > 1:
        return jax.vmap(function)(*replicas)
    one = function(*jax.tree.map(lambda leaf: leaf[0], replicas))
    return jax.tree.map(lambda leaf: leaf[None], one)


def prior_manifold(config: SearchConfig, latent_dim: int) -> dict[str, Sphere | Euclidean]:
    """Return where the variables live: on the search's spheres, or all in flat spaces, noise inputs too."""
    manifold = search_manifold(config, latent_dim)
    return manifold if config.geometry == "sphere" else manifold | {"noise": Euclidean(axes=(-3, -2))}


def _made(sampler: str, generator: Generator, config: SearchConfig, numbers: Numbers) -> Sampler:
    return SAMPLERS[sampler](Setting(config, numbers, prior_manifold(config, generator.latent_dim), generator.config))


def no_tally(replicas: int) -> Tally:
    """Return the tally before any look, for so many replicas."""
    pairs = replicas - 1
    return Tally(jnp.int32(0), jnp.zeros(replicas), jnp.zeros(pairs), jnp.zeros(pairs, jnp.int32))


def _kept(state: ChainState, thinning: Array, chain: Chain, done: Array) -> ChainState:
    """The state with the chain's draw, if one is due."""
    # The transition under way when drawing begins was begun with other numbers.
    seen = jnp.where(thinning > 0, state.seen + done, -1)
    due = done & (seen > 0) & (seen % jnp.maximum(thinning, 1) == 0)

    def put(kept: Array, one: Array) -> Array:
        return kept.at[state.stored].set(jnp.where(due, one, kept[state.stored]))

    return state._replace(
        seen=seen,
        stored=state.stored + due,
        draws=jax.tree.map(put, state.draws, chain.point),
        errors=put(state.errors, chain.loss),
    )
