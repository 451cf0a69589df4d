"""What a run writes down, as types: `summary.json` and `solutions.json`, key by key; FORMATS.md explains them."""

from typing import Any, NotRequired, TypedDict

__all__ = [
    "FORMAT",
    "AlignSummary",
    "AlignmentFile",
    "BenchmarkSummary",
    "DownscaleSummary",
    "DownscaledRecord",
    "EvaluateSummary",
    "EvaluatedCase",
    "FaceRecord",
    "FailureRecord",
    "GeneratorRecord",
    "InputRecord",
    "LatentsSummary",
    "PasteSummary",
    "PastedRecord",
    "PhotographRecord",
    "PosteriorRecord",
    "PosteriorSummary",
    "QuotaRecord",
    "RandomGeneratorRecord",
    "SampleSummary",
    "Settings",
    "ShardRecord",
    "SolutionRecord",
    "SolutionsFile",
    "Speed",
    "Summary",
    "UpsampleSummary",
    "VariationRecord",
]

FORMAT = 1
"""The number of these formats, in every file; a file without one is older, and has the first."""


class Summary(TypedDict):
    """What every `summary.json` holds."""

    program: str
    format: int
    command: str
    finished: bool
    files: list[str]
    replaced: NotRequired[list[str]]


class GeneratorRecord(TypedDict):
    """Which generator it was."""

    folder: str
    sha256: str
    architecture: dict[str, Any]


class RandomGeneratorRecord(TypedDict):
    """Which generator it was, of one with random weights."""

    folder: None
    architecture: dict[str, Any]


class VariationRecord(TypedDict):
    """One variation of a solution: the same latent, other noise."""

    variation: int
    image: str
    downscaled: str
    feasible: bool
    downscaling_error: float | None
    search_error: float | None
    loss: float | None


class SolutionRecord(TypedDict):
    """One solution of an input."""

    image: str
    downscaled: str
    restart: int
    status: str
    feasible: bool
    downscaling_error: float | None
    search_error: float | None
    loss: float | None
    steps: int
    feasible_at: int
    evaluations: int
    curve: NotRequired[list[float | None]]
    moved: NotRequired[float]
    plausibility: NotRequired[float]
    latent_plausibility: NotRequired[float]
    command: str
    unseen_distance: NotRequired[float | None]
    variations: NotRequired[list[VariationRecord]]


class InputRecord(TypedDict):
    """One finished input."""

    input: str
    notes: list[str]
    size: int
    factor: int
    image_number: int
    solved: str
    latents: str
    sheet: str | None
    original: NotRequired[str]
    searches: int
    solutions: list[SolutionRecord]
    face: NotRequired[int]
    animations: NotRequired[list[str]]


class SolutionsFile(InputRecord):
    """An input's `solutions.json`: its entry in `summary.json`, with the format's number."""

    format: int


class FailureRecord(TypedDict):
    """One input that could not be used."""

    input: str
    message: str


class QuotaRecord(TypedDict):
    """Which solutions of each input were wanted."""

    count: int
    searches: int
    stops: bool
    diverse: bool


class Settings(TypedDict):
    """What decides the results of a run: an unfinished one goes on only where all of it is the same."""

    solutions: QuotaRecord
    lanes: int
    shard: str | None
    seed: int
    label: int | None
    fit: str | None
    input_size: int | None
    factor: int | None
    align: bool
    at: int | None
    landmarks: str | None
    format: str
    init: str | None
    perceptual: str | None
    no_noise: bool
    rank: str
    noise_samples: int
    save_intermediate: bool
    config: dict[str, Any]
    generator: str
    versions: dict[str, str | None]
    device: str


class ShardRecord(TypedDict):
    """What a shard has of a run, by what results are called."""

    listed: list[str]
    taken: list[str]


class Speed(TypedDict):
    """How fast the searches of the last process of a run were."""

    steps: int
    seconds: float
    compile_seconds: float
    idle_seconds: float
    steps_per_second: float | None
    peak_memory_bytes: dict[str, int]


