"""Many chains of one posterior on a device: warmed up together, then drawn from until each has its draws.

While warming up, the temperature falls from where random starts are at home to where draws have the wanted error, and
steps are tuned for their acceptance, by stochastic approximation over all chains (Robbins and Monro 1951; Andrieu and
Thoms 2008). Both rest afterwards, so that what is drawn is a Markov chain's.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from pulse_jax.engine.lanes import by_themselves, placed
from pulse_jax.engine.memory import fitting_lanes
from pulse_jax.generators.generator import Generator
from pulse_jax.images.rounding import quantize
from pulse_jax.search import posterior as chains
from pulse_jax.search.config import Numbers, SearchConfig
from pulse_jax.search.objective import decode
from pulse_jax.search.posterior import ChainState, Tally
from pulse_jax.search.problems import image_number, problem_key
from pulse_jax.search.samplers.registry import SAMPLERS
from pulse_jax.search.samplers.tempering import EXCHANGES
from pulse_jax.search.space import Variables
from pulse_jax.system.devices import Device
from pulse_jax.system.programs import Program

__all__ = ["Posterior", "Sampling", "drawn_pictures", "sample_posterior"]

# Looks between which nothing is tuned and nobody is told.
_STRIDE = 16
# How far the logarithm of the temperature may move while warming up, if all of it pulls one way.
_COOLING = 12.0
# The logarithm of the temperature before the starts were looked at, at which no trajectory is without a number.
_UNKNOWN = 0.0
_FIRST_STEP, _FIRST_GAP = 0.01, 0.25
# Leapfrog steps of a transition while the temperature falls, in which long trajectories from where a chain is not at
# home end too far off to be accepted; and in the rest of the warm-up.
_FIRST_LEAPFROGS, _LATER_LEAPFROGS = 4, 16
# A quarter of a turn, and how many steps are taken for it at most.
_TURN, _MOST_LEAPFROGS = math.pi / 2, 64
_LEAST_STEP, _MOST_STEP = 1e-5, 1.0
_LEAST_GAP, _MOST_GAP = 1e-2, 3.0
# Least σ² as a share of ε: where a generator cannot come near the input, no σ would make the mean error ε.
_LEAST = 1e-2
# What has been tuned is averaged over this last part of the warm-up.
_AVERAGED = 0.25
# Transitions of some 32 looks: Langevin's take one look, slices some eight, trajectories some 32.
_THINNING = {"riemannian_langevin": 32, "geodesic_slice": 4, "elliptical_slice": 4}


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a posterior is sampled.

    Attributes:
        sampler: A name in `pulse_jax.search.samplers.registry.SAMPLERS`.
        chains: Independent chains, each from its own random start.
        draws: Draws kept of each.
        thinning: Every how many transitions a draw is kept; None for as many as take some 32 looks.
        warm_up: Looks of each chain before any is.
        leapfrogs: Looks of a transition of the samplers that follow trajectories; None for as many as make a quarter of
            a turn, at most 64, after which what the input leaves open has forgotten where it was.
        sigma: σ, the standard deviation of an input's values around D G(x); None for that at which the mean error of
            draws is ε.
        seed: What all is drawn from.

    Raises:
        ValueError: There is no such sampler, or a number is out of range.
    """

    sampler: str = "geodesic_hmc"
    chains: int = 8
    draws: int = 32
    thinning: int | None = None
    warm_up: int = 800
    leapfrogs: int | None = None
    sigma: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler: expected one of {', '.join(SAMPLERS)}, got {self.sampler!r:.80}")
        for name in ("chains", "draws", "kept_every", "warm_up", "leapfrogs"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")
        if self.sigma is not None and not 0 < self.sigma < math.inf:
            raise ValueError(f"sigma: expected a positive number, got {self.sigma}")

    @property
    def kept_every(self) -> int:
        """Every how many transitions a draw is kept, also where `thinning` does not say."""
        return _THINNING.get(self.sampler, 1) if self.thinning is None else self.thinning


class Posterior(NamedTuple):
    """What was drawn, and how.

    Attributes:
        draws: The draws: `latent` (chains, draws, rows, d), and the noise inputs that were sampled.
        errors: Mean squared error of each, of float images.
        noise: Noise inputs that all draws share, None for sampled ones.
        sigma: σ.
        steps: Step of each replica.
        temperatures: Temperature of each replica, relative to the first.
        acceptance: Mean acceptance of transitions, of each replica.
        exchanges: Mean probability of exchanges between neighbouring replicas.
        transitions: Transitions that ended since the warm-up, of all chains; the first of each began before its end and
            is not drawn from.
        looks: Looks of all chains and replicas in that time, and `warm_up_looks` before.
    """

    draws: Variables
    errors: Float[np.ndarray, "chains draws"]
    noise: tuple[np.ndarray | None, ...]
    sigma: float
    steps: tuple[float, ...]
    temperatures: tuple[float, ...]
    acceptance: tuple[float, ...]
    exchanges: tuple[float, ...]
    transitions: int
    looks: int
    warm_up_looks: int


class _Tuning(NamedTuple):
    """What is tuned, of all chains together: logarithms, as float64.

    Attributes:
        temperature: Of the first replica.
        gaps: Of the differences between replicas' logarithms.
        steps: Of each replica's step.
        sums: Sums of the three, in this order, over the part that is averaged, and of how many.
    """

    temperature: np.ndarray
    gaps: np.ndarray
    steps: np.ndarray
    sums: np.ndarray

    @property
    def temperatures(self) -> np.ndarray:
        """Logarithm of each replica's temperature."""
        return self.temperature + np.concatenate([[0.0], np.cumsum(np.exp(self.gaps))])


class _Work(NamedTuple):
    """All that is saved: what is tuned, the chains, and sums over them since drawing began."""

    tuning: _Tuning
    states: list[ChainState]
    totals: Tally


@functools.partial(Program, static_argnames="config")
def _decode(
    generator: Generator, config: SearchConfig, draw: Variables, noise: tuple[Array | None, ...]
) -> UInt8[Array, "h w 3"]:
    return quantize(decode(generator, config, draw, noise)[0])[0]


def drawn_pictures(
    generator: Generator, config: SearchConfig, posterior: Posterior, *, device: Device | None = None
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield the picture of every draw, chain by chain.

    Args:
        generator: Generator that was sampled.
        config: As for `sample_posterior`.
        posterior: What it returned.
        device: Device to draw on; JAX's first if None.
    """
    generator = placed(generator, config, jax.devices()[0] if device is None else device)
    for chain, draw in np.ndindex(posterior.errors.shape):
        point = jax.tree.map(lambda leaf: leaf[chain, draw], posterior.draws)  # noqa: B023
        yield np.asarray(_decode(generator, config, point, posterior.noise))


@functools.partial(Program, static_argnames=("config", "sampler", "draws"))
def _begin(
    generator: Generator, config: SearchConfig, sampler: str, target: Array, keys: Array, draws: int
) -> ChainState:
    begun = functools.partial(chains.begin_chain, generator, config, sampler, target, draws=draws)
    return jax.vmap(lambda key: begun(key))(keys)


@functools.partial(Program, static_argnames=("config", "sampler"), donate_argnames="state")
def _advance(
    generator: Generator,
    config: SearchConfig,
    sampler: str,
    target: Array,
    noise: tuple[Array | None, ...],
    numbers: Numbers,
    state: ChainState,
) -> ChainState:
    one = functools.partial(chains.advance, generator, config, sampler, target, noise, numbers)
    if len(state.looks) == 1:
        # Unbatched, conditions stay conditions.
        return jax.tree.map(lambda leaf: leaf[None], one(jax.tree.map(lambda leaf: leaf[0], state)))
    return jax.vmap(one)(state)


def sample_posterior(
    generator: Generator,
    low_res: Float[np.ndarray, "size size 3"],
    config: SearchConfig,
    sampling: Sampling,
    *,
    device: Device | None = None,
    saved: Sequence[np.ndarray] | None = None,
    keep: Callable[[Any], Any] = lambda state: None,
    on_progress: Callable[[str, int, int], Any] = lambda what, done, total: None,
) -> Posterior:
    """Draw from p(x | y) ∝ exp(−‖D G(x) − y‖² / 2σ²) under the uniform prior on spheres, or N(0, I) in flat spaces.

    A chain depends on all chains of its run, through what is tuned, and on nothing else.

    Args:
        generator: Generator.
        low_res: The input y, in [0, 1].
        config: As `search.posterior.posterior_config` gives it.
        sampling: How.
        device: Device to run on; JAX's first if None.
        saved: Leaves of a state that `keep` was given, to go on with.
        keep: Function to call now and then with the state, a pytree of arrays; what it raises ends the sampling.
        on_progress: Function to call then with what is done, how far it is and how far it goes.

    Raises:
        ValueError: The sampler does not suit the config, or the generator the space; the config has another loss; or
            the generator's pictures are not finite.
    """
    if config.loss != chains.posterior_config(sampling.sampler).loss or config.clamp_loss:
        raise ValueError(f"config: expected one of posterior_config, got the loss {config.loss!r:.80}")
    where = jax.devices()[0] if device is None else device
    eps, config = config.eps, config.structure
    generator = placed(generator, config, where)
    target = jax.device_put(np.asarray(low_res, np.float32), where)
    keys = [problem_key(sampling.seed, image_number(low_res), chain) for chain in range(sampling.chains)]
    noise = chains.fixed_noise(generator, config, keys[0], target)
    made = chains.sampler_of(sampling.sampler, generator, config)
    # A chain takes what as many searches as it has replicas take.
    at_once = max(1, fitting_lanes(generator, config, where) // made.replicas)
    size = 1 if by_themselves(where.platform, strict=False) else at_once
    groups = [jnp.stack(keys[at : at + size]) for at in range(0, sampling.chains, size)]
    states = [_begin(generator, config, sampling.sampler, target, group, sampling.draws) for group in groups]
    states = jax.device_put(states, where)
    work = _Work(_untuned(made.replicas), states, jax.tree.map(np.asarray, chains.no_tally(made.replicas)))
    if saved is not None:
        work = jax.tree.unflatten(jax.tree.structure(work), saved)
    run = functools.partial(_advance, generator, config, sampling.sampler, target, noise)
    pool = ThreadPoolExecutor(at_once if where.platform == "cpu" else 1)
    try:
        while not _told(work, sampling, on_progress):
            stretch = _stretch(work, sampling)
            one = functools.partial(run, _numbers(work.tuning, stretch))
            # The first one by itself, so that the program compiles once.
            first = jax.block_until_ready(one(work.states[0]))
            rest = pool.map(lambda state: jax.block_until_ready(one(state)), work.states[1:])  # noqa: B023
            work = work._replace(states=[first, *rest])
            work = _tuned(work, sampling, stretch.looks, target.size, eps, made.acceptance)
            keep(work)
    finally:
        # After an interrupt nobody waits for the chains that had not begun.
        pool.shutdown(wait=False, cancel_futures=True)
    return _gathered(work, sampling, noise, target.size)


class _Stretch(NamedTuple):
    """Looks that are taken without tuning anything.

    Attributes:
        looks: How many.
        thinning: Every how many transitions a draw is kept; 0 for never.
        leapfrogs: Looks of a transition that follows a trajectory.
    """

    looks: int
    thinning: int
    leapfrogs: int


def _looks(work: _Work) -> int:
    """Looks of each chain until now; those that have all their draws wait."""
    return max(int(np.max(state.looks)) for state in work.states)


def _stretch(work: _Work, sampling: Sampling) -> _Stretch:
    looks, leapfrogs = _looks(work), sampling.leapfrogs
    if leapfrogs is None:
        leapfrogs = min(_MOST_LEAPFROGS, max(1, round(_TURN / math.exp(work.tuning.steps[0]))))
    if looks < sampling.warm_up:
        # Many short ones tell more of the step than few long ones.
        leapfrogs = min(leapfrogs, _FIRST_LEAPFROGS if looks < sampling.warm_up / 2 else _LATER_LEAPFROGS)
    stride = max(_STRIDE, leapfrogs)
    if looks >= sampling.warm_up:
        return _Stretch(stride, sampling.kept_every, leapfrogs)
    # The first look is at the start, and ends no transition.
    return _Stretch(1 if looks == 0 else min(stride, sampling.warm_up - looks), 0, leapfrogs)


def _numbers(tuning: _Tuning, stretch: _Stretch) -> Numbers:
    return {
        "temperature": np.exp(tuning.temperatures).astype(np.float32),
        "learning_rate": np.exp(tuning.steps).astype(np.float32),
        "leapfrogs": np.int32(stretch.leapfrogs),
        "looks": np.int32(stretch.looks),
        "thinning": np.int32(stretch.thinning),
    }


def _told(work: _Work, sampling: Sampling, on_progress: Callable[[str, int, int], Any]) -> bool:
    """Tell how far it is; return whether it is done."""
    looks = _looks(work)
    if looks < sampling.warm_up:
        on_progress("warming up", looks, sampling.warm_up)
        return False
    stored, wanted = sum(int(np.sum(state.stored)) for state in work.states), sampling.chains * sampling.draws
    on_progress("drawing", stored, wanted)
    return stored == wanted


def _untuned(replicas: int) -> _Tuning:
    gaps = np.full(replicas - 1, math.log(_FIRST_GAP))
    return _Tuning(np.array(_UNKNOWN), gaps, np.full(replicas, math.log(_FIRST_STEP)), np.zeros(2 * replicas + 1))


def _tuned(work: _Work, sampling: Sampling, taken: int, values: int, eps: float, acceptance: float | None) -> _Work:
    """The work after a stretch of looks, tuned by it while warming up, and counted after that.

    Args:
        work: Work whose chains have just taken it.
        sampling: How the posterior is sampled.
        taken: Looks that were taken.
        values: Values of the input: a temperature is 2 σ² over them.
        eps: ε.
        acceptance: What steps are tuned for; None for samplers without.
    """
    looks = _looks(work)
    # Per transition and pair, over all chains.
    tallies = [jax.tree.map(lambda leaf: np.sum(leaf, axis=0), state.tally) for state in work.states]
    tally = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *tallies)
    if looks > sampling.warm_up:
        return work._replace(totals=jax.tree.map(np.add, work.totals, tally))
    tuning, done = work.tuning, looks / sampling.warm_up
    error = float(np.mean([np.mean(state.sampler.chain.loss[:, 0]) for state in work.states]))
    if not math.isfinite(error):
        raise ValueError(
            "the generator: expected finite pictures of random latents, got others; nothing can be sampled"
        )
    # Of zero there is no logarithm.
    error = max(error, np.finfo(np.float32).tiny)
    if tuning.temperature == _UNKNOWN:
        tuning = tuning._replace(temperature=np.array(math.log(2 * error / values)))
    gain = taken / sampling.warm_up
    if sampling.sigma is None:
        pull = np.clip(math.log(eps / error), -1.0, 1.0)
        if acceptance is not None:
            # Chains that stand still cannot follow.
            pull *= min(1.0, tally.acceptance[0] / max(tally.transitions, 1) / acceptance)
        temperature = max(tuning.temperature + _COOLING * gain * pull, math.log(_LEAST * 2 * eps / values))
    else:
        # Nothing has to be found out: evenly, and there after half of the time.
        left = sampling.warm_up / 2 - (looks - taken)
        way = math.log(2 * sampling.sigma**2 / values) - tuning.temperature
        temperature = tuning.temperature + way * (min(1.0, taken / left) if left > 0 else 1.0)
    steps, gaps = tuning.steps, tuning.gaps
    # Strides since the temperature has ceased to fall: from then on what is learned counts less and less.
    calm = max(1.0, (done - 0.5) * sampling.warm_up / taken)
    if acceptance is not None and tally.transitions:
        steps = steps + (tally.acceptance / tally.transitions - acceptance) / math.sqrt(calm)
        steps = np.clip(steps, math.log(_LEAST_STEP), math.log(_MOST_STEP))
    exchanged = tally.exchanges / np.maximum(tally.turns, 1)
    gaps = gaps + np.where(tally.turns > 0, exchanged - EXCHANGES, 0.0) / math.sqrt(calm)
    gaps = np.clip(gaps, math.log(_LEAST_GAP), math.log(_MOST_GAP))
    sums = tuning.sums
    if done >= 1 - _AVERAGED:
        sums = sums + np.concatenate([[temperature], gaps, steps, [1.0]])
    tuning = _Tuning(np.array(temperature), gaps, steps, sums)
    if looks == sampling.warm_up:
        mean = sums[:-1] / sums[-1]
        tuning = _Tuning(np.array(mean[0]), mean[1 : 1 + len(gaps)], mean[1 + len(gaps) :], sums)
        if sampling.sigma is not None:
            tuning = tuning._replace(temperature=np.array(math.log(2 * sampling.sigma**2 / values)))
    return work._replace(tuning=tuning)


def _gathered(work: _Work, sampling: Sampling, noise: tuple[Array | None, ...], values: int) -> Posterior:
    def joined(pick: Callable[[ChainState], Any]) -> Any:
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *(pick(state) for state in work.states))

    temperatures, totals = np.exp(work.tuning.temperatures), work.totals
    looks = int(np.sum(joined(lambda state: state.looks)))
    warm_up = sampling.warm_up * sampling.chains
    replicas = len(temperatures)
    return Posterior(
        draws=joined(lambda state: state.draws),
        errors=joined(lambda state: state.errors),
        noise=tuple(None if one is None else np.asarray(one) for one in noise),
        sigma=math.sqrt(temperatures[0] * values / 2),
        steps=tuple(np.exp(work.tuning.steps).tolist()),
        temperatures=tuple((temperatures / temperatures[0]).tolist()),
        acceptance=tuple((totals.acceptance / totals.transitions).tolist()),
        exchanges=tuple((totals.exchanges / np.maximum(totals.turns, 1)).tolist()),
        transitions=int(totals.transitions),
        looks=(looks - warm_up) * replicas,
        warm_up_looks=warm_up * replicas,
    )
