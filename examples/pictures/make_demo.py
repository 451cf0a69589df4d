"""The README's first picture, made from the demo's inputs: `python -m examples.pictures.make_demo`.

One column per input: what the search is given, its solutions, best first, and the picture that the input was made
from, which the search never sees.
"""

import dataclasses
import importlib.resources
import pathlib

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

import pulse_jax
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8

_PAPER, _INK = (250, 249, 246), (33, 35, 38)
_SIDE, _GAP, _LABEL = 128, 8, 110


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
    rows = [(f"input\n{low_res.shape[1]} x {low_res.shape[2]}", low_res, Image.Resampling.NEAREST)]
    for i in range(options.shown):
        rows.append((f"solution {i + 1}", solutions.images[:, i], Image.Resampling.BICUBIC))
    rows.append(("the original,\nnot shown to\nthe search", truths, Image.Resampling.BICUBIC))
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (_LABEL + step * len(paths) + _GAP, step * len(rows) + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for i, (label, pictures, resampling) in enumerate(rows):
        top = _GAP + i * step
        draw.multiline_text((_GAP, top + _SIDE // 2), label, _INK, font, anchor="lm", spacing=4)
        for j, picture in enumerate(pictures):
            tile = Image.fromarray(to_uint8(np.asarray(picture)))
            sheet.paste(tile.resize((_SIDE, _SIDE), resampling), (_LABEL + j * step, top))
    sheet.save(options.output, optimize=True)
    feasible = solutions.feasible.sum(axis=1).tolist()
    print(f"{options.output}: of {options.restarts} solutions each, feasible: {feasible}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
