"""How far bfloat16 synthesis moves a search from the float32 one, over its steps.

`python -m examples.benchmarks.compare_precisions` starts both from the same points on the embedded generator and
prints, after some numbers of steps, how far apart they are on the sphere (degrees, all rows), how far their best
pictures are apart (root mean square, levels of 255), and how many are feasible.
"""

import dataclasses
import pathlib

import numpy as np
import tyro

from pulse_jax.generators.generator import load_generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.reports.drift import drift


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


def main(options: Options) -> None:
    """Search in both precisions at once and print a line for each look."""
    paths = sorted(options.truths.glob("*.png"))[: options.count]
    pictures = np.stack([read_image(path).pixels for path in paths])
    low_res = Bicubic(options.factor).apply_float64(pictures).astype(np.float32)
    for found in drift(load_generator(), low_res, ["bfloat16"], options.steps):
        print(
            f"{found.steps:4} steps: {found.degrees:.2f} degrees apart, pictures {found.levels:.1f} levels, "
            f"feasible {found.feasible[0]} and {found.feasible[1]} of {len(paths)}",
            flush=True,
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
