"""Variations of a solution: the same latent with other noise, judged anew.

A generator's noise inputs draw what its latent leaves open: hair by hair, freckle by freckle. Source: PULSE (Menon et
al. 2020), section 4.4.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.curve import SLOTS
from pulse_jax.search.judge import Result, judge
from pulse_jax.search.objective import evaluate
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.search.space import Variables, init_noise, merge_noise, solution_shapes, split_features, styles
from pulse_jax.system.devices import program_memory
from pulse_jax.system.keys import random_key, wrapped_key
from pulse_jax.system.programs import Program

__all__ = ["redraw", "redraw_memory", "redrawn_layers"]

# Sets variations' keys apart from those that the search drew its start from: splitting a key gives what folding small
# numbers into it does.
_BRANCH = 0x6E6F6973


def redrawn_layers(config: SearchConfig, layers: int) -> tuple[int, ...]:
    """Return which of so many noise inputs a search draws at random and then leaves alone (see `space.init_noise`)."""
    if config.noise in ("zero", "normalized"):
        return ()
    searched = config.trainable_noise_layers if config.noise in ("trainable", "normalized_first") else 0
    return tuple(layer for layer in range(searched, layers) if layer not in config.zeroed_noise_layers)


def redraw(
    generator: Generator, config: SearchConfig, problem: Problem, solution: Solution, numbers: Sequence[int]
) -> Iterator[Solution]:
    """Yield a solution's variations: what it is once the noise inputs that were not searched are drawn anew.

    A variation depends on its solution and its number, and on nothing else. It carries its solution's restart, key,
    steps and curve; loss, errors and verdict are its own, judged in float64 on the 8-bit picture by `judge.judge`.

    Args:
        generator: Generator that was searched.
        config: Settings of the search.
        problem: Problem that was solved.
        solution: Solution to vary, feasible or not.
        numbers: Numbers of the variations, from 1; they need not begin there.

    Yields:
        A solution for each number, feasible or not, in their order; one is in memory at a time.

    Raises:
        ValueError: No noise input is left to be drawn, or a number is below 1.
    """
    layers = redrawn_layers(config, len(generator.noise_shapes))
    if not layers:
        raise ValueError("config: expected noise inputs that are drawn and not searched, all are searched or zero")
    if any(number < 1 for number in numbers):
        raise ValueError(f"numbers: expected 1 or more, got {min(numbers)}")
    ending = np.int32(solution.steps), np.int32(solution.evaluations), np.int32(solution.status)
    point = solution.latent, solution.noise, solution.key
    for number in numbers:
        # One at a time: beside others its last bits might be other ones.
        result = jax.device_get(_draw(generator, config, layers, problem.low_res, point, ending, np.uint32(number)))
        judged = judge(problem, solution.restart, result, config, solution.key)
        yield dataclasses.replace(judged, variation=number, curve=solution.curve)


def redraw_memory(generator: Generator, config: SearchConfig, side: int) -> int:
    """Return the bytes that `redraw` takes on the device, the generator included, by XLA's account; 0 without one.

    Args:
        generator: Generator that is searched.
        config: Settings of the search.
        side: Side of the low-resolution input, in pixels.
    """
    target = jax.ShapeDtypeStruct((side, side, 3), np.float32)
    key = jax.eval_shape(lambda: jax.random.key_data(random_key(0)))
    point = (*solution_shapes(generator, config), key)
    ending = (np.int32(0), np.int32(0), np.int32(0))
    layers = redrawn_layers(config, len(generator.noise_shapes))
    lowered = _draw.lower(generator, config, layers, target, point, ending, np.uint32(1))
    return program_memory(lowered.compile()) or 0


@functools.partial(Program, static_argnames=("config", "layers"))
def _draw(
    generator: Generator,
    config: SearchConfig,
    layers: tuple[int, ...],
    target: Array,
    point: tuple[Array, tuple[Array, ...], Array],
    ending: tuple[Array, Array, Array],
    number: Array,
) -> Result:
    """Return the variation of this number.

    Of the solution, `point` holds latent, noise and key; `ending` holds steps, evaluations and status.
    """
    latent, noise, key = point
    branch = jax.random.fold_in(wrapped_key(key), _BRANCH)

    kind = "normalized_first" if config.noise == "normalized_first" else "fixed"
    _, drawn = init_noise(jax.random.fold_in(branch, number), generator.noise_shapes, kind, trainable=0, zeroed=())
    kept = tuple(array for layer, array in enumerate(noise) if layer not in layers)
    merged = merge_noise(kept, tuple(array if layer in layers else None for layer, array in enumerate(drawn)))
    # All noise inputs are given, so that none is left to be searched.
    _, seen = evaluate(generator, config, target, Variables(latent=latent, noise=()), merged)
    steps, evaluations, status = ending
    rows, features = split_features(generator, config, latent)
    w, offsets = styles(generator, config, Variables(latent=rows, features=features))
    delivered = seen.picture, seen.loss, seen.search_error, latent, w, offsets, merged
    return Result(*delivered, steps, evaluations, jnp.int32(0), jnp.zeros(SLOTS), status)
