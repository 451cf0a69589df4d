"""The pictures that a command works on: finding them, reading them one by one, telling which failed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pulse_jax.images import ImageError, ReadImage, read_image
from pulse_jax.inputs import find_images
from pulse_jax.progress import Screen
from pulse_jax.runs import HIDDEN, RESERVED

__all__ = ["find_inputs", "read_each", "report_failures"]

_Prepared = TypeVar("_Prepared")


def find_inputs(inputs: Sequence[Path], output: Path) -> tuple[list[Path], list[ImageError]]:
    """The picture files whose names results can carry, and what failed."""
    found, failures = find_images(inputs, exclude=output)
    unsuitable = [path for path in found if path.stem in (".", "..", *RESERVED) or path.stem.startswith(HIDDEN)]
    failures += [
        ImageError(path, f"its results cannot be called {path.stem!r}; rename the file") for path in unsuitable
    ]
    return [path for path in found if path not in unsuitable], failures


def read_each(
    paths: Sequence[Path], prepare: Callable[[Path, ReadImage], _Prepared]
) -> Iterator[_Prepared | ImageError]:
    """Reads pictures one by one and yields what is made of each, or why nothing is; only one is ever in memory.

    Args:
        paths: files.
        prepare: makes something smaller of a picture, or raises `ImageError`.
    """
    for path in paths:
        try:
            prepared = prepare(path, read_image(path))
        except ImageError as error:
            # A copy: the error itself would keep the picture in memory, by its traceback.
            prepared = ImageError(error.source, error.message)
        yield prepared


def report_failures(failures: Sequence[ImageError], total: int, screen: Screen) -> None:
    """The list at the end."""
    if failures:
        screen.error(f"{len(failures)} of {total} inputs failed:")
        for failure in failures:
            screen.error(f"  {failure}")
