"""Searches with settings that no preset has, of an evaluation's inputs, measured as an evaluation measures and kept."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from examples.papers.evaluated import Evaluation
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.cases import Case
from pulse_jax.images.files import read_image, save_png
from pulse_jax.reports.latent_norms import relative_norms
from pulse_jax.reports.measures import PICTURE_MEASURES, PictureCase, Weights, measured
from pulse_jax.runs.ledger import Ledger
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Problem, Solution

__all__ = ["Searched", "Variant", "searched"]

_MEASURES = ("downscaling_error", "psnr", "ssim")


@dataclasses.dataclass(frozen=True)
class Variant:
    """Settings and what they are called: `name` in files, `title` in tables."""

    name: str
    title: str
    config: SearchConfig


@dataclasses.dataclass(frozen=True)
class Searched:
    """What was found with a variant: a row for each picture and restart, in their order, and the pictures' files."""

    variant: Variant
    rows: Sequence[dict[str, Any]]
    files: Sequence[Path]

    def mean(self, name: str) -> float:
        """Return the mean of a number over all rows; nan where some row has none."""
        return float(np.mean([np.nan if row.get(name) is None else row[name] for row in self.rows]))

    def image(self, number: int) -> np.ndarray:
        """Return a row's solution (h, w, 3) in [0, 1]."""
        return read_image(self.files[number]).pixels


def searched(
    folder: Path,
    generator: Generator,
    evaluation: Evaluation,
    case: Case,
    variants: Sequence[Variant],
    pictures: Sequence[str],
    *,
    identity: str,
    seed: int,
    restarts: int = 1,
) -> list[Searched]:
    """Search with every variant what is not searched yet, and return what was found.

    Args:
        folder: Folder for pictures and what was measured.
        generator: Generator to search.
        evaluation: Evaluation whose inputs are searched.
        case: Its case.
        variants: Settings.
        pictures: Names of pictures.
        identity: Hash of the generator; searches of others are made anew.
        seed: What starts are drawn from.
        restarts: Searches of an input.
    """
    found = []
    for variant in variants:
        ledger = Ledger(
            folder / f"{variant.name}.jsonl",
            {"generator": identity, "seed": seed, "config": dataclasses.asdict(variant.config)},
        )
        keys = {(p, k): folder / variant.name / f"{p}_{case.name}_{k}.png" for p in pictures for k in range(restarts)}
        digests = {p: hashlib.sha256(evaluation.given(case, p).tobytes()).hexdigest() for p in pictures}
        missing = {
            p for (p, k), file in keys.items() if not file.is_file() or ledger.get(_key(case, p, k), digests[p]) is None
        }
        order = [p for p in pictures if p in missing]
        (folder / variant.name).mkdir(parents=True, exist_ok=True)
        problems = [
            Problem(low_res=evaluation.given(case, p), index=i, restarts=restarts, seed=seed)
            for i, p in enumerate(order)
        ]
        if problems:
            print(f"{variant.title}: {len(problems)} inputs, {restarts} searches each", flush=True)
            for solution in solve_stream(problems, generator, config=variant.config):
                picture = order[solution.index]
                save_png(keys[picture, solution.restart], solution.image)
                row = _measured(generator, evaluation, case, picture, solution)
                ledger.add(_key(case, picture, solution.restart), digests[picture], row)
        rows = [ledger[_key(case, p, k)] for p, k in keys]
        found.append(Searched(variant, rows, [*keys.values()]))
    return found


def _key(case: Case, picture: str, restart: int) -> str:
    return f"{case.name}/{picture}/{restart}"


def _measured(
    generator: Generator, evaluation: Evaluation, case: Case, picture: str, solution: Solution
) -> dict[str, Any]:
    truth, low_res = evaluation.truth(picture), evaluation.given(case, picture)
    one = PictureCase(solution.image, low_res, Bicubic(case.factor), truth)
    norms = relative_norms(generator, solution.w[None])
    rows = np.asarray(solution.w, np.float64)
    numbers = {
        "rows_apart": float(np.sqrt(np.mean(np.square(rows - rows.mean(axis=0))))),
        **{m.name: measured(m, one, Weights()).value for m in PICTURE_MEASURES if m.name in _MEASURES},
        **{name: float(some[0]) for name, some in norms.items()},
    }
    known = {name: value if value is not None and np.isfinite(value) else None for name, value in numbers.items()}
    return {"feasible": bool(solution.feasible), **known}
