"""A search, and the way between two solutions, as sequences of frames (n, H, W, 3), uint8."""

import functools
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from pulse_jax.generators.generator import Generator
from pulse_jax.images.rounding import quantize
from pulse_jax.manifold.sphere import slerp
from pulse_jax.search import step as search
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.objective import decode
from pulse_jax.search.problems import Problem, image_number, problem_key
from pulse_jax.search.space import Variables, solution_shapes
from pulse_jax.system.devices import program_memory
from pulse_jax.system.programs import Program

__all__ = ["Point", "animation_memory", "morph", "replay"]

_REPLAY_FRAMES = 50
_MORPH_FRAMES = 25


@runtime_checkable
class Point(Protocol):
    """What a way begins or ends at: a `Solution`, or as much of one."""

    @property
    def latent(self) -> np.ndarray:
        """Searched latent (rows, d)."""
        ...

    @property
    def noise(self) -> tuple[np.ndarray, ...]:
        """Every noise input (r, r, 1)."""
        ...


def replay(
    generator: Generator, config: SearchConfig, problem: Problem, restart: int, steps: int
) -> UInt8[np.ndarray, "n h w 3"]:
    """Return the pictures that a search looked at, from its start to its last look, evenly spaced and at most 50.

    The search is run again, by itself and not in the lanes that it ran in: last bits of numbers may differ, and many
    steps may make more of it. Frames need not be feasible.

    Args:
        generator: Generator that was searched.
        config: Settings of the search.
        problem: Problem that was solved.
        restart: Number of the problem's restart.
        steps: Looks that the search took (`Solution.steps`), at least 1.
    """
    key = problem_key(problem.seed, image_number(problem.low_res), restart)
    start = jax.tree.map(lambda array: np.asarray(array[restart]), problem.start)
    latent, noise = (None, None) if start is None else start
    count = min(steps, _REPLAY_FRAMES)
    looks = np.rint(np.linspace(1, steps, count)).astype(np.int32)
    # Always so many frames, so that the program compiles once; the last one repeated costs nothing.
    padded = np.pad(looks, (0, _REPLAY_FRAMES - count), mode="edge")
    return np.asarray(_replay(generator, config, problem.low_res, key, latent, noise, restart == 0, padded))[:count]


def animation_memory(generator: Generator, config: SearchConfig, side: int) -> int:
    """Return the bytes that `replay` or `morph` takes on the device, whichever takes more.

    Arguments and the account are as in `variations.redraw_memory`.
    """
    target = jax.ShapeDtypeStruct((side, side, 3), np.float32)
    key = jax.eval_shape(jax.random.key, 0)
    point = solution_shapes(generator, config)
    looks = np.zeros(_REPLAY_FRAMES, np.int32)
    lowered = (
        _replay.lower(generator, config, target, key, None, None, True, looks),
        _morph.lower(generator, config, point, point, np.zeros(_MORPH_FRAMES, np.float32)),
    )
    return max(program_memory(one.compile()) or 0 for one in lowered)


@functools.partial(Program, static_argnames="config")
def _replay(
    generator: Generator,
    config: SearchConfig,
    target: Array,
    key: Array,
    latent: Array | None,
    noise: tuple[Array, ...] | None,
    first: bool | Array,
    looks: Array,
) -> Array:
    """Return the picture of each of these looks, numbered from 1, ascending."""

    def look(carry: tuple[Array, search.SearchState, Array]) -> tuple[Array, search.SearchState, Array]:
        taken, state, _ = carry
        state, seen = search.step(generator, config, state)
        return taken + 1, state, seen.picture

    def frame(carry: tuple[Array, search.SearchState, Array], last: Array) -> tuple[Any, Array]:
        carry = jax.lax.while_loop(lambda c: c[0] < last, look, carry)
        return carry, carry[2]

    state = search.init(generator, config, target, key, latent, noise, first)
    return jax.lax.scan(frame, (jnp.int32(0), state, state.best_picture), looks)[1]


def morph(
    generator: Generator, config: SearchConfig, one: Point, other: Point, *, frames: int = _MORPH_FRAMES
) -> UInt8[np.ndarray, "n h w 3"]:
    """Return pictures on the shortest way from one solution to another, on the spheres of latent rows and noise inputs.

    Where rows are searched without a sphere, their way is straight. The pictures are what the generator makes of the
    way; most of them need not be feasible.

    Args:
        generator: Generator that was searched.
        config: Settings of the searches.
        one: Solution that the way begins at.
        other: Solution that it ends at, of the same input or another.
        frames: Number of pictures, at least 2; the first and the last are the solutions.
    """
    ways = np.linspace(0.0, 1.0, frames, dtype=np.float32)
    return np.asarray(_morph(generator, config, (one.latent, one.noise), (other.latent, other.noise), ways))


@functools.partial(Program, static_argnames="config")
def _morph(generator: Generator, config: SearchConfig, one: Any, other: Any, ways: Array) -> Array:
    between = slerp if config.geometry == "sphere" else lambda x, y, way: (1.0 - way) * x + way * y

    def frame(way: Array) -> Array:
        latent = between(one[0], other[0], way)
        # A noise input is one point of one sphere.
        pairs = zip(one[1], other[1], strict=True)
        noise = tuple(slerp(a.reshape(-1), b.reshape(-1), way).reshape(a.shape) for a, b in pairs)
        image, _ = decode(generator, config, Variables(latent=latent, noise=()), noise)
        return quantize(image)[0]

    # One by one: memory for one picture's activations is all that it takes.
    return jax.lax.map(frame, ways)
