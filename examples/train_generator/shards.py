"""Folders of shards as render.py writes them: pictures (k, r, r, 3) uint8 in `.npy`, their attributes in `.npz`."""

import pathlib
from collections.abc import Iterator

import numpy as np


def shard_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """The shards' `.npy` files in order.

    Raises:
        FileNotFoundError: there are none.
    """
    paths = sorted(folder.glob("shard_*.npy"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no shard_*.npy; render some first with render.py")
    return paths


def stream_pictures(folder: pathlib.Path) -> Iterator[np.ndarray]:
    """The pictures of one shard after another, mapped from the file rather than read."""
    return (np.load(path, mmap_mode="r") for path in shard_paths(folder))


def read_pictures(folder: pathlib.Path) -> np.ndarray:
    """All pictures, uint8 (n, r, r, 3)."""
    return np.concatenate(list(stream_pictures(folder)))


def read_attributes(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Every attribute of all pictures, each array leading with n; `id` among them."""
    rows = []
    for path in shard_paths(folder):
        with np.load(path.with_suffix(".npz")) as stored:
            rows.append(dict(stored))
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.concatenate([row[name] for row in rows]) for name in shared}
