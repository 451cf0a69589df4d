"""What is found of solutions whose truth is known: rows of numbers, read off the files of runs."""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.cases import Case
from pulse_jax.images.errors import ImageError
from pulse_jax.images.files import read_image
from pulse_jax.reports.latent_norms import relative_norms
from pulse_jax.reports.measures import (
    PICTURE_MEASURES,
    SET_MEASURES,
    PictureCase,
    SetCase,
    Weights,
    inception_rows,
    measured,
)
from pulse_jax.reports.metrics import pairwise_differences
from pulse_jax.reports.skin_tone import skin_tone
from pulse_jax.runs.evaluation_inputs import TRUTHS, PictureFiles, clean_of, picture_of
from pulse_jax.runs.formats import InputRecord
from pulse_jax.runs.ledger import Ledger
from pulse_jax.runs.records import record_bytes
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.degradation import degradation_of
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.errors import RunError
from pulse_jax.system.text import printable, reason_of

__all__ = ["EvaluatedRun", "Judge"]

_ARCHIVE_ERRORS = (OSError, ValueError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True)
class EvaluatedRun:
    """A run whose solutions are judged.

    Attributes:
        path: Its folder.
        preset: Its preset.
        config: Its settings.
    """

    path: Path
    preset: str
    config: UpsamplingConfig


@dataclass(frozen=True)
class Judge:
    """Measures solutions against their truths, each once: what is found is kept.

    Attributes:
        output: Folder of the evaluation, which `image` of rows is relative to.
        generator: Generator that was searched.
        cases: Ways in which inputs were made, by their names.
        weights: What the user brought for measures.
        with_tone: Whether skin tones are compared.
        ledger: Where rows are kept.
    """

    output: Path
    generator: Generator
    cases: Mapping[str, Case]
    weights: Weights
    with_tone: bool
    ledger: Ledger

    def of_input(self, run: EvaluatedRun, record: InputRecord) -> dict[str, Any]:
        """Return what is found of an input: `rows`, one for each solution, best first, and `why` by missing measures.

        Args:
            run: The run.
            record: The input's record.

        Raises:
            RunError: A file of the run is missing or damaged.
        """
        key = f"{run.path.name}/{Path(record['solved']).parent.name}"
        # Names of folders aside, the record says what was solved, and how.
        digest = hashlib.sha256(record_bytes(record) + bytes(self.with_tone)).hexdigest()
        known = self.ledger.get(key, digest)
        return known or self.ledger.add(key, digest, self._found(run, record))

    def _found(self, run: EvaluatedRun, record: InputRecord) -> dict[str, Any]:
        picture, name = picture_of(Path(record["input"]))
        case = self.cases[name]
        try:
            truth = read_image(self.output / TRUTHS / f"{picture}.png").pixels
            low_res = read_image(run.path / record["solved"] if record["notes"] else Path(record["input"])).pixels
            images = [read_image(run.path / entry["image"]).pixels for entry in record["solutions"]]
        except ImageError as error:
            raise RunError(f"{error}; remove its folder {printable(run.path)} and evaluate again") from error
        degradation = degradation_of(run.config, len(truth), len(low_res))
        clean = clean_of(truth, case) if case.is_disturbed else None
        norms, why = self._norms(run, record), dict[str, str]()
        rows: list[dict[str, Any]] = []
        for place, (entry, image) in enumerate(zip(record["solutions"], images, strict=True)):
            one = PictureCase(image, low_res, degradation, truth, clean)
            row: dict[str, Any] = {
                "case": case.name,
                "picture": picture,
                "preset": run.preset,
                "place": place + 1,
                "restart": entry["restart"],
                "image": (run.path / entry["image"]).relative_to(self.output).as_posix(),
                "feasible": entry["feasible"],
                "status": entry["status"],
                "steps": entry["steps"],
                "evaluations": entry["evaluations"] or None,
                "plausibility": entry.get("plausibility"),
                "diversity": None,
                **{prior: float(values[place]) for prior, values in norms.items()},
            }
            for measure in PICTURE_MEASURES:
                found = measured(measure, one, self.weights)
                row[measure.name] = found.value
                # Of a clean input there is no other one to be told of.
                if found.why and (case.is_disturbed or measure.name != "clean_error"):
                    why.setdefault(measure.name, found.why)
            if self.with_tone:
                row |= _tone(image, truth)
            rows.append({column: _finite(value) for column, value in row.items()})
        if len(images) > 1:
            unseen = degradation.unseen(np.stack(images))
            rows[0]["diversity"] = float(pairwise_differences(unseen).mean())
        return {"rows": rows, "why": why}

    def _norms(self, run: EvaluatedRun, record: InputRecord) -> dict[str, np.ndarray]:
        if not isinstance(run.config, SearchConfig):
            return {}
        file = run.path / record["latents"]
        try:
            with opened_arrays(file) as arrays:
                w = arrays["w"]
        except _ARCHIVE_ERRORS as error:
            raise RunError(f"{printable(file)}: damaged ({reason_of(error)}); remove its folder") from error
        return relative_norms(self.generator, w)

    def of_set(self, run: EvaluatedRun, case: Case, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what is found of all best solutions of a run and case: `values` by measures, `why` by missing ones.

        Args:
            run: The run.
            case: The case.
            rows: The best row of each input.
        """
        digest = hashlib.sha256(json.dumps([dict(row) for row in rows]).encode()).hexdigest()
        key = f"{run.path.name}//{case.name}"
        known = self.ledger.get(key, digest)
        return known or self.ledger.add(key, digest, self._of_set(rows))

    def _of_set(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        images = PictureFiles([self.output / row["image"] for row in rows])
        truths = PictureFiles([self.output / TRUTHS / f"{row['picture']}.png" for row in rows])
        network = self.weights.inception
        features = (None, None) if network is None else tuple(inception_rows(network, s) for s in (images, truths))
        found = {m.name: measured(m, SetCase(images, truths, *features), self.weights) for m in SET_MEASURES}
        return {
            "values": {name: one.value for name, one in found.items()},
            "why": {name: one.why for name, one in found.items() if one.why},
        }


def _tone(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    found, true = skin_tone(image), skin_tone(truth)
    return {
        "skin_lightness": found.lightness - true.lightness,
        "skin_ita": found.angle - true.angle,
        "true_ita": true.angle,
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity, which the PSNR of equal pictures is."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
