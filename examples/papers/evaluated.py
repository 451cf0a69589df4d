"""What both programs share: options, and evaluations that `pulse-jax evaluate` makes and that are read back."""

import csv
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pulse_jax.cli import main as pulse_jax_program
from pulse_jax.images.degradations.cases import Case, cases_of
from pulse_jax.images.files import read_image
from pulse_jax.reports.evaluation import Estimate
from pulse_jax.reports.niqe import SMALLEST_SIDE, niqe, read_niqe_model
from pulse_jax.runs.evaluation_inputs import TRUTHS, clean_of, input_file
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.json_text import parse_json
from pulse_jax.system.text import printable

__all__ = [
    "HELDOUT",
    "Evaluation",
    "PaperOptions",
    "Row",
    "evaluated",
    "named_data",
    "niqe_lacks",
    "niqe_of_truths",
    "run_program",
    "told",
    "values",
]

HELDOUT = Path(__file__).parents[1] / "heldout"
Row = dict[str, str]
"""A solution, as `results.csv` has it."""
_Options = TypeVar("_Options", bound="PaperOptions")


@dataclasses.dataclass(frozen=True)
class PaperOptions:
    """What is measured, on what, and where the results go.

    Attributes:
        output: Folder of the results; the same command goes on with what it holds.
        data: Folder of pictures of high resolution, aligned as the generator's are: the truths.
        generator: Generator folder; the embedded one by default.
        factors: How many pixels of a picture become one of an input, along each side, with commas between them; the
            first is that of the figures.
        count: Pictures of the tables, from the first on.
        few: Pictures of what takes many searches of each.
        restarts: Searches of an input where many solutions of it are wanted.
        shown: Pictures on the sheets.
        steps: Steps of a search at most; each preset's own by default.
        seed: What starts and disturbances are drawn from.
        niqe_model: Model of NIQE, as `pulse-jax evaluate --niqe-model` takes it.
        inception: pytorch-fid's network for FID.
        perceptual: Network of LPIPS that `pulse-jax convert --perceptual` wrote.
    """

    output: Path
    data: Path = HELDOUT / "report"
    generator: Path | None = None
    factors: str = "8,16"
    count: int = 25
    few: int = 6
    restarts: int = 4
    shown: int = 3
    steps: int | None = None
    seed: int = 0
    niqe_model: Path | None = None
    inception: Path | None = None
    perceptual: Path | None = None

    @property
    def factor_numbers(self) -> list[int]:
        """The factors as numbers.

        Raises:
            UsageError: One is no whole number.
        """
        try:
            return [*dict.fromkeys(int(word) for word in self.factors.split(","))]
        except ValueError:
            raise UsageError(f"--factors: expected whole numbers, 8,16, got {printable(self.factors)}") from None


class Evaluation:
    """What an evaluation came to, read from its folder.

    Args:
        folder: Its folder.
        cases: Its cases.
    """

    def __init__(self, folder: Path, cases: Sequence[Case]) -> None:
        self.folder = folder
        self.cases = [*cases]
        self._results: Any = parse_json((folder / "results.json").read_bytes())
        with open(folder / "results.csv", newline="", encoding="utf-8") as file:
            self._rows: list[Row] = [*csv.DictReader(file)]

    def case(self, factor: int, degradation: str = "bicubic") -> Case:
        """Return the case of a factor and a chain."""
        return next(case for case in self.cases if (case.factor, case.degradation) == (factor, degradation))

    def number(self, case: Case, preset: str, name: str) -> Estimate | None:
        """Return a measure of a preset's best solutions; None where there is none."""
        found = next(one for one in self._results["cases"] if one["name"] == case.name)
        return found["presets"][preset]["numbers"].get(name)

    def why(self, name: str) -> str:
        """Return why a measure is missing."""
        return self._results["missing"].get(name, "undefined for these pictures")

    def rows(self, case: Case, preset: str) -> list[Row]:
        """Return a row for each solution, each picture's best one first."""
        return [row for row in self._rows if (row["case"], row["preset"]) == (case.name, preset)]

    def best(self, case: Case, preset: str) -> list[Row]:
        """Return the row of each picture's best solution."""
        return [row for row in self.rows(case, preset) if row["place"] == "1"]

    def pictures(self) -> list[str]:
        """Return the names of the pictures."""
        return [*dict.fromkeys(row["picture"] for row in self._rows)]

    def image(self, row: Row) -> np.ndarray:
        """Return a row's solution (h, w, 3) in [0, 1]."""
        return read_image(self.folder / row["image"]).pixels

    def truth(self, picture: str) -> np.ndarray:
        """Return a true picture (h, w, 3) in [0, 1]."""
        return read_image(self.folder / TRUTHS / f"{picture}.png").pixels

    def given(self, case: Case, picture: str) -> np.ndarray:
        """Return the input that searches were given of a picture."""
        return read_image(input_file(self.folder, case, picture)).pixels

    def clean(self, case: Case, picture: str) -> np.ndarray:
        """Return what a picture merely downscales to."""
        return clean_of(self.truth(picture), case)


