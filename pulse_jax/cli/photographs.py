"""Photographs of a command: every one is searched for faces before any is cut out."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.images.alignment import FRAMES, Detection
from pulse_jax.images.detector import load_detector
from pulse_jax.images.files import ImageError, ReadImage, save_png
from pulse_jax.images.landmarks import read_landmarks
from pulse_jax.reports.face_sheet import MAX_PHOTOGRAPHS, Outline, face_sheet, photograph_tile
from pulse_jax.runs.folder import RunFolder
from pulse_jax.runs.formats import PhotographRecord
from pulse_jax.runs.inputs import read_each
from pulse_jax.runs.names import ALIGNMENT_FILE, FACES_SHEET
from pulse_jax.runs.photographs import Alignment, Choice, Finder, Photograph, alignment_text, look, read_alignment
from pulse_jax.runs.plan import RunPlan
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable

__all__ = ["aligned_inputs", "frame_name", "search_photographs", "write_alignment"]


def frame_name(given: str | None, generator: Path | None) -> str:
    """Return the name of the frame: as given, or the one in which a generator draws its faces.

    Args:
        given: `--frame`.
        generator: Folder of the generator; None for the embedded one.
    """
    return given or ("heads" if generator is None else "ffhq")


def search_photographs(
    paths: Sequence[Path],
    names: Mapping[Path, str],
    frame: str,
    choice: Choice,
    landmarks: Path | None,
    failures: list[ImageError],
    screen: Screen,
) -> Alignment:
    """Find the faces in photographs, one after another.

    Args:
        paths: Their files.
        names: How the names of each one's faces begin.
        frame: Name of the frame.
        choice: Which faces are taken.
        landmarks: File of landmarks; None to find faces.
        failures: What is wrong with photographs is added here, those without a face included.
        screen: Screen to tell progress on.

    Raises:
        RunError: The file of landmarks cannot be used, or what finds faces is not installed.
    """
    finder = _finder(landmarks)
    tiles: list[tuple[str, np.ndarray]] = []

    def searched(path: Path, picture: ReadImage) -> Photograph:
        one = look(path, picture, names[path], finder, FRAMES[frame], choice)
        if len(tiles) < MAX_PHOTOGRAPHS:
            outlines = [Outline(str(f.number), f.quad, f.detection.points, f in one.taken) for f in one.found]
            count = len(one.found)
            caption = f"{path.name}: {count} face{'s' if count > 1 else ''}"
            tiles.append((caption, photograph_tile(picture.pixels, outlines)))
        return one

    found = []
    with Count(screen, "finding faces") as bar:
        for number, result in enumerate(read_each(paths, searched), 1):
            if isinstance(result, ImageError):
                failures.append(result)
            else:
                found.append(result)
            bar.update(number, len(paths))
    count = sum(len(one.taken) for one in found)
    title = f"{count} face{'s' if count > 1 else ''}"
    sheet = face_sheet(tiles, len(found), title) if tiles else np.zeros((0, 0, 3), np.uint8)
    return Alignment(frame, found, sheet)


def aligned_inputs(
    options: Upsample, paths: Sequence[Path], names: Mapping[Path, str], failures: list[ImageError], screen: Screen
) -> Alignment:
    """Return the faces that are inputs of a run, found anew whenever its command is given.

    So nothing in a run's folder need be trusted. If a face is found elsewhere than before, by another version of what
    finds it, its pixels tell, as those of an input that was changed do: it is solved anew.

    Args:
        options: Checked options.
        paths: Files of the photographs.
        names: How the names of each one's faces begin.
        failures: As for `search_photographs`, which raises the same.
        screen: Screen to tell progress on.
    """
    frame, choice = frame_name(None, options.generator), Choice(options.face, options.largest)
    return search_photographs(paths, names, frame, choice, options.landmarks, failures, screen)


def write_alignment(plan: RunPlan, folder: RunFolder, *, resumed: bool) -> None:
    """Write where the faces of a run are in their photographs, if that is what its inputs are.

    Args:
        plan: Plan of the run.
        folder: Its folder.
        resumed: Whether it goes on; faces of an earlier process whose results are here stay in the record.

    Raises:
        RunError: The disk is full or the like.
    """
    alignment = plan.alignment
    if alignment is None:
        return
    carried: Sequence[PhotographRecord] = ()
    if resumed:
        with contextlib.suppress(RunError):  # without it, those faces cannot be put back, and that is all
            carried = read_alignment(folder.path)["photographs"]
    images = {face.name: f"{plan.names[path]}/input.png" for path, face in alignment.faces.items()}
    with folder.publish() as part:
        (part / ALIGNMENT_FILE).write_text(alignment_text(alignment, images, carried), encoding="utf-8")
        if plan.sheets and alignment.photographs:
            save_png(part / FACES_SHEET, alignment.sheet)


def _finder(landmarks: Path | None) -> Finder:
    if landmarks is None:
        detect = load_detector()
        return lambda path, pixels: detect(pixels)
    marked = read_landmarks(landmarks)

    def look_up(path: Path, pixels: np.ndarray) -> Sequence[Detection]:
        if path.name not in marked:
            raise ImageError(path, f"{printable(landmarks)} has no landmarks of a photograph called {path.name}")
        return marked[path.name]

    return look_up
