"""Which optimiser reaches ε, and in how many steps: `python -m examples.benchmarks.compare_optimizers --truths DIR`.

Each row is `presets.pulse` with another space, optimiser, step size, schedule or weight of GEOCROSS, run on the
low-resolution versions of held-out pictures: tune on one folder, report on another. Printed per row: the share of
inputs with a feasible solution among their restarts, at ε 1e-3 and 2e-3, and of single searches, judged on the 8-bit
picture; the median and 90th percentile of steps to the first feasible point; the median best error; GEOCROSS at the
end (low: the layers agree on one face); and seconds.
"""

import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.generators.priors.gaussian import whitened_to_w
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image, save_png
from pulse_jax.images.rounding import to_uint8
from pulse_jax.objectives.regularizers import geocross
from pulse_jax.reports.picture_grid import picture_grid
from pulse_jax.search import presets
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Solution, as_problems, rank


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared.

    Attributes:
        truths: Folder of held-out PNGs at the generator's resolution.
        samples: Instead of held-out pictures, so many of the generator's own (8-bit) samples.
        factor: Downscaling factor.
        count: How many pictures are used, from the first.
        restarts: Searches of each input.
        steps: Steps of a search at most.
        eps: The largest error that is feasible.
        lanes: Searches that run at once.
        presets: Presets as they are, before the grid.
        spaces: Spaces of the grid.
        starts: Starts of the grid.
        schedules: Schedules of the grid.
        geocross: Weights of GEOCROSS of the grid.
        optimizers: Optimisers of the grid, none by default.
        rates: Learning rates of the grid, each paired with every optimiser.
        generator: Generator folder; the embedded one by default.
        output: JSON-lines file to which each row is appended too.
        pictures: Folder for a strip of each row's best solutions, below the truths.
    """

    truths: pathlib.Path | None = None
    samples: int = 0
    factor: int = 8
    count: int = 100
    restarts: int = 1
    steps: int = 100
    eps: float = 1e-3
    lanes: int = 8
    presets: tuple[Literal["pulse", "pulse_2020"], ...] = ()
    spaces: tuple[str, ...] = ("w+", "w")
    starts: tuple[str, ...] = ("uniform", "tiled")
    schedules: tuple[str, ...] = ("linear1cycledrop",)
    geocross: tuple[float, ...] = (0.05,)
    optimizers: tuple[str, ...] = ()
    rates: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    generator: pathlib.Path | None = None
    output: pathlib.Path | None = None
    pictures: pathlib.Path | None = None


def read_truths(options: Options, generator: Generator) -> np.ndarray:
    """Return the pictures (n, H, W, 3) in [0, 1] whose low-resolution versions are the inputs."""
    if options.samples:
        samples = np.asarray(generator.sample(jax.random.key(0), options.samples))
        return to_uint8(samples) / 255
    paths = sorted(options.truths.glob("*.png"))[: options.count] if options.truths else []
    if not paths:
        raise SystemExit("expected --truths, a folder of PNGs, or --samples")
    return np.stack([read_image(path).pixels for path in paths]).astype(np.float64)


def configurations(options: Options) -> Iterator[tuple[dict[str, object], SearchConfig]]:
    """Yield what each row is called, and what it runs."""
    for name in options.presets:
        # Stopped early, so that its steps are steps to a feasible picture.
        yield {"preset": name}, presets.PRESETS[name](steps=options.steps, eps=options.eps, stop="feasible")
    grid = itertools.product(
        options.spaces, options.starts, options.schedules, options.geocross, options.optimizers, options.rates
    )
    for space, start, schedule, weight, optimizer, rate in grid:
        row = {"space": space, "start": start, "optimizer": optimizer, "rate": rate}
        row |= {"schedule": schedule, "geocross": weight}
        yield (
            row,
            presets.pulse(
                space=space,
                start=start,
                optimizer=optimizer,
                learning_rate=rate,
                schedule=schedule,
                loss=f"100*L2+{weight}*GEOCROSS",
                steps=options.steps,
                eps=options.eps,
            ),
        )


def spread(values: list[int], share: float, steps: int) -> str:
    """Return a quantile of steps to feasible, or a dash where that share never got there."""
    ordered = sorted(values)
    index = int(np.ceil(share * len(ordered))) - 1
    return f"{ordered[index]:4d}" if ordered[index] <= steps else "   –"


def geocross_of(solution: Solution, generator: Generator) -> float:
    """GEOCROSS of a solution's mapped rows; zero where all layers share one."""
    assert generator.gaussian_fit is not None
    return float(geocross(whitened_to_w(jnp.asarray(solution.latent), generator.gaussian_fit)))


def summarise(solutions: list[Solution], options: Options, generator: Generator, seconds: float) -> dict[str, object]:
    """Return one row's numbers."""
    by_input: dict[int, list[Solution]] = {}
    for solution in solutions:
        by_input.setdefault(solution.index, []).append(solution)
    best = [min(group, key=lambda s: s.downscaling_error) for group in by_input.values()]
    steps = [s.steps if s.feasible else options.steps + 1 for s in solutions]
    errors = np.array([s.downscaling_error for s in best])
    return {
        "inputs_1e-3": round(float(np.mean(errors <= 1e-3)), 3),
        "inputs_2e-3": round(float(np.mean(errors <= 2e-3)), 3),
        "single_1e-3": round(float(np.mean([s.downscaling_error <= 1e-3 for s in solutions])), 3),
        "steps_50": spread(steps, 0.5, options.steps).strip(),
        "steps_90": spread(steps, 0.9, options.steps).strip(),
        "median_error": float(f"{np.median(errors):.3g}"),
        "geocross_end": round(float(np.median([geocross_of(s, generator) for s in solutions])), 2),
        "seconds": round(seconds, 1),
    }


def run(options: Options, generator: Generator) -> None:
    """Print one line per configuration."""
    truths = read_truths(options, generator)
    low_res = Bicubic(options.factor).apply_float64(truths).astype(np.float32)
    for row, config in configurations(options):
        began = time.perf_counter()
        problems = as_problems(low_res, restarts=options.restarts)
        solutions = list(solve_stream(problems, generator, lanes=options.lanes, config=config))
        numbers = summarise(solutions, options, generator, time.perf_counter() - began)
        print("  ".join(f"{name}={value}" for name, value in (row | numbers).items()), flush=True)
        if options.output:
            with options.output.open("a") as file:
                file.write(json.dumps(row | numbers) + "\n")
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            best = {solution.index: solution for solution in reversed(rank(solutions))}
            images = [best[i].image for i in sorted(best)]
            strip = picture_grid([*truths, *images], columns=len(truths), side=generator.resolution)
            save_png(options.pictures / f"{'_'.join(map(str, row.values()))}.png", strip)


if __name__ == "__main__":
    chosen = tyro.cli(Options, description=__doc__)
    run(chosen, load_generator(chosen.generator))
