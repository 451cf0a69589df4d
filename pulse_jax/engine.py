"""Problems in, solutions out: a fixed number of vmapped lanes runs in short jitted chunks that a host loop refills.

A problem is one image and one restart. Work always runs in chunks of exactly `lanes` lanes, padded with empty ones, so
that a problem's result depends on its image, restart number, seed, config, lane count and device, and on nothing else:
not on what shares the batch, nor on order. Everything compiles once, whatever the number of problems.
"""

import functools
import hashlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax import search
from pulse_jax.config import SearchConfig
from pulse_jax.degradations import bicubic_float64, bicubic_matrix
from pulse_jax.generator import Generator
from pulse_jax.latents import search_shape
from pulse_jax.presets import pulse
from pulse_jax.search import SearchState, Status

__all__ = ["Progress", "Solution", "Solutions", "Start", "admissible_sizes", "problem_key", "rank", "solve", "upsample"]

_CHUNK_STEPS = 10


@dataclass(frozen=True, kw_only=True)
class Solution:
    """One delivered picture and the proof that it downscales to its input.

    Attributes:
        index, restart: which image and which restart it belongs to.
        image: (H, W, 3) float32 in [0, 1], multiples of 1/255: exactly what a PNG of it holds.
        downscaled: (h, w, 3) float32, D(image).
        loss: the total loss of the float image.
        downscaling_error: mean squared error of D(image) against the input, in float64.
        search_error: the same of the float image, before clipping and rounding: the original program's criterion.
        feasible: whether `downscaling_error` ≤ ε.
        status: how the search ended.
        steps: looks taken, at most the config's `steps`.
        latent: (rows, d), the searched latent.
        noise: every noise input (r, r, 1).
        key: the data of the random key that the start was drawn from.
    """

    index: int
    restart: int
    image: np.ndarray
    downscaled: np.ndarray
    loss: float
    downscaling_error: float
    search_error: float
    feasible: bool
    status: Status
    steps: int
    latent: np.ndarray
    noise: tuple[np.ndarray, ...]
    key: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Solutions:
    """k solutions for each of n images, best first: feasible ones, then by total loss; arrays lead with (n, k).

    `restart` tells which restart a solution came from; the rest is as in `Solution`.
    """

    images: np.ndarray
    downscaled: np.ndarray
    loss: np.ndarray
    downscaling_error: np.ndarray
    search_error: np.ndarray
    feasible: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    latents: np.ndarray
    noise: tuple[np.ndarray, ...]
    restart: np.ndarray
    keys: np.ndarray


