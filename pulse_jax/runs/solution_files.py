"""Solutions on disk: each in a file of its own until its input is finished, then together in `solutions.npz`."""

import contextlib
import dataclasses
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.generators.architectures import MAX_RESOLUTION
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, check_regular
from pulse_jax.images.formats import save_picture
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.problems import Solution, Status
from pulse_jax.search.space import latent_shape
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.errors import RunError
from pulse_jax.system.files import write_whole
from pulse_jax.system.folder_process import HeldFolder
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.text import printable, reason_of

__all__ = [
    "HeldSolution",
    "KeptSolution",
    "StoredSolutions",
    "file_names",
    "keep_solution",
    "read_solutions",
    "write_solutions",
]

# What a solution's arrays are called in a solutions.npz, where that is something else; and how many bytes of arrays are
# collected at once for one.
_STACKED = {"latent": "latents", "key": "keys"}
_AT_ONCE = 2**26
_NOISE, _OFFSET = "noise_", "offset_"
# The kinds of a solution's numbers, by NumPy's letters.
_NUMBERS = {
    "restart": "iu",
    "loss": "f",
    "downscaling_error": "f",
    "search_error": "f",
    "feasible": "b",
    "status": "iu",
    "steps": "iu",
    "feasible_at": "iu",
    "evaluations": "iu",
    "moved": "f",
}
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, NotImplementedError)


def file_names(solutions: int, suffix: str = ".png") -> list[tuple[str, str]]:
    """Return what the pictures of so many solutions and their downscaled versions are called, best first.

    Args:
        solutions: How many.
        suffix: How the pictures' names end; downscaled versions are always PNGs.
    """
    digits = max(2, len(str(solutions)))
    return [(f"solution_{k:0{digits}}{suffix}", f"downscaled_{k:0{digits}}.png") for k in range(1, solutions + 1)]


@dataclass(frozen=True, kw_only=True)
class KeptSolution:
    """The numbers of a solution that is kept on disk, and its curve, as in `Solution`.

    Attributes:
        path: File that holds the rest of it.
    """

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
    moved: float = 0.0
    curve: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def find(cls, path: Path) -> "KeptSolution":
        """Read the numbers of what `keep_solution` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        with _opened(path) as stored:
            curve = stored["curve"]
            if curve.ndim != 1 or curve.dtype.kind != "f":
                raise ValueError(f"curve: expected numbers in a row, got {curve.shape!s:.80} {curve.dtype!s:.40}")
            return cls(path=path, curve=curve, **_numbers(stored))

    def arrays(self, names: Sequence[str]) -> list[np.ndarray]:
        """Return some of the arrays that `write_solutions` stacks, and those alone.

        Raises:
            RunError: The file is missing or damaged.
        """
        with _opened(self.path) as stored:
            return [stored[name] for name in names]

    def read(self) -> Solution:
        """Return the solution, bit for bit.

        Raises:
            RunError: The file is missing or damaged.
        """
        with _opened(self.path) as stored:
            numbers, arrays = _numbers(stored), dict(stored)
            image = arrays["image"]
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or max(image.shape) > MAX_RESOLUTION:
                raise ValueError(f"image: expected (H, W, 3) uint8, got {image.shape!s:.80} {image.dtype!s:.40}")
            noise = tuple(arrays.pop(name) for name in _names(arrays, _NOISE))
            offsets = {int(name.removeprefix(_OFFSET)): arrays.pop(name) for name in _names(arrays, _OFFSET)}
            values: dict[str, Any] = {name: array if array.ndim else array.item() for name, array in arrays.items()}
            values |= {**numbers, "image": from_uint8(image), "noise": noise, "offsets": offsets}
            return Solution(**values)


@dataclass(frozen=True, kw_only=True)
class HeldSolution(KeptSolution):
    """A solution that is in memory: the last of its input, or one that costs less to make again than to keep.

    Attributes:
        solution: The solution.
    """

    solution: Solution

    @classmethod
    def of(cls, solution: Solution) -> "HeldSolution":
        """Return a solution as one that was kept."""
        values: dict[str, Any] = {name: getattr(solution, name) for name in _NUMBERS}
        return cls(path=Path(), solution=solution, curve=solution.curve, **values)

    def arrays(self, names: Sequence[str]) -> list[np.ndarray]:
        """Return some of the arrays that `write_solutions` stacks."""
        known = _stacked_arrays(self.solution, noise=True)
        return [known[name] for name in names]

    def read(self) -> Solution:
        """Return the solution."""
        return self.solution


def keep_solution(path: Path, solution: Solution) -> None:
    """Write one solution, whole or not at all.

    Args:
        path: File to write.
        solution: Solution to keep.

    Raises:
        OSError: The disk is full or the like.
    """
    arrays = {field.name: getattr(solution, field.name) for field in dataclasses.fields(solution)}
    for name in ("noise", "offsets"):
        del arrays[name]
    arrays |= _numbered_arrays(solution) | {"image": to_uint8(solution.image)}
    write_whole(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def _kept_rows(kept: Sequence[KeptSolution], names: Sequence[str]) -> Iterator[list[np.ndarray]]:
    """Some arrays of one solution after the other; only one solution's are in memory."""
    for one in kept:
        yield one.arrays(names)