class UpsampleSummary(Summary):
    """The `summary.json` of `upsample` and `demo`."""

    solutions: int
    feasible: int
    unusual: NotRequired[int]
    seed: int
    restarts: int
    solutions_per_input: int
    lanes: int
    preset: str
    config: dict[str, Any]
    init: str | None
    perceptual: str | None
    label: int | None
    generator: GeneratorRecord
    versions: dict[str, str | None]
    device: dict[str, Any]
    selfcheck: str | None
    position_independent: bool
    settings: Settings
    speed: Speed
    shard: NotRequired[ShardRecord]
    inputs: list[InputRecord]
    failed: list[FailureRecord]


class DownscaledRecord(TypedDict):
    """One picture that `downscale` made."""

    input: str
    notes: list[str]
    factor: int
    size: int
    image: str


class DownscaleSummary(Summary):
    """The `summary.json` of `downscale`."""

    sha256: dict[str, str]
    size: int | None
    factor: int | None
    degradation: str | None
    seed: int
    versions: dict[str, str | None]
    inputs: list[DownscaledRecord]
    failed: list[FailureRecord]


class EvaluatedCase(TypedDict):
    """One way in which inputs were made of pictures."""

    name: str
    factor: int
    degradation: str


class EvaluateSummary(Summary):
    """The `summary.json` of `evaluate`; what was measured is in `results.json`."""

    presets: list[str]
    cases: list[EvaluatedCase]
    generator: GeneratorRecord
    versions: dict[str, str | None]
    device: dict[str, Any]
    settings: dict[str, Any]
    failed: list[FailureRecord]


class PosteriorRecord(TypedDict):
    """What was drawn of a posterior, and whether its chains have mixed."""

    sigma: float
    mean_error: float
    r_hat: list[float | None]
    effective_samples: list[float | None]
    variance_shares: list[float]
    acceptance: list[float]
    exchanges: list[float]
    temperatures: list[float]
    steps: list[float]
    transitions: int
    evaluations: int
    warm_up_evaluations: int


class SampleSummary(Summary):
    """The `summary.json` of `sample`."""

    sha256: dict[str, str]
    seed: int | None
    truncation: float | None
    latents: str | None
    label: int | None
    generator: GeneratorRecord
    versions: dict[str, str | None]
    device: dict[str, Any]


class PosteriorSummary(Summary):
    """The `summary.json` of `sample-posterior`."""

    sha256: dict[str, str]
    input: str
    options: dict[str, Any]
    posterior: PosteriorRecord
    generator: GeneratorRecord
    versions: dict[str, str | None]
    device: dict[str, Any]


class LatentsSummary(Summary):
    """The `summary.json` of `latents`."""

    sha256: dict[str, str]
    run: str
    kind: str
    solutions: int
    versions: dict[str, str | None]


class BenchmarkSummary(Summary):
    """The `summary.json` of `benchmark`; what was measured is in `benchmark.json` or `plan.json`."""

    sha256: dict[str, str]
    generator: GeneratorRecord | RandomGeneratorRecord
    versions: dict[str, str | None]
    device: dict[str, Any]


class FaceRecord(TypedDict):
    """One face that was cut out of a photograph."""

    name: str
    image: str
    number: int
    score: float | None
    side: float
    quad: list[list[float]]
    landmarks: list[list[float]]


class PhotographRecord(TypedDict):
    """One photograph in which faces were found."""

    input: str
    sha256: str
    width: int
    height: int
    found: int
    faces: list[FaceRecord]


class AlignmentFile(TypedDict):
    """The `alignment.json` of `align` and `upsample --align`."""

    format: int
    frame: str
    photographs: list[PhotographRecord]


class AlignSummary(Summary):
    """The `summary.json` of `align`; quads and landmarks are in `alignment.json`."""

    sha256: dict[str, str]
    size: int
    frame: str
    landmarks: str | None
    faces: int
    versions: dict[str, str | None]
    failed: list[FailureRecord]


class PastedRecord(TypedDict):
    """One photograph into which `paste` has put solutions."""

    input: str
    image: str
    solutions: list[str]


class PasteSummary(Summary):
    """The `summary.json` of `paste`."""

    sha256: dict[str, str]
    run: str
    solution: int
    feather: float
    versions: dict[str, str | None]
    inputs: list[PastedRecord]
    failed: list[FailureRecord]
