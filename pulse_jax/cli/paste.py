"""The command `paste`: solutions back into the photographs that their inputs were cut out of."""

import itertools
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pulse_jax.cli.options.paste import Paste
from pulse_jax.images.files import ImageError, ReadImage, read_image, save_png
from pulse_jax.images.warping import pasted
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.formats import PastedRecord, PhotographRecord
from pulse_jax.runs.inputs import read_each, report_failures, result_names, usable
from pulse_jax.runs.names import ALIGNMENT_FILE
from pulse_jax.runs.photographs import read_alignment
from pulse_jax.system import devices
from pulse_jax.system.errors import RunError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable, reason_of

__all__ = ["run_paste"]


def run_paste(options: Paste, screen: Screen) -> int:
    """Put a solution of every face back, all faces of a photograph into one picture.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if some photograph cannot be used.

    Raises:
        UsageError: The output folder cannot be used.
        RunError: The run or its alignment cannot be used, or they have nothing in common; or writing failed.
    """
    folder = RunFolder(options.output, overwrite=options.overwrite)
    home = options.alignment or options.run
    check_output_apart(options.output, [options.run, home])
    solutions = _solutions(options)
    photographs: dict[Path, PhotographRecord] = {}
    for entry in read_alignment(home)["photographs"]:
        if any(face["name"] in solutions for face in entry["faces"]):
            photographs[Path(entry["input"])] = entry
    if not photographs:
        raise RunError(
            f"{printable(options.run)}: none of its inputs is a face of {printable(home / ALIGNMENT_FILE)}; "
            "name the folder that align has written (--alignment DIR)"
        )
    images = {path: f"{name}.png" for path, name in result_names(photographs).items()}
    failures: list[ImageError] = []
    records: list[PastedRecord] = []
    summary: dict[str, Any] = {
        "command": "paste",
        "run": str(options.run.absolute()),
        "solution": options.solution,
        "feather": options.feather,
        "versions": devices.versions(),
        "inputs": records,
        "failed": [],
    }

    def put_back(path: Path, picture: ReadImage) -> tuple[np.ndarray, PastedRecord]:
        return _put_back(options, path, picture, photographs[path], solutions, images[path])

    results = usable(read_each(list(photographs), put_back), failures)
    first = next(results, None)
    if first is not None:
        with folder.write_once(list(images.values()), summary) as part:
            for pixels, record in itertools.chain([first], results):
                save_png(part / record["image"], pixels)
                records.append(record)
                count = len(record["solutions"])
                screen.note(f"{printable(Path(record['input']).name)}: {count} face{'s' if count > 1 else ''}")
            summary["failed"] += [{"input": failure.source, "message": failure.message} for failure in failures]
        count = len(records)
        screen.result(f"{count} photograph{'s' if count > 1 else ''} in {printable(options.output)}", "bold")
    report_failures(failures, len(photographs), screen)
    return 1 if failures else 0


def _put_back(
    options: Paste,
    path: Path,
    picture: ReadImage,
    photograph: PhotographRecord,
    solutions: Mapping[str, str],
    image: str,
) -> tuple[np.ndarray, PastedRecord]:
    """A photograph with the solutions of its faces in it, and its entry of `summary.json`."""
    if sha256_of(path) != photograph["sha256"]:
        raise ImageError(path, "changed since its faces were cut out; align it again")
    put = [face for face in photograph["faces"] if face["name"] in solutions]
    for face in put:
        solution = read_image(options.run / solutions[face["name"]]).pixels
        pasted(picture.pixels, np.array(face["quad"], np.float64), solution, options.feather)
    return picture.pixels, {
        "input": str(path.absolute()),
        "image": image,
        "solutions": [solutions[face["name"]] for face in put],
    }


def _solutions(options: Paste) -> Mapping[str, str]:
    """The picture of each input's solution that is asked for, by the name that its face has."""
    path = options.run / "summary.json"
    name = printable(path)
    found = {}
    try:
        for entry in parse_json(path.read_bytes())["inputs"]:
            folder = PurePosixPath(entry["solved"]).parts[0]
            # A run's own faces are called as its folders; those that align has cut out as the files that it was given.
            called = folder if options.alignment is None else PurePosixPath(entry["input"]).stem
            if options.solution <= len(entry["solutions"]):
                image = PurePosixPath(entry["solutions"][options.solution - 1]["image"])
                if image.parts != (folder, image.name) or folder in ("..", "/"):
                    raise ValueError(f"{printable(image)} is no file of the run")
                found[called] = str(image)
    except OSError as error:
        raise RunError(
            f"{name}: cannot be read ({reason_of(error)}); expected the folder of a run of upsample"
        ) from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{name}: not the summary of a finished run of upsample ({reason_of(error)})") from error
    if not found:
        raise RunError(f"{name}: no input has a solution {options.solution}; let the run finish, or choose another")
    return found