def _numbers(stored: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A kept solution's numbers by name; raises `ValueError` for what is no number of its kind."""
    values: dict[str, Any] = {}
    for name, kinds in _NUMBERS.items():
        array = stored[name]
        if array.ndim or array.dtype.kind not in kinds:
            raise ValueError(f"{name}: expected one number, got {array.shape!s:.80} {array.dtype!s:.40}")
        values[name] = array.item()
    return {**values, "status": Status(values["status"])}


def _names(arrays: Mapping[str, Any], prefix: str) -> list[str]:
    """What noise inputs or offsets are called among arrays, in their order."""
    return sorted(name for name in arrays if name.startswith(prefix))


def _numbered_arrays(solution: Solution) -> dict[str, np.ndarray]:
    """A solution's noise inputs and offsets by their names in a file."""
    offsets = {f"{_OFFSET}{block:02}": offset for block, offset in solution.offsets.items()}
    return offsets | {f"{_NOISE}{layer:02}": noise for layer, noise in enumerate(solution.noise)}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    try:
        with opened_arrays(path) as stored:
            yield stored
    except _DAMAGED as error:
        reason = reason_of(error)
        raise RunError(f"{printable(path)}: cannot be read ({reason}); give the same command again") from error


def write_solutions(
    folder: Path | HeldFolder,
    low_res: np.ndarray,
    ranked: Sequence[KeptSolution],
    config: UpsamplingConfig,
    generator: str,
    *,
    noise: bool = True,
) -> None:
    """Write `input.png` and `solutions.npz`; memory does not grow with the number of solutions.

    Args:
        folder: Folder of the input; one in memory only for one solution.
        low_res: What the solutions are for, (h, h, 3), multiples of 1/255.
        ranked: Solutions, best first, one at least.
        config: Settings that they were made with.
        generator: The sha256 of the generator's description.
        noise: Whether the noise inputs are written; without, they are drawn again from the keys.

    Raises:
        OSError: The disk is full or the like.
        RunError: A solution cannot be read.
    """
    save_picture(folder / "input.png", to_uint8(low_res), "png")
    numbers = (
        "restart",
        "loss",
        "downscaling_error",
        "search_error",
        "feasible",
        "steps",
        "feasible_at",
        "evaluations",
        "moved",
    )
    first = ranked[0].read()
    apart = _stacked_arrays(first, noise=noise)
    at_once: dict[str, np.ndarray] = {}
    if len(ranked) == 1 and sum(array.nbytes for array in apart.values()) <= _AT_ONCE:
        at_once = {_STACKED.get(name, name): array[None] for name, array in apart.items()}
    # In memory first: an archive is written in many small pieces, which cost more than all else of a small one.
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        low_res=low_res,
        status=np.array([solution.status.name for solution in ranked]),
        config=np.array(json.dumps(dataclasses.asdict(config))),
        generator=np.array(generator),
        **{name: np.array([getattr(solution, name) for solution in ranked]) for name in numbers},
        **at_once,
    )
    (folder / "solutions.npz").write_bytes(buffer.getvalue())
    if at_once:
        return
    assert isinstance(folder, Path)
    with zipfile.ZipFile(folder / "solutions.npz", "a") as archive:
        _stack(archive, ranked, apart)


