"""The command `study make`: a page on which people rate pictures without knowing what made them."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.cli.options.study import StudyMake
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import ImageError, read_image, save_png
from pulse_jax.images.inputs import reducible_square
from pulse_jax.images.rounding import to_uint8
from pulse_jax.reports.study_page import StudyExample, study_page
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.formats import FORMAT
from pulse_jax.runs.inputs import report_failures
from pulse_jax.runs.study_files import MAX_METHODS, MAX_PICTURES
from pulse_jax.runs.study_formats import KeyFile, KeyPicture
from pulse_jax.runs.study_pictures import MethodPictures, common_inputs, method_pictures, open_methods
from pulse_jax.search.interpolation import enlarge
from pulse_jax.system.devices import versions
from pulse_jax.system.errors import UsageError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable

__all__ = ["run_study_make"]

_KEY = "key.json"
_RATE = "rate"
_PAGE = f"{_RATE}/index.html"


@dataclass
class _Made:
    """What has been written of a study.

    Attributes:
        pictures: What each picture is, by its name.
        examples: Pictures that raters see first.
        sizes: Widths and heights of pictures that are rated.
        example_sizes: Widths and heights of examples.
        overlap: How many examples of a score show an input that is rated.
        failures: What could not be used.
    """

    pictures: dict[str, KeyPicture] = field(default_factory=dict)
    examples: list[StudyExample] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    example_sizes: set[tuple[int, int]] = field(default_factory=set)
    overlap: int = 0
    failures: list[ImageError] = field(default_factory=list)


def run_study_make(options: StudyMake, screen: Screen) -> int:
    """Copy the pictures under names that say nothing, and write the page and the key, whole or not at all.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if some picture could not be used.

    Raises:
        UsageError: A folder or the output folder cannot be used, or no input has pictures of all methods.
        RunError: A run is damaged, or writing failed.
    """
    folder = RunFolder(options.output, overwrite=options.overwrite)
    sources = [*options.folders, *([options.anchors] if options.anchors else [])]
    for source in sources:
        check_output_apart(options.output, sources, source)
    methods, failures = open_methods(options.folders)
    inputs, lacking = common_inputs(methods)
    made = _Made(failures=[*failures, *lacking])
    if not inputs:
        raise UsageError("no picture has the same name in every folder; call those of one input alike")
    if len(methods) > MAX_METHODS:
        raise UsageError(f"{len(methods)} methods; at most {MAX_METHODS} are compared in a study")
    if len(methods) * len(inputs) > MAX_PICTURES:
        raise UsageError(f"{len(methods) * len(inputs)} pictures; at most {MAX_PICTURES} make a study")
    anchors = {} if options.anchors is None else method_pictures(options.anchors, made.failures)
    names = _random_names(len(methods) * len(inputs), options.seed)
    shown = [f"example_{score}_{number:02}.png" for score in (1, 5) for number in range(1, options.examples + 1)]
    files = [*(f"{_RATE}/{name}" for name in (*names, *(shown if anchors else ()))), _PAGE, _KEY]
    summary: dict[str, Any] = {
        "command": "study make",
        "seed": options.seed,
        "methods": [method.name for method in methods],
        "versions": versions(),
    }
    began = time.time()
    with folder.write_once(files, summary) as part:
        home = part / _RATE
        home.mkdir()
        _make_examples(anchors, inputs, options, home, made)
        with Count(screen, "copying pictures") as bar:
            for number, name in enumerate(inputs):
                _copy(methods, name, names[number * len(methods) :], home, made)
                bar.update(number + 1, len(inputs))
        if not made.pictures:
            raise UsageError("no input has usable pictures of every method: " + str(made.failures[0]))
        study = _identity(home, made.pictures)
        page = study_page(study, sorted(made.pictures), made.examples)
        (part / _PAGE).write_text(page, encoding="utf-8")
        pictures = dict(sorted(made.pictures.items()))
        key: KeyFile = {"program": "pulse-jax", "format": FORMAT, "study": study, "pictures": pictures}
        for file in home.iterdir():  # written one after another, they would tell which belong together
            os.utime(file, (began, began))
        (part / _KEY).write_text(json.dumps(key, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        summary |= {"study": study, "pictures": len(made.pictures), "examples": len(made.examples)}
        summary["failed"] = [{"input": one.source, "message": one.message} for one in made.failures]
    _tell(made, methods, options, screen)
    report_failures(made.failures, len(made.pictures) // len(methods) + len(made.failures), screen)
    return 1 if made.failures else 0


def _random_names(count: int, seed: int) -> list[str]:
    """Names of files, none twice; sorted, they are in random order too."""
    numbers = np.random.default_rng(seed).choice(2**32, count, replace=False)
    return [f"{number:08x}.png" for number in numbers]


def _copy(methods: Sequence[MethodPictures], name: str, names: Sequence[str], home: Path, made: _Made) -> None:
    """Copies the pictures of one input, of all methods or of none: as PNG, so that no file tells what wrote it."""
    pictures = []
    try:
        for method in methods:
            pictures.append(to_uint8(read_image(method.pictures[name]).pixels))
            if pictures[-1].shape != pictures[0].shape:
                sizes = ["{1}x{0}".format(*one.shape) for one in (pictures[0], pictures[-1])]
                raise ImageError(
                    method.pictures[name],
                    f"{sizes[1]}, and {sizes[0]} in {methods[0].name}; all methods' pictures of an input must be alike",
                )
    except ImageError as error:
        made.failures.append(ImageError(error.source, error.message))
        return
    made.sizes.add(pictures[0].shape[1::-1])
    for method, picture, file in zip(methods, pictures, names, strict=False):
        save_png(home / file, picture)
        made.pictures[file] = {"method": method.name, "input": name}


def _make_examples(
    anchors: Mapping[str, Path], rated: Sequence[str], options: StudyMake, home: Path, made: _Made
) -> None:
    """Writes pairs of examples: a picture, and what nearest neighbours make of it once it is downscaled.

    Those come first that show no input which is rated.
    """
    known = {*rated}
    for name in sorted(anchors, key=lambda name: name in known):
        number = len(made.examples) // 2 + 1
        if number > options.examples:
            return
        try:
            pixels = read_image(anchors[name]).pixels
            best, worst = _pair(pixels, options.factor, anchors[name])
        except ImageError as error:
            made.failures.append(ImageError(error.source, error.message))
            continue
        made.overlap += name in known
        made.example_sizes.add((len(best), len(best)))
        for score, picture in ((1, worst), (5, best)):
            file = f"example_{score}_{number:02}.png"
            save_png(home / file, to_uint8(picture))
            made.examples.append({"picture": file, "score": score})
    if anchors and not made.examples:
        raise UsageError(f"--anchors: none of its pictures can be used: {made.failures[-1]}")


def _pair(pixels: np.ndarray, factor: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A picture's centre square, and what nearest neighbours make of it once it is downscaled."""
    try:
        best, _ = reducible_square(pixels, factor, path)
        small = Bicubic(factor).apply_float64(best)
    except ValueError:
        height, width = pixels.shape[:2]
        raise ImageError(path, f"{width}x{height} is too small to be downscaled by {factor}; lower --factor") from None
    return best, enlarge(np.clip(small, 0, 1).astype(np.float32), len(best), "nearest")


