"""What an opinion study writes down, as types; FORMATS.md explains them."""

from typing import TypedDict

from pulse_jax.runs.formats import FailureRecord, Summary

__all__ = [
    "KeyFile",
    "KeyPicture",
    "MethodRecord",
    "OpinionsFile",
    "OpinionsSummary",
    "PairRecord",
    "RaterRecord",
    "RatingRecord",
    "RatingsFile",
    "StudySummary",
]


class StudySummary(Summary):
    """The `summary.json` of `study make`."""

    sha256: dict[str, str]
    study: str
    seed: int
    methods: list[str]
    pictures: int
    examples: int
    versions: dict[str, str | None]
    failed: list[FailureRecord]


class KeyPicture(TypedDict):
    """What one picture of a study is."""

    method: str
    input: str


class KeyFile(TypedDict):
    """The `key.json` of `study make`: what raters must not know."""

    program: str
    format: int
    study: str
    pictures: dict[str, KeyPicture]


class RatingRecord(TypedDict):
    """One rating."""

    picture: str
    score: int


class RatingsFile(TypedDict):
    """The file that a rater saves on a study's page."""

    program: str
    format: int
    study: str
    rater: str
    ratings: list[RatingRecord]


class MethodRecord(TypedDict):
    """What raters think of one method."""

    method: str
    mos: float | None
    low: float | None
    high: float | None
    ratings: int


class PairRecord(TypedDict):
    """Two methods compared."""

    first: str
    second: str
    u: float
    share: float
    p: float
    p_holm: float


class RaterRecord(TypedDict):
    """One rater."""

    number: int
    file: str
    rater: str
    ratings: int


class OpinionsFile(TypedDict):
    """The `study.json` of `study analyse`."""

    format: int
    study: str
    pictures: int
    level: float
    resamples: int
    seed: int
    methods: list[MethodRecord]
    pairs: list[PairRecord]
    raters: list[RaterRecord]


class OpinionsSummary(Summary):
    """The `summary.json` of `study analyse`."""

    sha256: dict[str, str]
    key: str
    versions: dict[str, str | None]
    failed: list[FailureRecord]
