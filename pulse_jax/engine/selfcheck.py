"""What the program promises, checked on the user's own device with the embedded generator, in under a minute."""

import contextlib
import importlib.resources
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pulse_jax.engine.lanes import placed
from pulse_jax.engine.progress import Progress
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.architectures import Precision
from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search.presets import pulse
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.programs import Program, repeats_bits

__all__ = ["FACTOR", "GOLDEN", "Finding", "golden_errors", "looked_at", "self_check"]

GOLDEN = "golden.npz"
"""File among the package's data: pictures and gradients of the embedded generator, by its definition in float64."""
FACTOR = 8
"""How many pixels of a picture become one, along each side."""
# Largest errors of float32: of pictures in [0, 1], and of gradients beside their largest entry. Arithmetic with the
# 10 bits of TF32 misses both.
_PICTURE, _GRADIENT = 1e-4, 1e-3
_SEARCHES, _LANES, _STEPS, _CHUNK = 6, 4, 20, 7


class Finding(NamedTuple):
    """One line of the check.

    Attributes:
        name: What was checked.
        passed: Whether it is as promised.
        told: What was seen.
    """

    name: str
    passed: bool
    told: str


def looked_at(
    generator: Generator, z: Array, noise: tuple[Array, ...], target: Array, *, precision: Precision = "float32"
) -> tuple[Array, Array]:
    """Return the picture of a latent, and the gradient in w of how far it is from a target once downscaled.

    Args:
        generator: Generator to look through.
        z: Latent (d,).
        noise: Every noise input (r, r, 1).
        target: Low-resolution picture (h, h, 3), an eighth of the generator's side.
        precision: Arithmetic of the generator's convolutions.
    """

    def error(w: Array) -> tuple[Array, Array]:
        picture = generator.synthesize(w, noise, precision=precision)
        return jnp.mean(jnp.square(Bicubic(FACTOR).apply(picture) - target)), picture

    w = jnp.broadcast_to(generator.map(z), (generator.num_layers, generator.latent_dim))
    gradient, picture = jax.grad(error, has_aux=True)(w)
    return picture, gradient


_looked_at = Program(looked_at, static_argnames="precision")


def self_check(generator: Generator) -> Iterator[Finding]:
    """Check what is promised, one finding after the other.

    Args:
        generator: The embedded generator, for which the recorded numbers are.
    """
    yield _golden(generator)
    yield _order()
    order = list(range(_SEARCHES))
    found = _solved(generator, order)
    yield _same("positions", "the order reversed", found, _solved(generator, order[::-1]))
    alone = [_solved(generator, [number]) for number in order[:2]]
    yield _same("company", "searched alone", found, {name: bits for one in alone for name, bits in one.items()})
    if jax.default_backend() == "cpu":
        yield _same("lanes", "one at a time", found, _solved(generator, order, lanes=1))
    yield _same("interruption", "stopped and gone on with", found, _interrupted(generator, order))


def golden_errors(generator: Generator, precision: Precision = "float32") -> tuple[float, float]:
    """Return the largest errors of pictures in [0, 1], and of gradients beside their largest entry, against float64's.

    Args:
        generator: The embedded generator, for which the recorded numbers are.
        precision: Arithmetic of its convolutions.
    """
    file = importlib.resources.files("pulse_jax") / "data" / GOLDEN
    with importlib.resources.as_file(file) as path, opened_arrays(path) as stored:
        arrays = dict(stored)
    generator = placed(generator, pulse(precision=precision), jax.local_devices()[0])
    noise = tuple(arrays[f"noise_{layer:02}"] for layer in range(len(generator.noise_shapes)))
    picture_error = gradient_error = 0.0
    for k, z in enumerate(arrays["z"]):
        found = _looked_at(generator, z, noise, arrays["target"], precision=precision)
        picture, gradient = jax.device_get(found)
        expected = arrays["gradient"][k]
        picture_error = max(picture_error, float(np.abs(picture - arrays["picture"][k]).max()))
        gradient_error = max(gradient_error, float(np.abs(gradient - expected).max() / np.abs(expected).max()))
    return picture_error, gradient_error


def _golden(generator: Generator) -> Finding:
    picture_error, gradient_error = golden_errors(generator)
    passed = picture_error <= _PICTURE and gradient_error <= _GRADIENT
    told = (
        f"pictures within {255 * picture_error:.2g} of 255 levels, gradients within {gradient_error:.1g} of float64's"
    )
    return Finding("numbers", passed, told)


def _order() -> Finding:
    passed = repeats_bits(jax.default_backend())
    told = "every sum keeps its order" if passed else "this jaxlib cannot have them in order: bits may vary"
    return Finding("sums", passed, told)


def _problems(order: Sequence[int]) -> Iterator[Problem]:
    for number in order:
        pixels = np.random.RandomState(number).uniform(0.2, 0.8, (FACTOR, FACTOR, 3))
        yield Problem(low_res=pixels.astype(np.float32), index=number)


def _bits(solution: Solution) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(vars(solution))]


def _stream(generator: Generator, order: Sequence[int], lanes: int = _LANES, **options: Any) -> Iterator[Solution]:
    config = pulse(steps=_STEPS)
    return solve_stream(_problems(order), generator, config=config, lanes=lanes, chunk_steps=_CHUNK, **options)


def _solved(generator: Generator, order: Sequence[int], lanes: int = _LANES) -> dict[int, list[bytes]]:
    """All that each search has found, to the last bit."""
    return {solution.index: _bits(solution) for solution in _stream(generator, order, lanes)}


class _Stopped(Exception):
    """Ends a stream between two chunks."""


def _interrupted(generator: Generator, order: Sequence[int]) -> dict[int, list[bytes]]:
    """The same, stopped after its first chunk, then after two more, and each time gone on with from what was saved."""
    found: dict[int, list[bytes]] = {}
    with tempfile.TemporaryDirectory(prefix="pulse-jax-") as folder:
        for chunks in (1, 2, None):
            left = [number for number in order if number not in found]
            stream = _stream(generator, left, checkpoint_dir=folder, on_chunk=_stop_after(chunks))
            with contextlib.suppress(_Stopped):
                for solution in stream:
                    found[solution.index] = _bits(solution)
    return found


def _stop_after(chunks: int | None) -> Callable[[Progress], None]:
    count = itertools.count(1)

    def stop(_: Progress) -> None:
        if next(count) == chunks:
            raise _Stopped

    return stop


def _same(name: str, how: str, one: Mapping[int, list[bytes]], other: Mapping[int, list[bytes]]) -> Finding:
    """Whether searches that were made in two ways have found the same, of those that were made in both."""
    different = sum(one[number] != bits for number, bits in other.items())
    told = f"{len(other)} searches, {how}: " + ("the same bits" if not different else f"{different} have other bits")
    return Finding(name, not different, told)