def _identity(home: Path, pictures: Mapping[str, KeyPicture]) -> str:
    """What tells this study from others: a hash of its pictures and their names, of which nothing can be learnt."""
    digest = hashlib.sha256()
    for name in sorted(pictures):
        digest.update(f"{name} {sha256_of(home / name)}\n".encode())
    return digest.hexdigest()[:16]


def _tell(made: _Made, methods: Sequence[MethodPictures], options: StudyMake, screen: Screen) -> None:
    inputs = len(made.pictures) // len(methods)
    kinds = f"{len(methods)} method{'' if len(methods) == 1 else 's'}"
    output = printable(options.output)
    screen.result(
        f"{len(made.pictures)} pictures ({inputs} input{'' if inputs == 1 else 's'}, {kinds}) in {output}", "bold"
    )
    screen.result(f"Give raters the folder {output}/{_RATE}, and keep {_KEY} from them.")
    if made.overlap:
        told = f"{made.overlap} of {len(made.examples) // 2} examples show inputs that are rated too"
        screen.note(f"{told}: raters know them already; --anchors with other pictures is better", "yellow")
    if made.examples and made.example_sizes != made.sizes:
        told = [", ".join(f"{w}x{h}" for w, h in sorted(sizes)[:3]) for sizes in (made.example_sizes, made.sizes)]
        screen.note(f"examples are {told[0]}, rated pictures {told[1]}: better have them of one size", "yellow")
