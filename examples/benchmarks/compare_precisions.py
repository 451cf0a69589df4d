"""How far bfloat16 synthesis moves a search from the float32 one, over its steps.

`python -m examples.benchmarks.compare_precisions` starts both from the same points on the embedded generator and
prints, after some numbers of steps, how far apart they are on the sphere (degrees, all rows), how far their best
pictures are apart (root mean square, levels of 255), and how many are feasible.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.manifold import sphere
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import image_number, problem_key


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared.

    Attributes:
        truths: Folder of PNGs at the generator's resolution.
        factor: Downscaling factor.
        count: How many pictures are used, from the first.
        steps: Numbers of steps after which to look.
    """

    truths: pathlib.Path = pathlib.Path(__file__).parents[1] / "heldout" / "tune"
    factor: int = 8
    count: int = 16
    steps: tuple[int, ...] = (1, 10, 30, 100)


@functools.partial(jax.jit, static_argnames="config")
def advance(
    generator: Generator, config: SearchConfig, state: search.SearchState, count: jax.Array
) -> search.SearchState:
    """Return all lanes `count` steps further."""
    one = functools.partial(search.step, generator, config)
    return jax.lax.fori_loop(0, count, lambda _, s: jax.vmap(one)(s)[0], state)


def main(options: Options) -> None:
    """Search in both precisions at once and print a line for each look."""
    generator = load_generator()
    paths = sorted(options.truths.glob("*.png"))[: options.count]
    pictures = np.stack([read_image(path).pixels for path in paths])
    low_res = Bicubic(options.factor).apply_float64(pictures).astype(np.float32)
    keys = jnp.stack([problem_key(0, image_number(image), 0) for image in low_res])
    states = {}
    for precision in ("float32", "bfloat16"):
        config = presets.pulse(stop="never", steps=max(options.steps), precision=precision)
        states[config] = jax.vmap(functools.partial(search.init, generator, config))(jnp.asarray(low_res), keys)
    done = 0
    for steps in sorted(options.steps):
        for config, state in states.items():
            states[config] = advance(generator, config, state, jnp.int32(steps - done))
        done = steps
        one, two = states.values()
        radius = generator.latent_dim**0.5
        apart = sphere.distance(one.variables["latent"], two.variables["latent"], radius=radius) / radius
        pictures = [np.asarray(state.best_picture, np.float64) for state in (one, two)]
        difference = np.sqrt(np.mean((pictures[0] - pictures[1]) ** 2, axis=(1, 2, 3)))
        feasible = [int(np.sum(np.asarray(state.best_error) <= config.eps)) for config, state in states.items()]
        print(
            f"{steps:4} steps: {np.degrees(np.median(apart)):.2f} degrees apart, "
            f"pictures {np.median(difference):.1f} levels, feasible {feasible[0]} and {feasible[1]} of {len(paths)}",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