class Start(NamedTuple):
    """Given starts: latents (n, k, rows, d) and, unless they are to be drawn, all noise inputs (n, k, r, r, 1)."""

    latents: Any
    noise: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a chunk: problems done of all, looks taken, seconds, successes.

    `compile_seconds` is what the first chunk took longer than the second, once there is one.
    """

    done: int
    total: int
    steps: int
    seconds: float
    compile_seconds: float
    feasible: int


def admissible_sizes(resolution: int, config: SearchConfig) -> list[int]:
    """The sides that a low-resolution input may have, ascending: divisors whose factor D can serve."""
    sizes = []
    for size in range(1, resolution + 1):
        if resolution % size == 0:
            factor = resolution // size
            try:
                if factor > 1 or config.blur_at_factor_one:
                    bicubic_matrix(resolution, factor)
            except ValueError:
                continue
            sizes.append(size)
    return sizes


def problem_key(seed: int, pixels: np.ndarray, restart: int) -> Array:
    """fold_in(fold_in(seed, first 32 bits of the sha256 of shape and float32 pixels), restart)."""
    pixels = np.ascontiguousarray(pixels, "<f4")
    digest = hashlib.sha256(np.asarray(pixels.shape, "<i8").tobytes() + pixels.tobytes()).digest()
    image_key = jax.random.fold_in(jax.random.key(seed), int.from_bytes(digest[:4], "big"))
    return jax.random.fold_in(image_key, restart)


@functools.partial(jax.jit, static_argnames="config")
def _fill(generator: Generator, config: SearchConfig, targets: Array, keys: Array, start: Start) -> SearchState:
    one = functools.partial(search.init, generator, config)
    return jax.vmap(one)(targets, jax.random.wrap_key_data(keys), start.latents, start.noise)


@functools.partial(jax.jit, donate_argnums=0)
def _refill(state: SearchState, fresh: SearchState, filled: Array, emptied: Array) -> SearchState:
    def choose(fill: Array, drain: Array, new: SearchState, old: SearchState) -> SearchState:
        kept = jax.tree.map(lambda a, b: jnp.where(drain, a, b), search.empty(old), old)
        return jax.tree.map(lambda a, b: jnp.where(fill, a, b), new, kept)

    return jax.vmap(choose)(filled, emptied, fresh, state)


@functools.partial(jax.jit, static_argnames="config", donate_argnames="state")
def _chunk(generator: Generator, config: SearchConfig, state: SearchState) -> SearchState:
    one = functools.partial(search.step, generator, config)
    return jax.lax.scan(lambda s, _: (jax.vmap(one)(s)[0], None), state, length=_CHUNK_STEPS)[0]


def _floats(low_res: Any) -> np.ndarray:
    low_res = np.asarray(low_res)
    if not np.issubdtype(low_res.dtype, np.floating):
        raise ValueError(f"low_res: expected floating-point images in [0, 1], got {low_res.dtype}")
    return low_res.astype(np.float32)


def _check(
    generator: Generator, low_res: np.ndarray, restarts: int, seed: int, lanes: int, config: SearchConfig
) -> None:
    if low_res.ndim != 4 or low_res.shape[-1] != 3 or low_res.shape[1] != low_res.shape[2]:
        raise ValueError(f"low_res: expected square RGB images (n, h, h, 3), got {low_res.shape}")
    sizes = admissible_sizes(generator.resolution, config)
    if low_res.shape[1] not in sizes:
        raise ValueError(f"low_res: expected a side of {', '.join(map(str, sizes))}, got {low_res.shape[1]}")
    if restarts < 1:
        raise ValueError(f"restarts: expected 1 or more, got {restarts}")
    if lanes < 1:
        raise ValueError(f"lanes: expected 1 or more, got {lanes}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed: expected 0 to {2**32 - 1}, got {seed}")
    if config.space != "z" and generator.gaussian_fit is None:
        raise ValueError(
            f"space {config.space!r}: expected a generator with a Gaussian fit (Generator.fitted), or space 'z'"
        )


def _deliver(
    result: Any,
    lane: int,
    problem: tuple[int, int],
    target: np.ndarray,
    key: np.ndarray,
    config: SearchConfig,
) -> Solution:
    # In float64, as a reader of the PNG gets them.
    exact = result.picture[lane] / 255
    factor = exact.shape[0] // target.shape[0]
    downscaled = bicubic_float64(exact, factor, identity_at_one=not config.blur_at_factor_one)
    error = float(np.mean(np.square(downscaled - np.asarray(target, np.float64))))
    feasible = error <= config.eps
    return Solution(
        index=problem[0],
        restart=problem[1],
        image=exact.astype(np.float32),
        downscaled=downscaled.astype(np.float32),
        loss=float(result.loss[lane]),
        downscaling_error=error,
        search_error=float(result.search_error[lane]),
        feasible=feasible,
        status=Status.FEASIBLE if feasible else Status(int(result.status[lane])),
        steps=int(result.steps[lane]),
        latent=result.latent[lane].copy(),
        noise=tuple(noise[lane].copy() for noise in result.noise),
        key=key,
    )


def solve(
    generator: Generator,
    low_res: np.ndarray,
    *,
    restarts: int = 1,
    seed: int = 0,
    lanes: int = 8,
    config: SearchConfig | None = None,
    start: Start | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> Iterator[Solution]:
    """Yield every solution as soon as its lane has ended, in the order in which they end.

    Args:
        generator: any `Generator`.
        low_res: (n, h, h, 3), nominally [0, 1]; not-a-number costs only the image that holds it.
        restarts: k, searches per image.
        seed: 0 to 2³² − 1.
        lanes: problems that run at once; part of what determines a result's last bits.
        config: `presets.pulse()` if None.
        start: given starts, n·k of them.
        on_progress: called after each chunk.

    Raises:
        ValueError: an argument is out of range, named with what was expected.
    """
    config = pulse() if config is None else config
    low_res = _floats(low_res)
    _check(generator, low_res, restarts, seed, lanes, config)
    if start is not None:
        rows = search_shape(config.space, generator.num_layers, generator.latent_dim)
        expected = [(len(low_res), restarts, *shape) for shape in (rows, *generator.noise_shapes)]
        got = [array.shape for array in jax.tree.leaves(start)]
        if got != expected[: len(got)] or len(got) not in (1, len(expected)):
            raise ValueError(f"start: expected shapes {expected}, got {got}")
    return _run(generator, low_res, restarts, seed, lanes, config, start, on_progress or (lambda progress: None))


def _run(
    generator: Generator,
    low_res: np.ndarray,
    restarts: int,
    seed: int,
    lanes: int,
    config: SearchConfig,
    start: Start | None,
    report: Callable[[Progress], Any],
) -> Iterator[Solution]:
    began = time.perf_counter()
    paused = 0.0  # the consumer's time, between our yields
    problems = [(index, restart) for index in range(len(low_res)) for restart in range(restarts)]
    if not problems:
        return
    waiting = iter(problems)
    targets = np.zeros((lanes, *low_res.shape[1:]), np.float32)
    keys = np.stack([np.asarray(jax.random.key_data(jax.random.key(0)))] * lanes)
    given = Start(None) if start is None else start
    starts = jax.tree.map(lambda a: np.zeros((lanes, *a.shape[2:]), np.float32), given)
    # Every lane is filled or emptied before the first chunk; what stands here is never searched.
    state = _fill(generator, config, targets, keys, starts)
    running: dict[int, tuple[int, int]] = {}
    freed = list(range(lanes))
    compiling = 0.0
    done = steps = feasible = chunks = 0
    while True:
        filled, emptied = np.zeros(lanes, bool), np.zeros(lanes, bool)
        for lane, problem in zip(freed, itertools.islice(waiting, len(freed)), strict=False):
            running[lane] = index, restart = problem
            filled[lane] = True
            targets[lane] = low_res[index]
            keys[lane] = np.asarray(jax.random.key_data(problem_key(seed, low_res[index], restart)))
            for place, value in zip(jax.tree.leaves(starts), jax.tree.leaves(given), strict=True):
                place[lane] = value[index, restart]
        if not running:
            return
        if freed:
            emptied[freed] = ~filled[freed]
            state = _refill(state, _fill(generator, config, targets, keys, starts), filled, emptied)
        chunk_began = time.perf_counter()
        state = _chunk(generator, config, state)
        status, looks = np.asarray(state.status), np.asarray(state.steps)
        chunks += 1
        if chunks == 1:
            compiling = time.perf_counter() - began
        elif chunks == 2:
            compiling = max(0.0, compiling - (time.perf_counter() - chunk_began))
        freed = [lane for lane in sorted(running) if status[lane] != Status.RUNNING]
        ended: list[Solution] = []
        if freed:
            result = jax.device_get(search.finish(state))
            for lane in freed:
                problem = running.pop(lane)
                ended.append(_deliver(result, lane, problem, targets[lane].copy(), keys[lane].copy(), config))
        done += len(ended)
        steps += sum(solution.steps for solution in ended)
        feasible += sum(solution.feasible for solution in ended)
        seen = steps + sum(int(looks[lane]) for lane in running)
        report(Progress(done, len(problems), seen, time.perf_counter() - began - paused, compiling, feasible))
        handed_over = time.perf_counter()
        yield from ended
        paused += time.perf_counter() - handed_over


def rank(solutions: list[Solution]) -> list[Solution]:
    """Best first: feasible ones, then by total loss (a NaN last), then by restart."""
    return sorted(solutions, key=lambda s: (not s.feasible, np.isnan(s.loss), s.loss, s.restart))


def upsample(
    generator: Generator,
    low_res: Float[Array, "*n h h 3"] | np.ndarray,
    *,
    restarts: int = 1,
    seed: int = 0,
    lanes: int = 8,
    config: SearchConfig | None = None,
) -> Solutions:
    """From low-resolution images, (h, h, 3) or (n, h, h, 3) in [0, 1], to k solutions for each, best first.

    A result depends on its image, restart number, `seed`, `config`, `lanes` and the device, not on its company.
    See `solve` for the arguments, and for solutions one by one as they end.

    Raises:
        ValueError: an argument is out of range, named with what was expected.
    """
    low_res = _floats(low_res)
    if low_res.ndim == 3:
        low_res = low_res[None]
    if not len(low_res):
        raise ValueError("low_res: expected at least one image, got none")
    by_image: list[list[Solution]] = [[] for _ in low_res]
    for solution in solve(generator, low_res, restarts=restarts, seed=seed, lanes=lanes, config=config):
        by_image[solution.index].append(solution)
    ranked = [rank(solutions) for solutions in by_image]

    def stack(name: str) -> np.ndarray:
        return np.stack([np.stack([np.asarray(getattr(s, name)) for s in row]) for row in ranked])

    return Solutions(
        images=stack("image"),
        downscaled=stack("downscaled"),
        loss=stack("loss"),
        downscaling_error=stack("downscaling_error"),
        search_error=stack("search_error"),
        feasible=stack("feasible"),
        status=stack("status"),
        steps=stack("steps"),
        latents=stack("latent"),
        noise=tuple(
            np.stack([np.stack([s.noise[i] for s in row]) for row in ranked])
            for i in range(len(generator.noise_shapes))
        ),
        restart=stack("restart"),
        keys=stack("key"),
    )