def evaluated(
    options: PaperOptions,
    name: str,
    *,
    presets: Sequence[str],
    factors: Sequence[int],
    degradations: Sequence[str] = ("bicubic",),
    count: int,
    restarts: int = 1,
) -> Evaluation:
    """Evaluate presets by the command, or go on with what it has done, and return what it came to.

    Args:
        options: The program's options.
        name: Sub-folder of the output.
        presets: Presets that are compared; others are tested against the first.
        factors: Factors.
        degradations: What becomes of pictures.
        count: How many pictures are taken.
        restarts: Searches of an input.

    Raises:
        SystemExit: The command failed, and has said why.
    """
    folder = options.output / name
    words: list[Any] = ["evaluate", "--data", options.data, "--output", folder, "--count", count]
    words += ["--presets", ",".join(presets), "--factors", ",".join(map(str, factors)), "--restarts", restarts]
    words += ["--seed", options.seed, "--degradations", *degradations]
    for flag in ("generator", "steps", "niqe_model", "inception", "perceptual"):
        if (value := getattr(options, flag)) is not None:
            words += [f"--{flag.replace('_', '-')}", value]
    code = pulse_jax_program([str(word) for word in words])
    # Pictures that cannot be used have been told, and the others are measured.
    if code == 1 and (folder / "results.json").is_file():
        summary: Any = parse_json((folder / "summary.json").read_bytes())
        code = 0 if summary["finished"] and summary["failed"] else code
    if code:
        raise SystemExit(code)
    return Evaluation(folder, cases_of(factors, degradations))


def named_data(path: Path) -> str:
    """Return what a report calls the folder of pictures."""
    return "examples/heldout/report (rendered heads)" if path == HELDOUT / "report" else str(path)


def niqe_lacks(options: PaperOptions, size: int) -> str:
    """Return why there is no NIQE of pictures of a size; nothing where there is."""
    if size < SMALLEST_SIDE:
        return f"undefined at {size}×{size}: it needs {SMALLEST_SIDE} pixels"
    return "not measured: needs --niqe-model" if options.niqe_model is None else ""


def niqe_of_truths(options: PaperOptions, evaluation: Evaluation) -> float:
    """Return the mean NIQE of an evaluation's true pictures, where `niqe_lacks` nothing."""
    assert options.niqe_model is not None
    model = read_niqe_model(options.niqe_model)
    return float(np.mean([niqe(evaluation.truth(picture), model) for picture in evaluation.pictures()]))


def values(rows: Sequence[Row], name: str) -> np.ndarray:
    """Return the numbers of rows; nan where there is none."""
    return np.array([float(row.get(name) or "nan") for row in rows])


def told(estimate: Estimate | None, form: str = ".3g", missing: str = "–") -> str:
    """Return a mean with its interval as text."""
    if estimate is None or not math.isfinite(estimate["mean"]):
        return missing
    low, high = estimate.get("low"), estimate.get("high")
    interval = "" if low is None or high is None else f" [{low:{form}}, {high:{form}}]"
    return f"{estimate['mean']:{form}}{interval}"


def run_program(main: Callable[[_Options], None], options: _Options) -> None:
    """Run a program; what it cannot use is told in one line.

    Raises:
        SystemExit: Something cannot be used.
    """
    try:
        main(options)
    except (RunError, UsageError) as error:
        raise SystemExit(str(error)) from error
