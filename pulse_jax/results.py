"""The files of one input's solutions: pictures, `solutions.npz` and the contact sheet; and reading solutions back."""

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

from pulse_jax.config import SearchConfig
from pulse_jax.files import write_whole
from pulse_jax.generator import Generator
from pulse_jax.images import ImageError, check_regular, from_uint8, printable, reason_of, save_png, to_uint8
from pulse_jax.objective import latent_shape
from pulse_jax.options import RunError
from pulse_jax.problems import Solution
from pulse_jax.search import Status
from pulse_jax.sheets import SheetTile

__all__ = [
    "StoredSolutions",
    "file_names",
    "keep_solution",
    "kept_solution",
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
    # A feasible picture may come from a search that failed later, which would only confuse.
    ending = "" if record["feasible"] else _ENDINGS.get(record["status"], "")
    error = math.nan if record["downscaling_error"] is None else record["downscaling_error"]
    return SheetTile(
        image=picture,
        caption=f"{short(error)} {'feasible' if record['feasible'] else 'missed'}",
        detail=f"{record['steps']} steps{ending}",
        good=record["feasible"],
        small=downscaled,
    )


def solution_record(solution: Solution, files: tuple[str, str], command: str) -> dict[str, Any]:
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
    folder: Path, low_res: np.ndarray, ranked: Sequence[Solution], config: SearchConfig, generator: str
) -> None:
    """Writes pictures and `solutions.npz`.

    Args:
        folder: an empty folder.
        low_res: (h, w, 3), multiples of 1/255, what the solutions are for.
        ranked: best first.
        config: how they were searched.
        generator: sha256 of the generator's description.

    Raises:
        OSError: the disk is full or the like.
    """
    save_png(folder / "input.png", low_res)
    for solution, (image, downscaled) in zip(ranked, file_names(len(ranked)), strict=True):
        save_png(folder / image, solution.image)
        save_png(folder / downscaled, solution.downscaled)
    noise = {
        f"noise_{layer:02}": np.stack([solution.noise[layer] for solution in ranked])
        for layer in range(len(ranked[0].noise))
    }
    np.savez(
        folder / "solutions.npz",
        allow_pickle=False,
        low_res=low_res,
        latents=np.stack([solution.latent for solution in ranked]),
        keys=np.stack([solution.key for solution in ranked]),
        restart=np.array([solution.restart for solution in ranked]),
        loss=np.array([solution.loss for solution in ranked]),
        downscaling_error=np.array([solution.downscaling_error for solution in ranked]),
        search_error=np.array([solution.search_error for solution in ranked]),
        feasible=np.array([solution.feasible for solution in ranked]),
        status=np.array([solution.status.name for solution in ranked]),
        steps=np.array([solution.steps for solution in ranked]),
        config=np.array(json.dumps(dataclasses.asdict(config))),
        generator=np.array(generator),
        **noise,
    )


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


def keep_solution(path: Path, solution: Solution) -> None:
    """Writes one solution, whole or not at all, for `kept_solution` to read.

    Raises:
        OSError: the disk is full or the like.
    """
    arrays = {field.name: getattr(solution, field.name) for field in dataclasses.fields(solution)}
    noise = {f"noise_{layer:02}": array for layer, array in enumerate(arrays.pop("noise"))}
    picture = to_uint8(arrays.pop("image"))
    write_whole(path, lambda file: np.savez(file, allow_pickle=False, image=picture, **arrays, **noise))


def kept_solution(path: Path) -> Solution:
    """Reads what `keep_solution` wrote: the same solution, bit for bit."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    noise = tuple(arrays.pop(name) for name in sorted(arrays) if name.startswith("noise_"))
    values = {name: array if array.ndim else array.item() for name, array in arrays.items()}
    values |= {"image": from_uint8(values["image"]), "status": Status(values["status"]), "noise": noise}
    return Solution(**values)


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
            layers = sorted(key for key in stored if key.startswith("noise_"))
            latents, *noise = (stored[key] for key in ("latents", *layers))
            settings = json.loads(str(stored["config"]))
            settings["zeroed_noise_layers"] = tuple(settings["zeroed_noise_layers"])
            config, generator = SearchConfig(**settings), str(stored["generator"])
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
