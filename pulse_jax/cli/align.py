"""The command `align`: faces out of photographs, upright, as a generator's training pictures were."""

from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.cli import generators
from pulse_jax.cli.options.align import Align
from pulse_jax.cli.photographs import frame_name, search_photographs
from pulse_jax.images.files import ReadImage, save_png
from pulse_jax.images.warping import aligned
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.inputs import find_inputs, read_each, report_failures, result_names, usable
from pulse_jax.runs.names import ALIGNMENT_FILE, FACES_SHEET
from pulse_jax.runs.photographs import Choice, Face, alignment_text
from pulse_jax.system import devices
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_align"]


def run_align(options: Align, screen: Screen) -> int:
    """Cut out the faces of every photograph in which there are any.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if some photograph failed or has no face.

    Raises:
        UsageError: The output folder cannot be used.
        RunError: The generator or the landmarks cannot be used, nothing finds faces here, or writing failed.
    """
    folder = RunFolder(options.output, overwrite=options.overwrite)
    check_output_apart(options.output, options.inputs, options.landmarks)
    size = options.size or generators.describe_generator(options.generator)[0].resolution
    frame = frame_name(options.frame, options.generator)
    paths, failures = find_inputs(options.inputs, options.output, recursive=options.recursive)
    total = len(paths) + len(failures)
    choice = Choice(options.face, options.largest)
    names = result_names(paths)
    alignment = search_photographs(paths, names, frame, choice, options.landmarks, failures, screen)
    photographs = {one.path: one for one in alignment.photographs}
    faces = list(alignment.faces.values())
    if faces:
        summary: dict[str, Any] = {
            "command": "align",
            "size": size,
            "frame": frame,
            "landmarks": None if options.landmarks is None else str(options.landmarks.absolute()),
            "faces": len(faces),
            "versions": devices.versions(),
            "failed": [],
        }

        def cut(path: Path, picture: ReadImage) -> list[tuple[Face, np.ndarray]]:
            return [(face, aligned(picture.pixels, face.quad, size)) for face in photographs[path].taken]

        images = {face.name: f"{face.name}.png" for face in faces}
        with folder.write_once([*images.values(), ALIGNMENT_FILE, FACES_SHEET], summary) as part:
            for pictures in usable(read_each(list(photographs), cut), failures):
                for face, picture in pictures:
                    save_png(part / images[face.name], picture)
                    told = f"{face.side:.0f} pixels across" + (
                        "" if face.total == 1 else f", {face.number} of {face.total}"
                    )
                    screen.note(f"{printable(face.photograph.name)}: {images[face.name]}, {told}")
            text = alignment_text(alignment, images)
            (part / ALIGNMENT_FILE).write_text(text, encoding="utf-8")
            save_png(part / FACES_SHEET, alignment.sheet)
            summary["failed"] += [{"input": failure.source, "message": failure.message} for failure in failures]
        count = len(faces)
        screen.result(
            f"{count} face{'s' if count > 1 else ''}; look at {printable(options.output / FACES_SHEET)}", "bold"
        )
    report_failures(failures, total, screen)
    return 1 if failures else 0
