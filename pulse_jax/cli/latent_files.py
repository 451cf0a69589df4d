"""Files with latents that options name: this program's `solutions.npz`, and what other programs write."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.runs.solution_files import StoredSolutions, read_solutions
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.errors import RunError
from pulse_jax.system.keys import random_key
from pulse_jax.system.text import printable

if TYPE_CHECKING:
    from convert.latents import Latents

__all__ = ["drawn_noise", "read_latents"]

_FOREIGN = (".npy", ".pt", ".pth", ".pkl", ".safetensors")


def read_latents(path: Path, generator: Generator) -> "StoredSolutions | Latents":
    """Read a `solutions.npz`, or w as another program keeps it, which is checked against the generator's shapes.

    Args:
        path: File to read.
        generator: Generator that is to take them.

    Raises:
        RunError: The file is missing, damaged or holds something else, or latents that do not suit the generator.
    """
    if not _is_foreign(path):
        stored = read_solutions(path)
        stored.check(generator, printable(path))
        return stored
    # Here, because the package of converters imports this one.
    import convert

    try:
        latents = convert.read_latents(path, generator.num_layers)
    except convert.CheckpointError as error:
        raise RunError(printable(error, 600)) from error
    layers, width = generator.num_layers, generator.latent_dim
    rows = {1, layers, generator.num_filters or layers}
    if latents.w.shape[2] != width or latents.w.shape[1] not in rows:
        raise RunError(
            f"{printable(path)}: its latents are {latents.w.shape[1]} x {latents.w.shape[2]}, this generator takes "
            f"{layers} x {width}; name the generator that they are for"
        )
    if latents.noise and tuple(noise.shape[1:] for noise in latents.noise) != generator.noise_shapes:
        raise RunError(f"{printable(path)}: its noise does not suit this generator; name the generator that it is for")
    return latents


def drawn_noise(generator: Generator, count: int) -> tuple[np.ndarray, ...]:
    """Return noise inputs (k, r, r, 1) for as many pictures whose file holds none, always the same ones.

    Args:
        generator: Generator that takes them.
        count: k, how many pictures.
    """
    keys = [jax.random.fold_in(random_key(0), layer) for layer in range(len(generator.noise_shapes))]
    drawn = (jax.random.normal(key, shape) for key, shape in zip(keys, generator.noise_shapes, strict=True))
    return tuple(np.broadcast_to(noise, (count, *noise.shape)) for noise in drawn)


def _is_foreign(path: Path) -> bool:
    if path.suffix != ".npz":
        return path.suffix in _FOREIGN
    try:
        with opened_arrays(path) as stored:
            names = set(stored)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # what is wrong with it, the reader of this program's files tells
    return "w" in names and "config" not in names
