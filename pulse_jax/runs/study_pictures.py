"""The pictures of an opinion study: which methods made which of which inputs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulse_jax.images.errors import ImageError
from pulse_jax.images.inputs import find_images
from pulse_jax.runs.formats import InputRecord
from pulse_jax.runs.names import RESERVED, is_input_name, is_result
from pulse_jax.runs.summary_file import read_summary
from pulse_jax.system.checks import conforms
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.text import printable

__all__ = ["MethodPictures", "common_inputs", "method_pictures", "open_methods"]


@dataclass(frozen=True)
class MethodPictures:
    """The pictures that one method made.

    Attributes:
        name: What the method is called: as its folder.
        pictures: The picture of each input, by the input's name.
    """

    name: str
    pictures: Mapping[str, Path]


def open_methods(folders: Sequence[Path]) -> tuple[list[MethodPictures], list[ImageError]]:
    """Return the pictures of every method, and what in their folders cannot be used.

    Args:
        folders: A folder of each method, which is called like it.

    Raises:
        UsageError: Two folders have one name, or one is none, or holds no picture.
        RunError: One is a run's whose summary is damaged.
    """
    methods: dict[str, MethodPictures] = {}
    failures: list[ImageError] = []
    # Not resolved: a link to a folder has a name of its own.
    for folder in dict.fromkeys(Path(os.path.abspath(folder)) for folder in folders):
        method = MethodPictures(folder.name, method_pictures(folder, failures))
        if method.name in methods:
            raise UsageError(f"{printable(folder)}: another folder is called {printable(method.name)} too; rename one")
        methods[method.name] = method
    return [*methods.values()], failures


def method_pictures(folder: Path, failures: list[ImageError]) -> dict[str, Path]:
    """Return the pictures in a folder, by the names of their inputs: of a run of `upsample` the best of each input.

    Args:
        folder: A folder of pictures, which are called like their inputs, or of a run.
        failures: What cannot be used is added here.

    Raises:
        UsageError: It is no folder, or holds no picture.
        RunError: It is a run's whose summary is damaged.
    """
    if not folder.is_dir():
        raise UsageError(f"{printable(folder)}: expected a folder of pictures, or of a run of upsample")
    summary = read_summary(folder)
    if summary is not None and summary.get("command") in ("upsample", "demo"):
        pictures = _best_solutions(folder, summary)
    else:
        own = RESERVED if summary is not None else ()
        found, errors = find_images([folder])
        failures += errors if found else []
        pictures = {}
        for path in found:
            if path.name in own:
                continue
            if path.stem in pictures:
                failures.append(
                    ImageError(path, f"{pictures[path.stem].name} has the same name; rename one of the two")
                )
            else:
                pictures[path.stem] = path
    if not pictures:
        raise UsageError(f"{printable(folder)}: holds no pictures; name a folder of pictures, or of a run of upsample")
    return pictures


def _best_solutions(folder: Path, summary: Mapping[str, Any]) -> dict[str, Path]:
    records = summary.get("inputs")
    if not conforms(records, list[InputRecord]):
        raise RunError(f"{printable(folder)}: its summary.json is damaged; give the run's command again")
    assert isinstance(records, list)
    pictures = {}
    for record in records:
        image = next((solution.get("image") for solution in record.get("solutions", ())), None)
        name, _, file = (image or "").partition("/")
        picture = folder / name / file
        # A stranger's run leads to no file outside of it.
        if not is_input_name(name) or not is_result(file) or picture.parent.is_symlink() or picture.is_symlink():
            raise RunError(
                f"{printable(folder)}: its summary.json is damaged, or a picture is a link; make the run again"
            )
        pictures[name] = picture
    return pictures


def common_inputs(methods: Iterable[MethodPictures]) -> tuple[list[str], list[ImageError]]:
    """Return the inputs of which every method has a picture, and what is missing of the others.

    Args:
        methods: The methods, one at least.
    """
    methods = [*methods]
    names = dict.fromkeys(name for method in methods for name in method.pictures)
    found, failures = [], []
    for name in names:
        lacking = [method.name for method in methods if name not in method.pictures]
        if lacking:
            told = ", ".join(printable(one, 60) for one in lacking[:3])
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            failures.append(ImageError(name, f"no picture of it in {told}{more}; raters must see it of every method"))
        else:
            found.append(name)
    return found, failures
