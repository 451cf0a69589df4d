"""The README's first picture, made from the demo's inputs: `python -m examples.pictures.make_demo`.

One column per input: what the search is given, its solutions, best first, and the picture that the input was made
from, which the search never sees.
"""

import dataclasses
import importlib.resources
import pathlib
from collections.abc import Sequence

import numpy as np
import tyro
from PIL import Image

import pulse_jax
from pulse_jax.images.files import read_image, save_png
from pulse_jax.reports.canvas import INK, Canvas

_SIDE, _GAP, _LABEL, _LINE = 128, 8, 110, 19


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the picture goes, how many solutions it shows, and the searches' restarts and seed."""

    output: pathlib.Path = pathlib.Path(__file__).parent / "demo.png"
    shown: int = 4
    restarts: int = 4
    seed: int = 0


def main(options: Options) -> None:
    """Search and draw."""
    home = pathlib.Path(str(importlib.resources.files("pulse_jax") / "data" / "demo"))
    paths = sorted(home.glob("*.png"))
    low_res = np.stack([read_image(path).pixels for path in paths])
    solutions = pulse_jax.upsample(
        pulse_jax.load_generator(), low_res, restarts=options.restarts, seed=options.seed, lanes=8
    )
    truths = np.stack([read_image(home / "truth" / path.name).pixels for path in paths])
    rows: list[tuple[Sequence[str], np.ndarray, Image.Resampling]]
    rows = [(("input", f"{low_res.shape[1]} x {low_res.shape[2]}"), low_res, Image.Resampling.NEAREST)]
    for i in range(options.shown):
        rows.append(((f"solution {i + 1}",), solutions.images[:, i], Image.Resampling.BICUBIC))
    rows.append((("the original,", "not shown to", "the search"), truths, Image.Resampling.BICUBIC))
    step = _SIDE + _GAP
    canvas = Canvas(_LABEL + step * len(paths) + _GAP, step * len(rows) + _GAP)
    for i, (label, pictures, resampling) in enumerate(rows):
        top = _GAP + i * step
        for j, line in enumerate(label):
            y = top + _SIDE / 2 + _LINE * (j - (len(label) - 1) / 2)
            canvas.write((_GAP, y), line, 15, INK, anchor="lm")
        for j, picture in enumerate(pictures):
            canvas.picture(picture, (_LABEL + j * step, top), _SIDE, resampling)
    save_png(options.output, canvas.pixels())
    feasible = solutions.feasible.sum(axis=1).tolist()
    print(f"{options.output}: of {options.restarts} solutions each, feasible: {feasible}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
