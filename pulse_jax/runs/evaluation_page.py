"""The page of an evaluation, `report.html`: its tables, plots, and every input with the solutions of all presets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulse_jax.images.degradations.cases import Case
from pulse_jax.images.files import ImageError
from pulse_jax.reports.evaluation import COLUMNS, CaseResult, Column, GroupResult
from pulse_jax.reports.evaluation_tables import Table, html_tables, missing_lines
from pulse_jax.reports.gallery import GalleryHead, GalleryItem, GallerySolution, passing
from pulse_jax.reports.interval_plot import Interval, interval_plot
from pulse_jax.runs.evaluation_inputs import TRUTHS, input_file
from pulse_jax.runs.evaluation_rows import EvaluatedRun
from pulse_jax.runs.formats import InputRecord
from pulse_jax.runs.records import read_record
from pulse_jax.runs.run_page import IMAGINED, gallery_solution
from pulse_jax.search.presets import INTERPOLATIONS
from pulse_jax.system.errors import RunError
from pulse_jax.system.text import printable

__all__ = ["Evaluated", "evaluation_page"]

_PLOTTED = (
    "feasible", "downscaling_error", "clean_error", "psnr", "ssim", "lpips", "niqe", "plausibility", "diversity",
    "norm_flow", "evaluations",
)  # fmt: skip
# Presets that a headline names.
_NAMED = 4
# What is told of a solution beside its own entry.
_TOLD = ("clean_error", "psnr", "ssim", "lpips", "niqe", "norm_flow", "skin_lightness")


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation has come to.

    Attributes:
        output: Its folder.
        cases: Results by cases and presets.
        groups: The same by groups.
        rows: A row for each solution.
        missing: Why measures are missing, by their names.
        runs: The runs.
        by_name: The cases by their names.
    """

    output: Path
    cases: Sequence[CaseResult]
    groups: Sequence[GroupResult]
    rows: Sequence[Mapping[str, Any]]
    missing: Mapping[str, str]
    runs: Sequence[EvaluatedRun]
    by_name: Mapping[str, Case]


def evaluation_page(
    file: Path,
    evaluated: Evaluated,
    tables: Sequence[Table],
    summary: Mapping[str, Any],
    failures: Sequence[ImageError],
    *,
    eps: float,
) -> None:
    """Write the page.

    Args:
        file: The file; its links are relative to the evaluation's folder.
        evaluated: What it shows.
        tables: The tables above the pictures.
        summary: The evaluation's summary.
        failures: What is wrong with pictures that could not be used.
        eps: Largest error that counts as feasible.

    Raises:
        RunError: A record is damaged.
        OSError: The disk is full or the like.
    """
    presets = [*dict.fromkeys(run.preset for run in evaluated.runs)]
    searched = [preset for preset in presets if preset not in INTERPOLATIONS]
    best = [row for row in evaluated.rows if row["place"] == 1]
    pictures = {row["picture"] for row in best}
    feasible = sum(row["feasible"] for row in best)
    named = ", ".join(presets) if len(presets) <= _NAMED else f"{len(presets)} presets"
    generator = summary["generator"]
    settings = summary["settings"]
    facts = [
        ("Generator", f"{Path(generator['folder']).name}, sha256 {generator['sha256'][:16]}"),
        ("Seed", str(settings["seed"])),
        ("Searches of an input", str(settings["restarts"])),
        ("Searches assume", "the linear stages of what became of the pictures" if settings["known"] else "bicubic"),
        *((name, str(version)) for name, version in summary["versions"].items() if name in ("pulse_jax", "jax")),
        *(("Not measured", line) for line in missing_lines(evaluated.missing)),
    ]
    head = GalleryHead(
        title=f"{named} on {len(pictures):,} pictures",
        lead=f"A solution is feasible if, downscaled, it differs from its input by at most {eps:g} (mean squared error "
        "of [0, 1] pictures). Truths were not shown to the searches.",
        notice=IMAGINED if searched else "Plain enlargements, without a search.",
        eps=eps,
        stats=[
            ("Pictures", f"{len(pictures):,}"),
            ("Kinds of inputs", str(len(evaluated.cases))),
            ("Presets", str(len(presets))),
            ("Feasible", f"{feasible:,} of {len(best):,}"),
            ("Not usable", f"{len(failures):,}"),
        ],
        facts=[(name, printable(value)) for name, value in facts],
        failures=[(printable(Path(one.source).name), printable(one.message)) for one in failures],
        sections=_sections(evaluated, tables),
    )
    for _ in passing(file, head, ((None, item) for item in _items(evaluated))):
        pass


def _sections(evaluated: Evaluated, tables: Sequence[Table]) -> str:
    plots = "".join(_plot(column, evaluated.cases) for column in COLUMNS if column.name in _PLOTTED)
    return (
        f'<section aria-labelledby="results"><h2 id="results">Results</h2>{html_tables(tables)}</section>'
        f'<details><summary>The same as plots</summary><div class="plots">{plots}</div></details>'
    )


def _plot(column: Column, cases: Sequence[CaseResult]) -> str:
    groups = []
    for case in cases:
        found = ((preset, one["numbers"].get(column.name)) for preset, one in case["presets"].items())
        rows = [
            Interval(preset, one["mean"], one.get("low", one["mean"]), one.get("high", one["mean"]))
            for preset, one in found
            if one is not None
        ]
        if rows:
            title = f"{case['factor']}×" + (f", {case['degradation']}" if case["degradation"] != "bicubic" else "")
            groups.append((title, rows))
    if not groups:
        return ""
    direction = f" ({column.better} is better)" if column.better else ""
    return f"<figure><figcaption>{column.label}{direction}</figcaption>{interval_plot(column.label, groups)}</figure>"


def _items(evaluated: Evaluated) -> Iterator[GalleryItem]:
    """An item for each picture and case, with the solutions of all presets side by side."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in evaluated.rows:
        found.setdefault((row["case"], row["picture"]), []).append(row)
    for case in evaluated.by_name.values():
        for (name, picture), rows in found.items():
            if name == case.name:
                yield _item(evaluated.output, case, picture, rows)


def _item(output: Path, case: Case, picture: str, rows: Sequence[Mapping[str, Any]]) -> GalleryItem:
    records: dict[Path, InputRecord] = {}
    solutions: list[GallerySolution] = []
    for row in rows:
        folder = Path(row["image"]).parent
        if folder not in records:
            record = read_record(output / folder.parent, folder.name)
            if record is None:
                raise RunError(f"{printable(output / folder)}: is gone; give the command again")
            records[folder] = record
        record = records[folder]
        run = f"{folder.parent.as_posix()}/"
        solution = gallery_solution(record["solutions"][row["place"] - 1], run)
        solution["preset"] = row["preset"]
        if row["preset"] not in INTERPOLATIONS:
            solution["latents"], solution["row"] = run + record["latents"], row["place"] - 1
        told = ((column.label, row.get(column.name)) for column in COLUMNS if column.name in _TOLD)
        solution["measures"] = [(label, f"{value:.4g}") for label, value in told if value is not None]
        solutions.append(solution)
    return {
        "title": printable(picture),
        "notes": [],
        "size": next(iter(records.values()))["size"],
        "solved": input_file(output, case, picture).relative_to(output).as_posix(),
        "original": f"{TRUTHS}/{picture}.png",
        "group": case.title,
        "sheet": None,
        "solutions": solutions,
    }
