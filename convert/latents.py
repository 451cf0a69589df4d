"""Latents as other programs keep them: w of pictures, with the noise that they were made with where a file holds it."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import re
import zipfile
from collections.abc import Mapping
from typing import Literal

import numpy as np

from convert.source import CheckpointError, read_source, shown
from convert.torch_writing import State, save_torch
from pulse_jax.system.arrays import opened_arrays, read_array

__all__ = ["LatentFormat", "Latents", "latent_file_names", "read_latents", "save_latents"]

LatentFormat = Literal["ada", "npy", "rosinality"]
# What programs call w: StyleGAN2-ADA `w`, rosinality's `latent`, encoders and editors the others.
_KEYS = ("w", "latent", "latents", "ws", "dlatents", "w_plus")
_NOISE = re.compile(r"noises?[._](\d{1,3})")
_EXPECTED = "expected w as projected_w.npz (key w), .npy or a torch file holds it"


@dataclasses.dataclass(frozen=True)
class Latents:
    """w of k pictures.

    Attributes:
        w: (k, rows, d) float32: one row for all layers, or one for each.
        noise: noise inputs (k, r, r, 1) float32, in order; empty where the file holds none.
    """

    w: np.ndarray
    noise: tuple[np.ndarray, ...] = ()


def read_latents(path: str | os.PathLike[str], layers: int) -> Latents:
    """Read w, and noise where it is there; nothing in the file is ever run.

    Files: NumPy's `.npy`; `.npz` with the key `w` (StyleGAN2-ADA's projector, and what `save_latents` makes of it);
    torch files and safetensors of one tensor, of a dict with a tensor `latent`, `w` or the like, or of such dicts by
    name (rosinality's projector). Arrays are (d,), (rows, d) or (k, rows, d).

    Args:
        path: the file.
        layers: L, how many rows a generator takes: an array of two axes that has so many rows is of one picture, any
            other of as many pictures.

    Raises:
        CheckpointError: the file is missing, damaged or hostile, or holds something else.
    """
    where = shown(path, 400)
    path = pathlib.Path(path)
    try:
        if path.suffix == ".npy":
            named = {"": {"": read_array(path)}}
        elif path.suffix == ".npz":
            with opened_arrays(path) as stored:
                named = {"": {name: stored[name] for name in stored if name in _KEYS or _NOISE.fullmatch(name)}}
        else:
            named = read_source(path, lists=True).networks
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_EXPECTED}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or shown(error) or type(error).__name__
        raise CheckpointError(f"{where}: cannot be read ({reason}); {_EXPECTED}") from None
    found = [one for arrays in named.values() if (one := _one(where, arrays, layers)) is not None]
    if not found:
        raise CheckpointError(f"{where}: holds no latents; {_EXPECTED}")
    try:
        joined = Latents(
            np.concatenate([one.w for one in found]),
            tuple(np.concatenate(images) for images in zip(*(one.noise for one in found), strict=True)),
        )
    except ValueError:
        raise CheckpointError(f"{where}: its latents are of different shapes; name files of one kind") from None
    if not all(np.isfinite(array).all() for array in (joined.w, *joined.noise)):
        raise CheckpointError(f"{where}: holds NaN or infinite latents; name another")
    return joined


def _one(where: str, arrays: Mapping[str, np.ndarray], layers: int) -> Latents | None:
    """The latents among arrays that belong together; None if there are none."""
    name = next((name for name in ("", *_KEYS) if name in arrays), None)
    if name is None:
        return None
    w = arrays[name]
    if w.dtype.kind != "f" or not 1 <= w.ndim <= 3 or not w.size:
        raise CheckpointError(f"{where}: its latents are {w.shape!s:.80} {w.dtype!s:.40}; {_EXPECTED}")
    if w.ndim < 3:
        w = w.reshape(1, *w.shape) if w.ndim == 2 and len(w) == layers else w.reshape(-1, 1, w.shape[-1])
    numbers = {int(found[1]): key for key in arrays if (found := _NOISE.fullmatch(key))}
    return Latents(
        w.astype(np.float32), tuple(_noise(where, arrays[numbers[number]], len(w)) for number in sorted(numbers))
    )


def _noise(where: str, array: np.ndarray, count: int) -> np.ndarray:
    """A noise input of so many pictures as (k, r, r, 1), wherever its axis of length one stands."""
    side = math.isqrt(array.size // count)
    if array.dtype.kind != "f" or array.size != count * side**2 or array.shape[-2:] == (1, 1):
        raise CheckpointError(f"{where}: its noise is {array.shape!s:.80} {array.dtype!s:.40}; expected (k, 1, r, r)")
    return array.astype(np.float32).reshape(count, side, side, 1)


def latent_file_names(kind: LatentFormat, count: int) -> list[str]:
    """What the files with the latents of so many pictures are called."""
    if kind == "ada":
        return ["projected_w.npz", *(f"projected_w_{k:02}.npz" for k in range(2, count + 1))]
    return ["w.npy" if kind == "npy" else "projected.pt"]


def save_latents(
    folder: pathlib.Path, latents: Latents, kind: LatentFormat, pictures: Mapping[str, np.ndarray | None]
) -> None:
    """Write latents as another program does, into a folder that is there, by the names of `latent_file_names`.

    - "ada": `projected_w.npz` of the first picture, `projected_w_02.npz` of the second, and so on, as StyleGAN2-ADA's
      projector writes and its `generate.py --projected-w` reads: `w` (1, L, d). Noise, which that program does not
      read, is there too, as `noise_NN` (1, r, r, 1).
    - "npy": `w.npy`, (k, L, d) without noise.
    - "rosinality": `projected.pt`, as rosinality's projector writes it: by the pictures' names `latent` (L, d), `noise`
      (1, 1, r, r) each, and `img` (3, H, W) in [-1, 1].

    Args:
        folder: where to.
        latents: w and noise of k pictures.
        kind: the format.
        pictures: for "rosinality", the k pictures by their names, (H, W, 3) in [0, 1]; None for one that is not there.

    Raises:
        CheckpointError: torch's file cannot be written.
        OSError: another file cannot.
    """
    names = latent_file_names(kind, len(latents.w))
    if kind == "npy":
        np.save(folder / names[0], latents.w)
        return
    if kind == "ada":
        for k, file in enumerate(names):
            noise = {f"noise_{layer:02}": array[k : k + 1] for layer, array in enumerate(latents.noise)}
            np.savez(folder / file, allow_pickle=False, w=latents.w[k : k + 1], **noise)
        return
    state: dict[str, State] = {}
    for k, (picture, image) in enumerate(pictures.items()):
        shown_as = {} if image is None else {"img": np.moveaxis(image.astype(np.float32) * 2 - 1, -1, 0)}
        noise = [np.moveaxis(array[k : k + 1], -1, 1) for array in latents.noise]
        state[picture] = {**shown_as, "latent": latents.w[k], "noise": noise}
    save_torch(folder / names[0], state)
