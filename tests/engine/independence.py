"""Hashes of what searches and networks give on this CPU, however they are run; a process by itself, as users have it.

`python -m tests.engine.independence CASE…` prints a JSON object: for each case the hashes that must be one and the
same, by how it was run. Cases are `FAMILY:SHAPES:PRECISION`; of `products:FAMILY:PRECISION`, instead, the products and
convolutions in the program of a search that are not the library's whose sums do not depend on threads.
"""

import concurrent.futures
import functools
import hashlib
import json
import re
import sys

import jax
import numpy as np

import pulse_jax
from pulse_jax.engine.lanes import Lanes, placed, run_chunk, start_all
from pulse_jax.engine.stream import solve_stream
from pulse_jax.engine.tasks import Task
from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.random_weights import random_generator
from pulse_jax.search import presets
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Problem, Start
from pulse_jax.system.programs import Program

FAMILIES = {"stylegan1": StyleGAN1Config, "stylegan2": StyleGAN2Config}
# Whole networks whose last block has the shapes that are asked for; what comes before it is as narrow as it can be.
SHAPES = {
    "512-channels": (16, (512, 512, 512)),
    "256-pixels": (256, (4, 4, 4, 4, 4, 128, 64)),
    "1024-pixels": (1024, (4, 4, 4, 4, 4, 4, 4, 64, 32)),
}


def digest(tree) -> str:
    leaves = (np.ascontiguousarray(leaf) for leaf in jax.tree.leaves(tree))
    return hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest()[:16]


def problems(order, restarts=1, side=8):
    """Problems by their numbers; a problem is the same whatever others there are."""
    for place, number in enumerate(order):
        picture = np.random.default_rng(number).uniform(0.2, 0.8, (side, side, 3)).astype(np.float32)
        yield Problem(low_res=picture, index=place, restarts=restarts)


def solved(generator, config, order, **options) -> dict[str, str]:
    """The hash of every search's result, by the number of its problem and its restart."""
    found = {}
    for s in solve_stream(problems(order), generator, config=config, **options):
        result = s.image, s.latent, s.w, s.noise, np.float64(s.loss), np.int64(s.steps)
        found[f"{order[s.index]}-{s.restart}"] = digest(result)
    return found


def embedded(precision: str, start: str) -> dict[str, str]:
    """Searches of the embedded generator: how many at once, in which order, beside what, in what chunks.

    `start` is `whole` for searches as they are, and `near` for a few looks from where its surrogate leads.
    """
    generator = pulse_jax.load_generator()
    config = presets.pulse(steps=15, precision=precision)
    if start == "near":
        config = presets.pulse(steps=5, precision=precision, start="surrogate", method="riemannian_lbfgs")
    order = [0, 1, 2, 3]
    ways = {f"{lanes} lanes": functools.partial(solved, generator, config, order, lanes=lanes) for lanes in (1, 2, 9)}
    ways["reversed"] = functools.partial(solved, generator, config, order[::-1], lanes=2)
    ways["chunks of 7"] = functools.partial(solved, generator, config, order, lanes=2, chunk_steps=7)
    ways["other company"] = functools.partial(solved, generator, config, [7, *order, 8, 9], lanes=3)
    results = {name: way() for name, way in ways.items()}
    alone = {}
    for number in order:
        alone |= solved(generator, config, [number], lanes=1)
    results["alone"] = alone
    return {name: digest([np.array([found[k] for k in sorted(alone)])]) for name, found in results.items()}


def network(family: str, shapes: str, precision: str) -> dict[str, str]:
    """Picture and gradient of a network, alone and with eight others beside it."""
    size, channels = SHAPES[shapes]
    config = FAMILIES[family](resolution=size, latent_dim=64, mapping_layers=1, channels=channels)
    weights = np.random.default_rng(1)
    # NumPy's weights: what JAX measures of a network it has drawn may depend on the number of threads.
    drawn = jax.tree.map(lambda leaf: weights.normal(size=leaf.shape).astype(leaf.dtype), random_generator(config))
    generator = placed(drawn, presets.pulse(precision=precision), jax.devices("cpu")[0])

    def value_and_gradient(generator: Generator, w, noise, cotangent):
        picture, pull = jax.vjp(lambda w: generator.synthesize(w, noise, precision=precision), w)
        return picture, pull(cotangent)

    program = Program(value_and_gradient)
    rng = np.random.default_rng(0)

    def arguments():
        w = rng.normal(size=(1, config.num_layers, 64)).astype(np.float32)
        noise = tuple(rng.normal(size=(1, *shape)).astype(np.float32) for shape in config.noise_shapes)
        return w, noise, rng.normal(size=(1, size, size, 3)).astype(np.float32)

    first, *others = [arguments() for _ in range(3 if size > 100 else 5)]
    found = {"alone": digest(program(generator, *first))}
    with concurrent.futures.ThreadPoolExecutor(len(others) + 1) as pool:
        for place in (0, len(others)):
            row = [*others[:place], first, *others[place:]]
            results = list(pool.map(lambda one: jax.device_get(program(generator, *one)), row))
            found[f"beside others, in place {place}"] = digest(results[place])
    return found


def left_to_the_compiler(family: str, precision: str) -> list[str]:
    """What a search's programs, at full size, compute in other ways than by the library; products of one row aside."""
    config = presets.pulse(precision=precision)
    device = jax.devices("cpu")[0]
    if family == "embedded":
        generator = pulse_jax.load_generator()
        near = presets.pulse(precision=precision, start="surrogate")
        begun = left_in(start_program(placed(generator, near, device), near, device))
    else:
        generator, begun = random_generator(FAMILIES[family]()), []
    return begun + left_in(chunk_program(placed(generator, config, device), config, device))


def left_in(text: str) -> list[str]:
    """The same of one program."""
    library = {fusion.group(1) for fusion in re.finditer(r"kind=kCustom, calls=%?([\w.-]+)", text)}
    assert library
    computation, left = "", []
    for line in text.splitlines():
        if begun := re.match(r"(?:ENTRY )?%?([\w.-]+) .*\{$", line):
            computation = begun.group(1)
        product = re.search(r"= \w+\[([\d,]*)\]\S* (convolution|dot)\(", line)
        if product and computation not in library:
            rows = [side for side in product.group(1).split(",") if side not in ("", "1")]
            if len(rows) > 1:
                left.append(line.strip())
    return left


def start_program(generator: Generator, config: SearchConfig, device) -> str:
    """The compiled program that fills a lane, as text."""
    numbers = np.zeros((3, 1), np.uint32)
    arguments = generator, config.structure, np.zeros((1, 8, 8, 3), np.float32), *numbers, Start(None)
    return start_all.on(device.platform).lower(*arguments).compile().as_text()


def chunk_program(generator: Generator, config: SearchConfig, device) -> str:
    """The compiled program of a chunk of one search, as text."""
    side = 8 if generator.resolution < 256 else 32
    lanes = Lanes(generator, config, side, 1, device)
    lanes.fill([Task(next(problems([0], side=side)), 0)], {})
    arguments = generator, config.structure, jax.tree.map(np.float32, config.numbers), lanes._state
    return run_chunk.on(device.platform).lower(*arguments, np.int32(1), np.int32(1)).compile().as_text()


def main(cases: list[str]) -> None:
    """Print what each case gives."""
    found = {}
    for case in cases:
        family, shapes, precision = case.split(":")
        if family == "products":
            found[case] = left_to_the_compiler(shapes, precision)
        else:
            found[case] = embedded(precision, shapes) if family == "embedded" else network(family, shapes, precision)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
