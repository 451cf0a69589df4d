"""Solutions that are kept on disk until their input is finished: each in a file of its own, read one at a time."""

import contextlib
import dataclasses
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.files import write_whole
from pulse_jax.images import from_uint8, printable, to_uint8
from pulse_jax.options import RunError
from pulse_jax.problems import Solution
from pulse_jax.search import Status

__all__ = ["Kept", "keep_solution", "kept_rows", "noise_names"]

_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The numbers of a kept solution, as in `Solution`, and where the rest of it lies."""

    path: Path
    restart: int
    loss: float
    downscaling_error: float
    search_error: float
    feasible: bool
    status: Status
    steps: int
    feasible_at: int = 0

    @classmethod
    def find(cls, path: Path) -> "Kept":
        """What `keep_solution` wrote, without its arrays.

        Raises:
            RunError: it cannot be read.
        """
        with _opened(path) as stored:
            names = [field.name for field in dataclasses.fields(cls) if field.name != "path"]
            values: dict[str, Any] = {name: stored[name].item() for name in names}
            return cls(path=path, **{**values, "status": Status(values["status"])})

    def read(self) -> Solution:
        """The solution, bit for bit.

        Raises:
            RunError: it cannot be read.
        """
        with _opened(self.path) as stored:
            arrays = dict(stored)
            noise = tuple(arrays.pop(name) for name in noise_names(arrays))
            values: dict[str, Any] = {name: array if array.ndim else array.item() for name, array in arrays.items()}
            values |= {"image": from_uint8(values["image"]), "status": Status(values["status"]), "noise": noise}
            return Solution(**values)


def keep_solution(path: Path, solution: Solution) -> None:
    """Writes one solution, whole or not at all.

    Raises:
        OSError: the disk is full or the like.
    """
    arrays = {field.name: getattr(solution, field.name) for field in dataclasses.fields(solution)}
    noise = {f"noise_{layer:02}": array for layer, array in enumerate(arrays.pop("noise"))}
    picture = to_uint8(arrays.pop("image"))
    write_whole(path, lambda file: np.savez(file, allow_pickle=False, image=picture, **arrays, **noise))


def kept_rows(kept: Sequence[Kept], names: Sequence[str]) -> Iterator[list[np.ndarray]]:
    """Some arrays of one solution after the other; only one solution's are in memory.

    Raises:
        RunError: a solution cannot be read.
    """
    for one in kept:
        with _opened(one.path) as stored:
            arrays = [stored[name] for name in names]
        yield arrays


def noise_names(arrays: Mapping[str, Any]) -> list[str]:
    """What the noise inputs are called among arrays, in their order."""
    return sorted(name for name in arrays if name.startswith("noise_"))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            yield stored
    except _DAMAGED as error:
        raise RunError(f"{printable(path)}: cannot be read; give the same command again") from error
