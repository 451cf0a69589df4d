"""The inputs of an evaluation: true pictures of the generator's size, and what they become in every case."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.cases import Case
from pulse_jax.images.degradations.disturbances import disturbed
from pulse_jax.images.files import ImageError, ReadImage, centre_crop, read_image, save_png
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.system.files import sha256_of, write_whole
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.text import reason_of

__all__ = ["INPUTS", "TRUTHS", "PictureFiles", "clean_of", "input_file", "made_inputs", "picture_of"]

TRUTHS, INPUTS = "truths", "inputs"
"""Folders of the true pictures, and of the inputs, by cases."""
_MADE = "made.json"


@dataclass(frozen=True)
class PictureFiles(Sequence[np.ndarray]):
    """Pictures (h, w, 3) as float32 in [0, 1], each read when it is asked for."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> "PictureFiles": ...
    def __getitem__(self, index: int | slice) -> "np.ndarray | PictureFiles":
        if isinstance(index, slice):
            return PictureFiles(self.paths[index])
        return read_image(self.paths[index]).pixels


def input_file(output: Path, case: Case, picture: str) -> Path:
    """Return where an input lies; no two of an evaluation are called the same."""
    return output / INPUTS / case.name / f"{picture}_{case.name}.png"


def picture_of(file: Path) -> tuple[str, str]:
    """Return the names of the picture and the case that an input is of."""
    case = file.parent.name
    return file.stem.removesuffix(f"_{case}"), case


def clean_of(truth: np.ndarray, case: Case) -> np.ndarray:
    """Return what a true picture merely downscales to, as 8 bits hold it."""
    return from_uint8(to_uint8(Bicubic(case.factor).apply_float64(truth)))


def made_inputs(
    output: Path,
    names: Mapping[Path, str],
    cases: Sequence[Case],
    size: int,
    seed: int,
    on_progress: Callable[[int, int], Any],
) -> tuple[list[str], list[ImageError]]:
    """Make what is missing of the true pictures and inputs, and return the names of pictures and what failed.

    A picture's centre square is brought to the generator's size: by PULSE's bicubic filter where it is a whole number
    of times as large, else by Lanczos's. What is drawn at random depends on the picture and the seed alone.

    Args:
        output: Folder of the evaluation.
        names: What each picture file is called.
        cases: Ways in which inputs are made.
        size: Side of the generator's pictures.
        seed: What disturbances are drawn from.
        on_progress: Called with how many pictures are done, and how many there are.

    Raises:
        ValueError: A case has a factor that does not suit the size.
        OSError: The disk is full or the like.
    """
    for case in cases:
        disturbed(np.zeros((size, size, 3)), case.chain)
    for folder in (output / TRUTHS, *(output / INPUTS / case.name for case in cases)):
        folder.mkdir(parents=True, exist_ok=True)
    made, failures, marks = _read(output / INPUTS / _MADE), list[ImageError](), dict[str, dict[str, Any]]()
    for done, (path, name) in enumerate(names.items()):
        on_progress(done, len(names))
        try:
            mark = {"sha256": _hash_of(path), "size": size, "seed": seed}
            missing = [c for c in cases if made.get(name) != mark or not input_file(output, c, name).is_file()]
            if missing or not (output / TRUTHS / f"{name}.png").is_file():
                _make(output, name, _squared(path, read_image(path), size), missing, seed)
            marks[name] = mark
        except ImageError as error:
            # A copy: the error itself would keep the picture in memory, by its traceback.
            failures.append(ImageError(error.source, error.message))
    on_progress(len(names), len(names))
    text = json.dumps(marks, indent=1).encode()
    write_whole(output / INPUTS / _MADE, lambda written: written.write(text))
    _remove_others(output, cases, {*marks})
    return list(marks), failures


def _hash_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise ImageError(path, f"cannot be read ({reason_of(error)})") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        made = parse_json(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _squared(path: Path, picture: ReadImage, size: int) -> np.ndarray:
    """A picture's centre square at the generator's size, as 8 bits hold it."""
    height, width = picture.pixels.shape[:2]
    side = min(height, width)
    if side < size:
        raise ImageError(
            path, f"the picture is {width}x{height}, smaller than {size}x{size}, the generator's; leave it out"
        )
    square = centre_crop(picture.pixels, side)
    if side % size:
        levels = Image.fromarray(to_uint8(square)).resize((size, size), Image.Resampling.LANCZOS)
        return from_uint8(np.asarray(levels))
    return from_uint8(to_uint8(Bicubic(side // size).apply_float64(square)))


def _make(output: Path, name: str, truth: np.ndarray, cases: Sequence[Case], seed: int) -> None:
    save_png(output / TRUTHS / f"{name}.png", truth)
    for case in cases:
        save_png(input_file(output, case, name), disturbed(truth, case.chain, seed=seed).disturbed)


def _remove_others(output: Path, cases: Sequence[Case], names: set[str]) -> None:
    """Takes away inputs of pictures that are no longer there: searches take whole folders."""
    for case in cases:
        for file in (output / INPUTS / case.name).glob("*.png"):
            if picture_of(file)[0] not in names:
                file.unlink()
