"""The inputs of a run: finding and reading them, what is wanted of each, and how far it is."""

import itertools
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from pulse_jax.images.files import ImageError, ReadImage, check_regular, read_image
from pulse_jax.images.inputs import find_images
from pulse_jax.runs.names import is_input_name
from pulse_jax.runs.shards import Part, Shard
from pulse_jax.system.files import sha256_of
from pulse_jax.system.screen import Count, Screen

__all__ = [
    "Input",
    "Quota",
    "find_inputs",
    "of_shard",
    "read_each",
    "report_failures",
    "result_names",
    "title_of",
    "usable",
]

# What a file system takes, less what names of files add.
_LONGEST_NAME = 240
# Files that are hashed between two words on it: fewer take no time.
_TOLD = 100


@dataclass(frozen=True)
class Quota:
    """Which solutions of each input are wanted: all of `searches` restarts, or `count` of them.

    Attributes:
        count: Solutions that are delivered.
        searches: Restarts, at most.
        stops: Whether no further restart begins once `count` solutions are feasible.
        diverse: Whether those of the feasible ones are delivered that differ most where downscaling does not see it,
            instead of the best.
    """

    count: int
    searches: int
    stops: bool
    diverse: bool = False

    def met(self, ended: Mapping[int, bool]) -> bool:
        """Whether an input is done, of which these restarts have ended, feasible or not."""
        return len(ended) >= self.searches or (self.stops and sum(ended.values()) >= self.count)


@dataclass
class Input:
    """One input on its way: what is solved, and how its searches have ended so far.

    Attributes:
        index: Its place among all inputs of the run.
        path: Picture file.
        name: The name of its folder.
        low_res: Pixels (h, h, 3) that are solved, in [0, 1].
        notes: What was done to the picture to make them.
        face: Which of the faces in the picture, a photograph, it is, from 1; 0 where it is the picture.
        ended: Restarts that have ended, and whether their solutions are feasible.
        keeping: Calls that are putting solutions on disk.
        is_complete: Whether all its searches have ended.
    """

    index: int
    path: Path
    name: str
    low_res: np.ndarray
    notes: tuple[str, ...]
    face: int = 0
    ended: dict[int, bool] = field(default_factory=dict)
    keeping: list[Future[None]] = field(default_factory=list)
    is_complete: bool = False

    @property
    def title(self) -> str:
        """What the user knows it by."""
        return title_of(self.path, self.face)


_Prepared = TypeVar("_Prepared")


def find_inputs(
    inputs: Sequence[Path], output: Path, *, recursive: bool = False
) -> tuple[list[Path], list[ImageError]]:
    """Return the picture files whose names results can carry, and what failed.

    Args:
        inputs: Files, folders of them, and patterns.
        output: Output folder, in which no input may lie.
        recursive: Whether sub-folders are searched too.
    """
    found, failures = find_images(inputs, exclude=output, recursive=recursive)
    unsuitable = [path for path in found if not is_input_name(path.stem)]
    failures += [
        ImageError(path, f"its results cannot be called {path.stem!r}; rename the file") for path in unsuitable
    ]
    return [path for path in found if path not in unsuitable], failures


def of_shard(paths: Sequence[Path], shard: Shard, screen: Screen) -> Part:
    """Return what of some files falls into a shard; what cannot be read falls into every one, and is told by each.

    Args:
        paths: Files that a command names.
        shard: The shard.
        screen: Screen to tell progress on.
    """

    def is_taken(path: Path) -> bool:
        try:
            check_regular(path)
            return shard.holds(sha256_of(path))
        except (ImageError, OSError):
            return True

    taken = []
    with Count(screen, "choosing inputs by their hashes") as bar:
        for number, path in enumerate(paths, 1):
            if is_taken(path):
                taken.append(path)
            if number % _TOLD == 0:
                bar.update(number, len(paths))
    return Part(shard, paths, taken)


def result_names(paths: Iterable[Path]) -> dict[Path, str]:
    """Return what the results of each input are called: as its file without suffix, if that is free.

    Otherwise they are called as the file with its suffix, `IMG_1.jpg` beside `IMG_1.HEIC`, or after its folders too,
    `b-0001` beside `a/0001.png`. A name depends on the inputs before it only: more of them behind change none.

    Args:
        paths: Files of the inputs, in order.
    """
    names: dict[Path, str] = {}
    taken: dict[str, Path] = {}
    for path in paths:
        free = (name for name in _names(path, taken) if _folded(name) not in taken)
        names[path] = name = next(n for n in free if n == path.stem or (is_input_name(n) and _is_short(n)))
        taken[_folded(name)] = path
    return names


def _names(path: Path, taken: Mapping[str, Path]) -> Iterator[str]:
    """Yield names for an input's results, the plainest first; a suffix tells files of one folder apart only."""
    parent = path.absolute().parent
    folders = parent.parts[1:]
    for depth in range(len(folders) + 1):
        before = folders[len(folders) - depth :]
        name = "-".join((*before, path.stem))
        yield name
        holder = taken.get(_folded(name))
        if holder is not None and holder.absolute().parent == parent:
            yield "-".join((*before, path.name))
    for number in itertools.count(2):
        yield f"{path.stem}-{number}"


def _folded(name: str) -> str:
    """Return what is the same of two names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_short(name: str) -> bool:
    return len(os.fsencode(name)) <= _LONGEST_NAME


def read_each(
    paths: Sequence[Path],
    prepare: Callable[[Path, ReadImage], _Prepared],
    *,
    shortest_side: int | None = None,
    file_of: Callable[[Path], Path] = lambda path: path,
) -> Iterator[_Prepared | ImageError]:
    """Read pictures and yield what is made of each, or why nothing is; only one picture is ever in memory.

    Args:
        paths: Files to read, one by one.
        prepare: Makes something smaller of a picture, or raises `ImageError`.
        shortest_side: Pixels that the shorter side must keep where a picture is too large to be read whole; None if
            none may be reduced.
        file_of: What is read of each.
    """
    for path in paths:
        try:
            prepared = prepare(path, read_image(file_of(path), shortest_side=shortest_side))
        except ImageError as error:
            # A copy: the error itself would keep the picture in memory, by its traceback.
            prepared = ImageError(error.source, error.message)
        yield prepared


def title_of(path: Path, face: int = 0) -> str:
    """Return what the user knows an input by: the name of its file, and of a face in that its number."""
    return f"{path.name}, face {face}" if face else path.name


def usable(results: Iterable[_Prepared | ImageError], failures: list[ImageError]) -> Iterator[_Prepared]:
    """Yield what could be made of inputs.

    Args:
        results: What `read_each` yields.
        failures: What is wrong with the others is added here.
    """
    for result in results:
        if isinstance(result, ImageError):
            failures.append(result)
        else:
            yield result


def report_failures(failures: Sequence[ImageError], total: int, screen: Screen) -> None:
    """List the inputs that failed, where there are any.

    Args:
        failures: What was wrong with each.
        total: Inputs in all.
        screen: Screen to print on.
    """
    if failures:
        screen.error(f"{len(failures)} of {total} inputs failed:")
        for failure in failures:
            screen.error(f"  {failure}")
