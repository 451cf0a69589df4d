"""Landmarks that somebody else found, or marked by hand: a JSON file with the faces of each photograph."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pulse_jax.images.alignment import Detection, five_points
from pulse_jax.system.errors import RunError
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.text import printable, reason_of

__all__ = ["read_landmarks"]

_MAX_BYTES = 64 * 2**20


def read_landmarks(path: Path) -> Mapping[str, Sequence[Detection]]:
    """Return the faces of each photograph, by the name of its file.

    Args:
        path: JSON file, an object: `{"group.jpg": [[[x, y], [x, y], …], …]}`, of each face 5 or dlib's 68 points.

    Raises:
        RunError: It cannot be read, or is not that.
    """
    name = printable(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RunError(f"{name}: more than {_MAX_BYTES >> 20} MiB, expected a file of landmarks; split it")
        stored = parse_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"{name}: cannot be read ({reason_of(error)}); check the path") from error
    except ValueError as error:
        raise RunError(f"{name}: not JSON ({reason_of(error)}); expected names of photographs and faces") from error
    if not isinstance(stored, dict) or not all(isinstance(faces, list) for faces in stored.values()):
        raise RunError(f'{name}: expected {{"photo.jpg": [face, ...]}}, a list of faces for each photograph')
    found = {}
    for photograph, faces in stored.items():
        found[photograph] = []
        for number, face in enumerate(faces, 1):
            try:
                points = np.array(face, np.float64)
                five_points(points)
            except (TypeError, ValueError) as error:
                raise RunError(f"{name}: face {number} of {printable(photograph)}: {printable(error, 200)}") from error
            found[photograph].append(Detection(points))
    return found
