"""The files of one input's solutions: `solutions.npz`, records, tiles for sheets; and reading solutions back."""

import dataclasses
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pulse_jax.config import SearchConfig, UpsamplingConfig
from pulse_jax.generator import Generator
from pulse_jax.images import ImageError, check_regular, from_uint8, printable, reason_of, save_png, to_uint8
from pulse_jax.kept import Kept, kept_rows, noise_names
from pulse_jax.objective import latent_shape
from pulse_jax.options import RunError
from pulse_jax.problems import Solution
from pulse_jax.sheets import SheetTile

__all__ = [
    "StoredSolutions",
    "file_names",
    "read_solutions",
    "save_animation",
    "short",
    "solution_record",
    "tile",
    "variation_record",
    "write_solutions",
]

_SHEET_SIDE = 256
_ANIMATION_QUALITY = 90
# What a solution's arrays are called in a solutions.npz, where that is something else; and how many bytes of arrays are
# collected at once for one.
_STACKED = {"latent": "latents", "key": "keys"}
_AT_ONCE = 2**26


def file_names(restarts: int) -> list[tuple[str, str]]:
    """What the solutions' pictures and their downscaled versions are called, best first."""
    digits = max(2, len(str(restarts)))
    return [(f"solution_{k:0{digits}}.png", f"downscaled_{k:0{digits}}.png") for k in range(1, restarts + 1)]


def short(error: float) -> str:
    """An error in two digits: 8.7e-4."""
    if not math.isfinite(error):
        return "no number"
    if error == 0:
        return "0"
    mantissa, exponent = f"{error:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


# How a search ended without success, for its tile.
_ENDINGS = {"MAX_STEPS": ", all taken", "PLATEAU": ", plateau", "NONFINITE": ", not finite"}


def tile(record: Mapping[str, Any], picture: np.ndarray, downscaled: np.ndarray) -> SheetTile:
    """A solution for a contact sheet, no larger than one shows it; `record` is its `solution_record`."""
    if max(picture.shape) > _SHEET_SIDE:
        small = Image.fromarray(to_uint8(picture)).resize((_SHEET_SIDE, _SHEET_SIDE), Image.Resampling.LANCZOS)
        picture = from_uint8(np.asarray(small))
    # A feasible picture may come from a search that failed later, which would only confuse; an interpolation took none.
    ending = "" if record["feasible"] or not record["steps"] else _ENDINGS.get(record["status"], "")
    error = math.nan if record["downscaling_error"] is None else record["downscaling_error"]
    return SheetTile(
        image=picture,
        caption=f"{short(error)} {'feasible' if record['feasible'] else 'missed'}",
        detail=f"{record['steps']} steps{ending}",
        good=record["feasible"],
        small=downscaled,
    )


def solution_record(solution: Kept, files: tuple[str, str], command: str) -> dict[str, Any]:
    """An entry of `summary.json`: `files` are the picture and its downscaled version, `command` makes them again."""
    return {
        "image": files[0],
        "downscaled": files[1],
        "restart": solution.restart,
        "status": solution.status.name,
        "feasible": solution.feasible,
        "downscaling_error": _number(solution.downscaling_error),
        "search_error": _number(solution.search_error),
        "loss": _number(solution.loss),
        "steps": solution.steps,
        "feasible_at": solution.feasible_at,
        "command": command,
    }


def variation_record(variation: Solution, files: tuple[str, str]) -> dict[str, Any]:
    """An entry among its solution's `variations`: the number of its draw, its files, and its own errors and verdict."""
    return {
        "variation": variation.variation,
        "image": files[0],
        "downscaled": files[1],
        "feasible": variation.feasible,
        "downscaling_error": _number(variation.downscaling_error),
        "search_error": _number(variation.search_error),
        "loss": _number(variation.loss),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


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
    numbers = ("restart", "loss", "downscaling_error", "search_error", "feasible", "steps", "feasible_at")
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


def save_animation(path: Path, frames: np.ndarray, milliseconds: Sequence[int]) -> None:
    """Writes frames (n, H, W, 3) uint8, shown for so long each and over and over, as an animated WebP (lossy).

    Raises:
        OSError: the disk is full or the like.
    """
    first, *others = map(Image.fromarray, frames)
    with open(path, "wb") as file:
        first.save(
            file,
            format="WEBP",
            save_all=True,
            append_images=others,
            duration=list(milliseconds),
            loop=0,
            quality=_ANIMATION_QUALITY,
        )


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
