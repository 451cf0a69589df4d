"""Folders of shards: the pictures of each as one PNG sheet, their attributes beside it in a `.npz` of the same name.

A sheet holds pictures of one side r row by row, 25 to a row whatever their number; the last row is filled up with
black. It is 25 r wide, so r is known from it, and the length of the attribute `id` says how many pictures there are.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

_COLUMNS = 25


def shard_path(folder: pathlib.Path, number: int) -> pathlib.Path:
    """Return the path of a shard's sheet."""
    return folder / f"shard_{number:05d}.png"


def shard_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the paths of the shards' sheets in order.

    Raises:
        FileNotFoundError: There are none.
    """
    paths = sorted(folder.glob("shard_*.png"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no shard_*.png; render some first with render.py")
    return paths


def sheet_size(count: int, side: int) -> tuple[int, int]:
    """Width and height in pixels of the sheet of `count` pictures of a side."""
    return _COLUMNS * side, -(-count // _COLUMNS) * side


def write_shard(path: pathlib.Path, pictures: np.ndarray, attributes: Mapping[str, np.ndarray]) -> None:
    """Write pictures uint8 (k, r, r, 3) and their attributes, each array leading with k, `id` among them.

    Both files appear whole or not at all, the sheet last: where there is a sheet, there is a shard.
    """
    count, side = pictures.shape[:2]
    width, height = sheet_size(count, side)
    cells = np.zeros((height // side * _COLUMNS, side, side, 3), np.uint8)
    cells[:count] = pictures
    rows = cells.reshape(-1, _COLUMNS, side, side, 3).transpose(0, 2, 1, 3, 4)
    for target in (path.with_suffix(".npz"), path):
        partial = target.with_suffix(target.suffix + ".tmp")
        with open(partial, "wb") as file:
            if target == path:
                Image.fromarray(rows.reshape(height, width, 3)).save(file, format="PNG")
            else:
                np.savez(file, allow_pickle=False, **attributes)
        os.replace(partial, target)


def read_shard(path: pathlib.Path) -> np.ndarray:
    """Read the pictures of one shard, uint8 (k, r, r, 3).

    Raises:
        ValueError: The sheet is not one that `write_shard` writes.
    """
    with np.load(path.with_suffix(".npz")) as stored:
        count = len(stored["id"])
    with Image.open(path) as image:
        side = image.width // _COLUMNS
        if image.mode != "RGB" or image.size != sheet_size(count, side):
            raise ValueError(f"{path}: expected an RGB sheet of {count} pictures, {_COLUMNS} to a row")
        rows = np.asarray(image).reshape(-1, side, _COLUMNS, side, 3)
    return rows.transpose(0, 2, 1, 3, 4).reshape(-1, side, side, 3)[:count]


def stream_pictures(folder: pathlib.Path) -> Iterator[np.ndarray]:
    """Yield the pictures of one shard after another, each read when it is asked for."""
    return (read_shard(path) for path in shard_paths(folder))


def read_pictures(folder: pathlib.Path) -> np.ndarray:
    """Read all pictures, uint8 (n, r, r, 3)."""
    return np.concatenate(list(stream_pictures(folder)))


def read_attributes(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Read every attribute of all pictures, each array leading with n; `id` among them."""
    rows = []
    for path in shard_paths(folder):
        with np.load(path.with_suffix(".npz")) as stored:
            rows.append(dict(stored))
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.concatenate([row[name] for row in rows]) for name in shared}