def _stacked_arrays(solution: Solution, *, noise: bool) -> dict[str, np.ndarray]:
    """The arrays of a solution that lead with the solutions in an npz file."""
    numbered = _numbered_arrays(solution if noise else dataclasses.replace(solution, noise=()))
    return {"latent": solution.latent, "w": solution.w, "key": solution.key} | numbered


def _stack(archive: zipfile.ZipFile, ranked: Sequence[KeptSolution], arrays: Mapping[str, np.ndarray]) -> None:
    """Adds latents, keys and noise to an npz file, each as one array that leads with the solutions."""
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
        rows = _kept_rows(ranked, batch)
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
        latents: Searched latents (k, rows, d) float32.
        noise: Noise inputs, (k, r, r, 1) float32 each; none in files without, whose keys draw them again.
        keys: Data of the random keys (k, 2) uint32 that the searches' starts were drawn from.
        w: What the generator took: (k, L, d) float32, or (k, filters, d); None in files of earlier versions.
        offsets: Offsets to the outputs of blocks, (k, r, r, c) float32, by the blocks' numbers.
        config: Settings of the search.
        generator: The sha256 of the description of the generator that was searched.
    """

    latents: np.ndarray
    noise: tuple[np.ndarray, ...]
    keys: np.ndarray
    w: np.ndarray | None
    offsets: dict[int, np.ndarray]
    config: SearchConfig
    generator: str

    def check(self, generator: Generator, name: str) -> None:
        """See that latents and noise have the generator's shapes.

        Args:
            generator: Generator that is to take them.
            name: File they come from.

        Raises:
            RunError: They have others.
        """
        shape = latent_shape(generator, self.config)
        shapes = [shape, *generator.noise_shapes] if self.noise else [shape]
        if [array.shape[1:] for array in (self.latents, *self.noise)] != shapes:
            raise RunError(f"{name}: its latents and noise do not suit this generator; name the generator of that run")


def read_solutions(path: Path) -> StoredSolutions:
    """Read a `solutions.npz`; no code in it is ever run.

    Args:
        path: File to read.

    Raises:
        RunError: The file is missing, damaged, of an interpolation, or not written by this program.
    """
    name = printable(path)
    try:
        check_regular(path)
        with opened_arrays(path) as stored:
            latents, keys, *noise = (stored[key] for key in ("latents", "keys", *_names(stored, _NOISE)))
            w = stored["w"] if "w" in set(stored) else None
            offsets = {int(name.removeprefix(_OFFSET)): stored[name] for name in _names(stored, _OFFSET)}
            if latents.ndim == 3 and latents.shape[0] and not latents.shape[1]:
                raise RunError(f"{name}: its pictures are interpolated and have no latents; name a search's solutions")
            settings = parse_json(str(stored["config"]))
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
    rows = [latents] if w is None else [latents, w]
    images = [*noise, *offsets.values()]
    arrays = [*rows, *images]
    shaped = all(array.ndim == 3 for array in rows) and all(array.ndim == 4 for array in images)
    if not shaped or any(a.dtype != np.float32 or len(a) != len(latents) for a in arrays) or not len(latents):
        raise RunError(
            f"{name}: the arrays in it are not those of solutions; name a file that pulse-jax upsample wrote"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise RunError(f"{name}: holds NaN or infinite latents; name another")
    if keys.shape != (len(latents), 2) or keys.dtype != np.uint32:
        raise RunError(f"{name}: its keys are not those of solutions; name a file that pulse-jax upsample wrote")
    return StoredSolutions(latents, tuple(noise), keys, w, offsets, config, generator)
