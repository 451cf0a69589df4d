"""The files of an opinion study that are read: its key, and ratings, which strangers have saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from pulse_jax.reports.opinions import Opinions
from pulse_jax.runs.formats import FORMAT
from pulse_jax.runs.study_formats import KeyFile, KeyPicture, RatingRecord, RatingsFile
from pulse_jax.system.checks import conforms, shortened
from pulse_jax.system.errors import RunError
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.text import printable, reason_of

__all__ = ["MAX_METHODS", "MAX_PICTURES", "MAX_RATERS", "SavedRatings", "opinions_of", "read_key", "read_ratings"]

MAX_PICTURES = 20_000
"""Pictures of a study, at most."""
MAX_METHODS = 50
"""Methods of a study, at most."""
MAX_RATERS = 2_000
"""Raters of a study, at most."""
_LIMIT = 16 * 2**20
_LONGEST_WORD = 200


def read_key(path: Path) -> KeyFile:
    """Return the key of a study.

    Args:
        path: The `key.json` that `study make` wrote.

    Raises:
        RunError: It cannot be read, or is none.
    """
    try:
        key = _read(path, KeyFile, "the key.json that study make wrote")
        if not 0 < len(key["pictures"]) <= MAX_PICTURES:
            raise ValueError(f"expected 1 to {MAX_PICTURES} pictures, got {len(key['pictures'])}")
        for picture in key["pictures"].values():
            _check_keys(picture, KeyPicture)
        methods, inputs = ({picture[part] for picture in key["pictures"].values()} for part in ("method", "input"))
        cells = {(picture["method"], picture["input"]) for picture in key["pictures"].values()}
        if len(methods) > MAX_METHODS:
            raise ValueError(f"expected at most {MAX_METHODS} methods, got {len(methods)}")
        if not len(cells) == len(key["pictures"]) == len(methods) * len(inputs):
            raise ValueError("expected one picture of every method and input")
    except ValueError as error:
        raise RunError(f"{printable(path)}: {reason_of(error)}") from error
    return cast(KeyFile, key)


@dataclass(frozen=True)
class SavedRatings:
    """What a rater has saved.

    Attributes:
        rater: The word that tells the rater from others.
        scores: Scores 1 to 5, by picture.
    """

    rater: str
    scores: Mapping[str, int]


def read_ratings(path: Path, key: KeyFile) -> SavedRatings:
    """Return what a rater has saved.

    Args:
        path: The file.
        key: Key of the study that it must belong to.

    Raises:
        ValueError: It cannot be read, is none, belongs to another study, or holds what the page does not write: why,
            in one printable line without the file's name.
    """
    saved = _read(path, RatingsFile, "a file that a study's page has saved")
    if saved["study"] != key["study"]:
        raise ValueError("belongs to another study than the key")
    rater = saved["rater"].strip()
    if not 0 < len(rater) <= _LONGEST_WORD:
        raise ValueError(f"rater: expected 1 to {_LONGEST_WORD} characters, got {len(rater)}")
    scores: dict[str, int] = {}
    for rating in saved["ratings"]:
        _check_keys(rating, RatingRecord)
        picture, score = rating["picture"], rating["score"]
        if picture not in key["pictures"]:
            raise ValueError(f"picture: the study has none called {printable(picture, 40)}")
        if picture in scores:
            raise ValueError(f"picture: {printable(picture, 40)} is rated twice")
        if not 1 <= score <= 5:
            raise ValueError(f"score: expected 1 to 5, got {shortened(score)}")
        scores[picture] = score
    if not scores:
        raise ValueError("holds no rating")
    return SavedRatings(rater, scores)


def opinions_of(key: KeyFile, raters: Sequence[SavedRatings]) -> Opinions:
    """Return the ratings by rater, input and method.

    Args:
        key: The study's key.
        raters: What each rater has saved.
    """
    pictures = key["pictures"]
    inputs = sorted({picture["input"] for picture in pictures.values()})
    methods = sorted({picture["method"] for picture in pictures.values()})
    rows, columns = ({name: place for place, name in enumerate(names)} for names in (inputs, methods))
    scores = np.zeros((len(raters), len(inputs), len(methods)), np.uint8)
    for number, saved in enumerate(raters):
        for name, score in saved.scores.items():
            scores[number, rows[pictures[name]["input"]], columns[pictures[name]["method"]]] = score
    return Opinions(tuple(methods), tuple(inputs), scores)


def _read(path: Path, kind: Any, what: str) -> dict[str, Any]:
    """A file of one of the types; raises `ValueError` for any other."""
    try:
        if path.exists() and not path.is_file():  # a pipe would wait
            raise ValueError(f"expected {what}, got a folder or device")
        if path.stat().st_size > _LIMIT:
            raise ValueError(f"expected {what}, got one larger than {_LIMIT >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({reason_of(error)})") from error
    try:
        value = parse_json(content)
    except ValueError as error:
        raise ValueError(f"expected {what}, got no JSON ({reason_of(error)})") from error
    if not conforms(value, kind) or kind.__required_keys__ - value.keys() or value["program"] != "pulse-jax":
        raise ValueError(f"expected {what}, got something else")
    if value["format"] != FORMAT:
        raise ValueError(f"format: expected {FORMAT}, got {shortened(value['format'])}; take the version that wrote it")
    return value


def _check_keys(value: Mapping[str, Any], kind: Any) -> None:
    missing = kind.__required_keys__ - value.keys()
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))}: missing from an entry")
