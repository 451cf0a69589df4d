"""Renders a data set of synthetic portraits into shards, and goes on where an earlier run stopped.

    python -m examples.training.render --pack PACK --output DIR --count 24000 --size 64 --split train

Each shard is a pair of files (see shards.py): `shard_00000.png` with its pictures side by side, and `shard_00000.npz`
with the attributes of the people in them and the numbers that redraw them. Training pictures have even numbers and
held-out ones odd numbers: no picture is in both.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from examples.training.heads import Assets, load_pack, render
from examples.training.shards import read_shard, shard_path, sheet_size, write_shard

SPLITS = ("train", "heldout")
Draw = Callable[[jax.Array], tuple[jax.Array, dict[str, jax.Array]]]


def picture_ids(split: str, start: int, count: int) -> np.ndarray:
    """Return the numbers from which pictures are drawn: even ones for training, odd ones held out."""
    return (2 * np.arange(start, start + count) + SPLITS.index(split)).astype(np.uint32)


@functools.partial(jax.jit, static_argnames=("size", "supersample"))
def draw_batch(
    assets: Assets, ids: jax.Array, *, size: int, supersample: int
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """8-bit pictures (n, size, size, 3) and attributes of the picture numbers `ids` (n,)."""

    def one(number: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        picture, attributes = render(jax.random.key(number), assets, size, supersample)
        return (picture * 255 + 0.5).astype(jnp.uint8), attributes

    return jax.vmap(one)(ids)


def render_shard(draw: Draw, ids: np.ndarray, batch: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw pictures and attributes of a shard, in batches of one size (the last one padded)."""
    pictures, rows = [], []
    for start in range(0, len(ids), batch):
        wanted = ids[start : start + batch]
        drawn, attributes = draw(jnp.asarray(np.resize(wanted, batch)))
        pictures.append(np.asarray(drawn)[: len(wanted)])
        rows.append({name: np.asarray(value)[: len(wanted)] for name, value in attributes.items()})
    joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return np.concatenate(pictures), {"id": ids, **joined}


def check_shard(path: Path, ids: np.ndarray, size: int) -> None:
    """Check that a finished shard is the one that these settings give.

    Raises:
        ValueError: It is not.
    """
    with np.load(path.with_suffix(".npz")) as attributes:
        same = np.array_equal(attributes["id"], ids)
    if not same or read_shard(path).shape != (len(ids), size, size, 3):
        raise ValueError(f"made with other settings, remove it or choose another folder: {path}")


def run(options: argparse.Namespace) -> int:
    """Render what is missing, and return the number of pictures drawn."""
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    ids = picture_ids(options.split, options.seed_start, options.count)
    draw, drawn, began = None, 0, time.monotonic()
    shards = range(0, options.count, options.shard)
    for number, start in enumerate(shards):
        part = ids[start : start + options.shard]
        path = shard_path(folder, number)
        if path.is_file():
            check_shard(path, part, options.size)
            continue
        if draw is None:
            assets = load_pack(options.pack, samples=samples_for(options.size * options.supersample))
            draw = functools.partial(draw_batch, assets, size=options.size, supersample=options.supersample)
        write_shard(path, *render_shard(draw, part, options.batch))
        drawn += len(part)
        rate = drawn / (time.monotonic() - began)
        print(f"{path.name}: {number + 1} of {len(shards)} shards, {rate:.1f} pictures/s", flush=True)
    return drawn


def samples_for(side: int) -> int:
    """Return how many points cover a picture of side x side points without gaps."""
    return int(min(360_000 * max(side / 192, 0.5) ** 2, 1_000_000))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    positive: dict[str, Any] = {"type": _positive}
    parser.add_argument("--pack", required=True, help="folder of the pack of heads (see build_pack.py)")
    parser.add_argument("--output", required=True, help="folder for the shards")
    parser.add_argument("--count", default=1000, help="pictures in all", **positive)
    parser.add_argument("--size", default=64, help="side of a picture in pixels", **positive)
    parser.add_argument("--supersample", default=3, help="points per pixel along each side", **positive)
    parser.add_argument("--seed-start", type=int, default=0, help="first picture; within a split, runs may not overlap")
    parser.add_argument("--split", choices=SPLITS, default="train", help="training and held-out pictures never meet")
    parser.add_argument("--shard", default=500, help="pictures per shard", **positive)
    parser.add_argument("--batch", default=4, help="pictures drawn at once", **positive)
    options = parser.parse_args(arguments)
    if options.seed_start < 0 or options.seed_start + options.count > 2**31:
        parser.error("--seed-start and --count must give picture numbers from 0 to 2**31 - 1")
    width, height = sheet_size(options.shard, options.size)
    if width * height > (Image.MAX_IMAGE_PIXELS or np.inf):
        parser.error("--shard pictures of --size make too large a PNG: choose a smaller --shard")
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    try:
        run(parse())
    except ValueError as error:
        sys.exit(f"error: {error}")
