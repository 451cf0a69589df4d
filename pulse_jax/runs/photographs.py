"""Photographs with faces in them: what was found, which of it is taken, and the record of that, `alignment.json`."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pulse_jax.images.alignment import Detection, Frame, five_points, quad_of, side_of
from pulse_jax.images.files import ImageError, ReadImage
from pulse_jax.runs.formats import FORMAT, AlignmentFile, FaceRecord, PhotographRecord
from pulse_jax.runs.names import ALIGNMENT_FILE
from pulse_jax.system.errors import RunError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.text import printable, reason_of

__all__ = [
    "Alignment",
    "Choice",
    "Face",
    "Finder",
    "Photograph",
    "alignment_text",
    "joined_alignments",
    "look",
    "read_alignment",
]

_MAX_BYTES = 2**30
# How much larger than the photograph a square may be: what lies outside is made up, and takes memory.
_LARGEST = 4

Finder = Callable[[Path, np.ndarray], Sequence[Detection]]
"""Finds the faces in a photograph: its file, and its pixels (h, w, 3) in [0, 1]."""


@dataclass(frozen=True)
class Choice:
    """Which of the faces in a photograph are taken: all of them, unless one is named.

    Attributes:
        number: The one with this number, from 1.
        largest: The largest one.
    """

    number: int | None = None
    largest: bool = False


@dataclass(frozen=True)
class Face:
    """A face in a photograph.

    Attributes:
        photograph: File that it is in.
        name: What its picture, or its folder of results, is called.
        number: Its number among those of the photograph, from 1, from left to right.
        total: How many these are.
        detection: Its landmarks.
        quad: Square that is cut out, (4, 2).
    """

    photograph: Path
    name: str
    number: int
    total: int
    detection: Detection
    quad: np.ndarray

    @property
    def side(self) -> float:
        """How large its square is, in pixels of the photograph."""
        return side_of(self.quad)


@dataclass(frozen=True)
class Photograph:
    """A photograph that was searched.

    Attributes:
        path: Its file.
        sha256: The file's hash.
        width: Pixels from left to right, as it lies upright.
        height: Pixels from top to bottom.
        found: All faces that were found, from left to right.
        taken: Those of them that are wanted.
    """

    path: Path
    sha256: str
    width: int
    height: int
    found: Sequence[Face]
    taken: Sequence[Face]


@dataclass(frozen=True, eq=False)
class Alignment:
    """What was found in all photographs of a command.

    Attributes:
        frame: Name of the frame.
        photographs: Those with faces.
        sheet: Them and their faces, drawn: uint8 (h, w, 3).
    """

    frame: str
    photographs: Sequence[Photograph]
    sheet: np.ndarray

    @functools.cached_property
    def faces(self) -> Mapping[Path, Face]:
        """The faces that are taken, each by a file of its own name beside the photograph, which does not exist."""
        taken = (face for one in self.photographs for face in one.taken)
        return {face.photograph.parent / f"{face.name}.png": face for face in taken}


def look(path: Path, picture: ReadImage, name: str, finder: Finder, frame: Frame, choice: Choice) -> Photograph:
    """Find the faces in a photograph.

    Args:
        path: Its file.
        picture: What was read of it.
        name: How the names of its faces begin.
        finder: Finds them.
        frame: How much of what surrounds a face belongs to it.
        choice: Which are taken.

    Raises:
        ImageError: There is none, or not the one that is asked for; or a landmark lies far outside.
    """
    height, width = picture.pixels.shape[:2]
    detections = sorted(finder(path, picture.pixels), key=lambda one: tuple(five_points(one.points).mean(0)))
    if not detections:
        raise ImageError(
            path,
            "no face found; it may be smaller than 20 pixels, turned away or upside down: crop or turn the photograph, "
            "or mark its points in a file (--landmarks FILE)",
        )
    faces = []
    for number, detection in enumerate(detections, 1):
        quad = quad_of(detection.points, frame)
        x, y = quad.mean(0)
        is_inside = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
        if not (is_inside and 1 <= side_of(quad) <= _LARGEST * max(width, height)):
            raise ImageError(
                path,
                f"face {number} lies around ({x:.0f}, {y:.0f}), its square {side_of(quad):.0f} pixels wide, which does "
                f"not suit a photograph of {width}x{height}; check its landmarks",
            )
        faces.append(Face(path, f"{name}_{number}", number, len(detections), detection, quad))
    if choice.number is not None and choice.number > len(faces):
        raise ImageError(
            path, f"has {len(faces)} faces, --face {choice.number} names none of them; align without it shows all"
        )
    taken = faces if choice.number is None else [faces[choice.number - 1]]
    if choice.largest:
        taken = [max(faces, key=lambda face: face.side)]
    return Photograph(path, sha256_of(path), width, height, faces, taken)


def alignment_text(alignment: Alignment, images: Mapping[str, str], carried: Sequence[PhotographRecord] = ()) -> str:
    """Return the text of `alignment.json`.

    Args:
        alignment: What was found.
        images: File of each face's picture, relative to the record, by the face's name.
        carried: Photographs of an earlier record, which stay in this one, with their faces, where it has not got them.
    """
    own = {str(one.path.absolute()) for one in alignment.photographs}
    faces = {(one["input"], one["sha256"]): one["faces"] for one in carried}
    record: AlignmentFile = {
        "format": FORMAT,
        "frame": alignment.frame,
        "photographs": [
            *(one for one in carried if one["input"] not in own),
            *(
                {
                    "input": str(one.path.absolute()),
                    "sha256": one.sha256,
                    "width": one.width,
                    "height": one.height,
                    "found": len(one.found),
                    "faces": _joined(
                        faces.get((str(one.path.absolute()), one.sha256), ()),
                        [_face_record(face, images[face.name]) for face in one.taken],
                    ),
                }
                for one in alignment.photographs
            ),
        ],
    }
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def joined_alignments(records: Sequence[AlignmentFile]) -> AlignmentFile:
    """Return one record of all photographs in several, which have their frame in common, in their order.

    Args:
        records: Some records, one at least.
    """
    joined: dict[tuple[str, str], PhotographRecord] = {}
    for photograph in (one for record in records for one in record["photographs"]):
        key = photograph["input"], photograph["sha256"]
        earlier = joined[key]["faces"] if key in joined else ()
        joined[key] = {**photograph, "faces": _joined(earlier, photograph["faces"])}
    return {"format": FORMAT, "frame": records[0]["frame"], "photographs": [*joined.values()]}


def _joined(earlier: Sequence[FaceRecord], taken: Sequence[FaceRecord]) -> list[FaceRecord]:
    """The faces of one photograph, those of an earlier record too."""
    names = {face["name"] for face in taken}
    return sorted([*(face for face in earlier if face["name"] not in names), *taken], key=lambda face: face["number"])


def _face_record(face: Face, image: str) -> FaceRecord:
    return {
        "name": face.name,
        "image": image,
        "number": face.number,
        "score": face.detection.score,
        "side": face.side,
        "quad": face.quad.tolist(),
        "landmarks": face.detection.points.tolist(),
    }


def read_alignment(folder: Path) -> AlignmentFile:
    """Return what a folder's `alignment.json` holds.

    Raises:
        RunError: There is none, or it is damaged.
    """
    path = folder / ALIGNMENT_FILE
    name = printable(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        stored = parse_json(path.read_bytes())
        if stored["format"] != FORMAT:
            raise RunError(f"{name}: its format is {printable(stored['format'])}, expected {FORMAT}; use that version")
        if not isinstance(stored["frame"], str):
            raise TypeError("the frame")
        for photograph in stored["photographs"]:
            if not isinstance(photograph["input"], str) or not isinstance(photograph["sha256"], str):
                raise TypeError("names of photographs")
            for face in photograph["faces"]:
                quad = np.array(face["quad"], np.float64)
                is_quad = quad.shape == (4, 2) and bool(np.isfinite(quad).all())
                is_quad = is_quad and abs(np.linalg.det(quad[[1, 3]] - quad[0])) >= 1
                if not isinstance(face["name"], str) or not isinstance(face["number"], int) or not is_quad:
                    raise TypeError("faces")
    except OSError as error:
        raise RunError(
            f"{name}: cannot be read ({reason_of(error)}); expected the record that align or upsample --align wrote"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{name}: damaged ({reason_of(error)}); align the photographs again") from error
    return stored
