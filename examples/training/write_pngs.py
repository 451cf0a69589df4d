"""Rendered pictures as PNGs, with everything known about them.

    python -m examples.training.write_pngs --shards DIR --output DIR

Each file is named by the number from which render.py draws it again; `attributes.json` lists what is in them.
"""

import dataclasses
import json
import pathlib

import numpy as np
import tyro

from examples.training.heads.attributes import (
    BEARD_CUTS,
    CLOTHES,
    EARRINGS,
    EYE_COLOURS,
    HATS,
    NECKLACES,
    SCENES,
    STYLE_NAMES,
)
from examples.training.shards import read_attributes, read_pictures
from pulse_jax.images.files import save_png
from pulse_jax.images.rounding import from_uint8

NAMES = {
    "sex": ("female", "male"),
    "hair_style": STYLE_NAMES,
    "beard_cut": BEARD_CUTS,
    "hat": HATS,
    "eye_colour": EYE_COLOURS,
    "clothes": CLOTHES,
    "earrings": EARRINGS,
    "necklace": NECKLACES,
    "scene": SCENES,
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Which pictures of the shards that render.py wrote to `shards`: `count` of them, after the first `skip`."""

    shards: pathlib.Path
    output: pathlib.Path
    skip: int = 0
    count: int = 100


def plain(name: str, value: np.ndarray) -> object:
    """Return an attribute as JSON holds it: words for classes, four decimals for the rest."""
    if name in NAMES:
        return NAMES[name][int(value)]
    if np.issubdtype(value.dtype, np.floating):
        return np.round(value.astype(np.float64), 4).tolist()
    return value.item()


def main(options: Options) -> None:
    """Write the pictures, then the list of them."""
    pictures, attributes = read_pictures(options.shards), read_attributes(options.shards)
    chosen = range(options.skip, options.skip + options.count)
    if chosen.stop > len(pictures):
        raise SystemExit(f"error: {options.shards}: expected at least {chosen.stop} pictures, found {len(pictures)}")
    options.output.mkdir(parents=True, exist_ok=True)
    listed = []
    for i in chosen:
        file = f"{attributes['id'][i]:06d}.png"
        save_png(options.output / file, from_uint8(pictures[i]))
        listed.append({"file": file} | {name: plain(name, values[i]) for name, values in attributes.items()})
    text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in listed)
    (options.output / "attributes.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
    print(f"{options.output}: {len(listed)} pictures")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
