"""How far an arithmetic moves searches from the float32 ones, over their steps."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax.engine.lanes import placed
from pulse_jax.generators.architectures import Precision
from pulse_jax.generators.generator import Generator
from pulse_jax.manifold import sphere
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import image_number, problem_key

__all__ = ["Drift", "drift"]


class Drift(NamedTuple):
    """What lies between two arithmetics after so many steps from the same starts.

    Attributes:
        precision: Arithmetic that is compared with float32.
        steps: Steps taken.
        degrees: Median angle between their latents, all rows together.
        levels: Median root mean square between their best pictures, of 255 levels.
        feasible: How many of the searches are feasible: in float32, and in that arithmetic.
    """

    precision: Precision
    steps: int
    degrees: float
    levels: float
    feasible: tuple[int, int]


def drift(
    generator: Generator,
    low_res: Float[np.ndarray, "n h h 3"],
    precisions: Sequence[Precision],
    steps: Sequence[int] = (1, 10, 30, 100),
) -> Iterator[Drift]:
    """Yield, for each number of steps, how far each arithmetic is from float32: searches of `pulse` that never stop.

    Args:
        generator: Generator to search.
        low_res: Inputs in [0, 1], one search of each.
        precisions: Arithmetics to compare with float32.
        steps: Numbers of steps after which to look.
    """
    device = jax.local_devices()[0]
    keys = jnp.stack([problem_key(0, image_number(image), 0) for image in low_res])
    names: list[Precision] = ["float32", *(name for name in precisions if name != "float32")]
    runs: dict[Precision, tuple[Generator, SearchConfig, search.SearchState]] = {}
    for name in names:
        config = presets.pulse(stop="never", steps=max(steps), precision=name)
        prepared = placed(generator, config, device)
        begin = jax.jit(jax.vmap(search.init, (None, None, 0, 0)), static_argnums=1)
        runs[name] = prepared, config, begin(prepared, config, jnp.asarray(low_res), keys)
    done = 0
    for count in sorted(steps):
        for name, (prepared, config, state) in runs.items():
            runs[name] = prepared, config, _advanced(prepared, config, state, jnp.int32(count - done))
        done = count
        for name in names[1:]:
            yield _compared(generator, name, done, runs["float32"], runs[name])


@functools.partial(jax.jit, static_argnames="config")
def _advanced(
    generator: Generator, config: SearchConfig, state: search.SearchState, count: Array
) -> search.SearchState:
    one = functools.partial(search.step, generator, config)
    return jax.lax.fori_loop(0, count, lambda _, s: jax.vmap(one)(s)[0], state)


def _compared(
    generator: Generator,
    name: Precision,
    steps: int,
    *runs: tuple[Generator, SearchConfig, search.SearchState],
) -> Drift:
    (_, config, one), (_, _, two) = runs
    radius = generator.latent_dim**0.5
    apart = sphere.distance(one.variables["latent"], two.variables["latent"], radius=radius) / radius
    pictures = [np.asarray(state.best_picture, np.float64) for state in (one, two)]
    difference = np.sqrt(np.mean(np.square(pictures[0] - pictures[1]), axis=(1, 2, 3)))
    feasible = [int(np.sum(np.asarray(state.best_error) <= config.eps)) for state in (one, two)]
    return Drift(
        name, steps, float(np.degrees(np.median(apart))), float(np.median(difference)), (feasible[0], feasible[1])
    )
