"""Solutions on disk: each in a file of its own until its input is finished, then together in `solutions.npz`."""

import contextlib
import dataclasses
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, check_regular, save_png
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.problems import Solution, Status
from pulse_jax.search.space import latent_shape
from pulse_jax.system.errors import RunError
from pulse_jax.system.files import write_whole
from pulse_jax.system.text import printable, reason_of

__all__ = ["Kept", "StoredSolutions", "keep_solution", "kept_rows", "noise_names", "read_solutions", "write_solutions"]

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
    evaluations: int = 0

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


# What a solution's arrays are called in a solutions.npz, where that is something else; and how many bytes of arrays are
# collected at once for one.
_STACKED = {"latent": "latents", "key": "keys"}
_AT_ONCE = 2**26


def write_solutions(
    folder: Path, low_res: np.ndarray, ranked: Sequence[Kept], config: UpsamplingConfig, generator: str
) -> None:
    """Writes `input.png` and `solutions.npz`; memory does not grow with the number of solutions.

    Args:
        folder: of the input.
        low_res: (h, w, 3), multiples of 1/255, what the solutions are for.
        ranked: best first.
        config: how they were made.
        generator: sha256 of the generator's description.

    Raises:
        OSError: the disk is full or the like.
        RunError: a solution cannot be read.
    """
    save_png(folder / "input.png", low_res)
    numbers = (
        "restart",
        "loss",
        "downscaling_error",
        "search_error",
        "feasible",
        "steps",
        "feasible_at",
        "evaluations",
    )
    np.savez(
        folder / "solutions.npz",
        allow_pickle=False,
        low_res=low_res,
        status=np.array([solution.status.name for solution in ranked]),
        config=np.array(json.dumps(dataclasses.asdict(config))),
        generator=np.array(generator),
        **{name: np.array([getattr(solution, name) for solution in ranked]) for name in numbers},
    )
    with zipfile.ZipFile(folder / "solutions.npz", "a") as archive:
        _stack(archive, ranked)


def _stack(archive: zipfile.ZipFile, ranked: Sequence[Kept]) -> None:
    """Adds latents, keys and noise to an npz file, each as one array that leads with the solutions."""
    first = ranked[0].read()
    arrays = {"latent": first.latent, "key": first.key}
    arrays |= {f"noise_{layer:02}": noise for layer, noise in enumerate(first.noise)}
    batches: list[list[str]] = [[]]
    size = 0
    for name, array in arrays.items():
        size += len(ranked) * array.nbytes
        if size > _AT_ONCE and batches[-1]:
            batches.append([])
            size = len(ranked) * array.nbytes
        batches[-1].append(name)
    for batch in batches:
        # What is small is read once for all; what is large alone goes from file to file, row by row.
        rows = kept_rows(ranked, batch)
        rows = rows if len(batch) == 1 else list(rows)
        for place, name in enumerate(batch):
            header = np.lib.format.header_data_from_array_1_0(arrays[name])
            header["shape"] = (len(ranked), *arrays[name].shape)
            with archive.open(f"{_STACKED.get(name, name)}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for row in rows:
                    file.write(row[place].tobytes())


@dataclass(frozen=True)
class StoredSolutions:
    """What a `solutions.npz` holds of k solutions, best first.

    Attributes:
        latents: (k, rows, d) float32.
        noise: per noise input (k, r, r, 1) float32.
        config: how they were searched.
        generator: sha256 of the description of the generator they were searched in.
    """

    latents: np.ndarray
    noise: tuple[np.ndarray, ...]
    config: SearchConfig
    generator: str

    def check(self, generator: Generator, name: str) -> None:
        """Raises `RunError`, naming the file, if latents or noise have other shapes than the generator's."""
        shape = latent_shape(generator, self.config)
        if [array.shape[1:] for array in (self.latents, *self.noise)] != [shape, *generator.noise_shapes]:
            raise RunError(f"{name}: its latents and noise do not suit this generator; name the generator of that run")


def read_solutions(path: Path) -> StoredSolutions:
    """Reads a `solutions.npz`; no code in it is ever run.

    Raises:
        RunError: missing, damaged, or not written by this program.
    """
    name = printable(path)
    try:
        check_regular(path)
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            latents, *noise = (stored[key] for key in ("latents", *noise_names(stored)))
            settings = json.loads(str(stored["config"]))
            if "method" in settings:
                raise RunError(f"{name}: its pictures are interpolated and have no latents; name a search's solutions")
            config, generator = SearchConfig.from_dict(settings), str(stored["generator"])
    except RunError:
        raise
    except ImageError as error:
        raise RunError(f"{name}: {error.message.replace('a picture file', 'a solutions.npz')}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{name}: not a solutions.npz that pulse-jax upsample wrote; name one of those") from error
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = "damaged, or " if zipfile.is_zipfile(path) else ""
        raise RunError(
            f"{name}: {reason}not a solutions.npz ({reason_of(error)}); name one that pulse-jax upsample wrote"
        ) from error
    arrays = (latents, *noise)
    same = all(array.dtype == np.float32 and array.ndim == 4 and len(array) == len(latents) for array in noise)
    if latents.dtype != np.float32 or latents.ndim != 3 or not len(latents) or not same:
        raise RunError(
            f"{name}: the arrays in it are not those of solutions; name a file that pulse-jax upsample wrote"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise RunError(f"{name}: holds NaN or infinite latents; name another")
    return StoredSolutions(latents, tuple(noise), config, generator)
