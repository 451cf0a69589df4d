"""Photographs of a command: every one is searched for faces before any is cut out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pulse_jax.images.alignment import FRAMES, Detection
from pulse_jax.images.detector import load_detector
from pulse_jax.images.files import ImageError, ReadImage
from pulse_jax.images.landmarks import read_landmarks
from pulse_jax.reports.face_sheet import MAX_PHOTOGRAPHS, Outline, face_sheet, photograph_tile
from pulse_jax.runs.inputs import read_each
from pulse_jax.runs.photographs import Choice, Finder, Photograph, look
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable

__all__ = ["Searched", "frame_name", "search_photographs"]


@dataclass(frozen=True)
class Searched:
    """What was found in photographs.

    Attributes:
        photographs: Those with faces.
        tiles: Caption and picture of the first of them, for a sheet.
    """

    photographs: Sequence[Photograph]
    tiles: Sequence[tuple[str, np.ndarray]]

    def sheet(self) -> np.ndarray:
        """Draw the photographs with what was found in them, uint8 (h, w, 3)."""
        count = sum(len(one.taken) for one in self.photographs)
        title = f"{count} face{'s' if count > 1 else ''}"
        return face_sheet(self.tiles, len(self.photographs), title)


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
) -> Searched:
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
    return Searched(found, tiles)


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
