"""What lanes are worth: the same problems, 8 in one program against 8 runs of one lane, one after another.

`python examples/benchmark_lanes.py` prints seconds and their ratio, compile time apart, for the embedded generator or
any generator folder. Both sides take every step (no early stop), so both do the same work.
"""

import dataclasses
import pathlib
import statistics
import time

import numpy as np
import tyro

from pulse_jax import presets
from pulse_jax.engine import solve_stream
from pulse_jax.generator import load_generator
from pulse_jax.problems import as_problems


@dataclasses.dataclass(frozen=True)
class Options:
    """How many lanes and steps, how often each side is timed, and on which generator and input size."""

    lanes: int = 8
    steps: int = 100
    repeats: int = 5
    size: int = 8
    generator: pathlib.Path | None = None


def main(options: Options) -> None:
    """Time both sides in turn, print medians and the ratio."""
    generator = load_generator(options.generator)
    config = presets.pulse(steps=options.steps, stop="never")
    low_res = np.random.default_rng(0).uniform(size=(options.lanes, options.size, options.size, 3)).astype(np.float32)

    def together() -> None:
        list(solve_stream(as_problems(low_res), generator, lanes=options.lanes, config=config))

    def one_by_one() -> None:
        for image in low_res:
            list(solve_stream(as_problems(image[None]), generator, lanes=1, config=config))

    times: dict[str, list[float]] = {"together": [], "one by one": []}
    for repeat in range(options.repeats + 1):
        for name, work in (("together", together), ("one by one", one_by_one)):
            began = time.perf_counter()
            work()
            if repeat:  # the first round compiles
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        rate = options.lanes * options.steps / seconds
        print(f"{options.lanes} searches {name:11} {seconds:7.3f} s   {rate:7.1f} image-steps/s")
    print(f"ratio {medians['one by one'] / medians['together']:.2f}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
