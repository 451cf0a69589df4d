"""The command `evaluate`: presets side by side on pictures whose truth is known, as tables, files and a page.

Every preset is a run of `upsample` in the folder `runs`, which can be killed and goes on; what is measured of its
solutions is kept beside it. So the same command goes on where it was, and one that names more presets adds them.
"""

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulse_jax.cli import generators
from pulse_jax.cli.options.evaluate import Evaluate
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.settings import given_config
from pulse_jax.cli.upsample import run_upsample
from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.cases import Case, cases_of
from pulse_jax.images.files import ImageError
from pulse_jax.reports.evaluation import COLUMNS, CaseResult, GroupResult, by_group, case_result, grouped
from pulse_jax.reports.evaluation_tables import (
    Table,
    case_table,
    group_tables,
    latex_tables,
    markdown_tables,
    missing_lines,
)
from pulse_jax.reports.measures import Weights
from pulse_jax.reports.niqe import read_niqe_model
from pulse_jax.reports.tables import print_table
from pulse_jax.runs.attributes import read_attributes
from pulse_jax.runs.evaluation_inputs import INPUTS, made_inputs, picture_of
from pulse_jax.runs.evaluation_page import Evaluated, evaluation_page
from pulse_jax.runs.evaluation_rows import EvaluatedRun, Judge
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.formats import InputRecord
from pulse_jax.runs.inputs import find_inputs, report_failures, result_names
from pulse_jax.runs.ledger import Ledger
from pulse_jax.runs.names import EVALUATION_FILES, REPORT_PAGE
from pulse_jax.runs.records import read_record
from pulse_jax.runs.summary_file import read_summary
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.presets import INTERPOLATIONS, PERCEPTUAL, PRESETS
from pulse_jax.search.requirements import admissible_sizes
from pulse_jax.system import devices
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import duration, printable

__all__ = ["run_evaluate"]

_RUNS, _MEASURES = "runs", "measures"
# What fits beside a preset's name on a terminal; files have all.
_PRINTED = (
    "feasible", "downscaling_error", "clean_error", "psnr", "ssim", "lpips", "niqe", "plausibility", "diversity",
    "evaluations",
)  # fmt: skip


@dataclass(frozen=True)
class _Planned:
    """A run that is to be made: of a preset, on one case or all."""

    name: str
    preset: str
    options: Upsample
    config: UpsamplingConfig


def run_evaluate(options: Evaluate, screen: Screen) -> int:
    """Make the inputs, run every preset, measure its solutions and write the results.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if some picture could not be used, 128 plus the signal's number if one ended a search.

    Raises:
        UsageError: A setting is out of range or the output folder cannot be used.
        RunError: A generator, network or file cannot be used, or writing failed.
    """
    began = time.monotonic()
    generator = generators.with_label(generators.open_generator(options.generator), options.label)
    weights = _weights(options)
    cases = _cases(options, generator.resolution)
    planned = _planned(options, generator, cases, screen)
    attributes = None if options.attributes is None else read_attributes(options.attributes)
    folder = RunFolder(options.output, overwrite=options.overwrite, resumes=True)
    for source in (options.attributes, options.perceptual, options.inception, options.niqe_model):
        check_output_apart(options.output, options.data, source)
    found, failures = find_inputs(options.data, options.output, recursive=options.recursive)
    found = found[: options.count]
    if not found:
        report_failures(failures, len(failures), screen)
        return 1
    total = len(found) + len(failures)
    settings = _settings(options, generators.generator_record(generator, options.generator)["sha256"])
    summary: dict[str, Any] = {
        "command": "evaluate",
        "finished": False,
        "presets": list(options.preset_names),
        "cases": [{"name": c.name, "factor": c.factor, "degradation": c.degradation} for c in cases],
        "generator": generators.generator_record(generator, options.generator),
        "versions": devices.versions(),
        "device": devices.device_summary(),
        "settings": settings,
        "failed": [],
    }
    folder.begin(EVALUATION_FILES, summary, settings)
    try:
        with Count(screen, "making inputs") as count:
            pictures, unusable = made_inputs(
                options.output, result_names(found), cases, generator.resolution, options.seed, count.update
            )
        failures = [*failures, *unusable]
        if not pictures:
            folder.discard()
            report_failures(failures, total, screen)
            return 1
        for one in planned:
            screen.result(f"{one.name}:", "bold")
            # Inputs that fail here are this program's own; what went wrong has been told.
            if (code := run_upsample(one.options, screen)) not in (0, 1):
                return code
        evaluated = _evaluated(options, generator, weights, cases, planned, pictures, attributes, screen)
        summary["failed"] = [{"input": failure.source, "message": failure.message} for failure in failures]
        summary["finished"] = True
        _write(options, folder, summary, evaluated, failures)
    except OSError as error:
        raise folder.unwritable(error) from error
    finally:
        folder.close()
    _tell(options, evaluated, screen, time.monotonic() - began)
    report_failures(failures, total, screen)
    return 1 if failures else 0


def _weights(options: Evaluate) -> Weights:
    import convert  # here, because the package of converters imports this one

    try:
        return Weights(
            niqe_model=None if options.niqe_model is None else read_niqe_model(options.niqe_model),
            perceptual=None if options.perceptual is None else convert.read_perceptual(options.perceptual),
            inception=None if options.inception is None else convert.read_inception(options.inception),
        )
    except (convert.CheckpointError, ValueError) as error:
        raise RunError(printable(error, 600)) from error


def _cases(options: Evaluate, size: int) -> list[Case]:
    factors = options.factor_numbers or (min(32, max(2, size // 8)),)
    try:
        return cases_of(factors, options.degradations)
    except ValueError as error:
        raise UsageError(f"--degradations: {error}") from error


def _planned(options: Evaluate, generator: Generator, cases: Sequence[Case], screen: Screen) -> list[_Planned]:
    """The runs, whose settings and needs are checked before anything is begun."""
    planned = []
    for preset in options.preset_names:
        for name, folders, degradation in _inputs_of_runs(options, preset, cases):
            one = _upsample(options, preset, name, folders, degradation)
            one.check()
            config = given_config(one)
            if isinstance(config, SearchConfig):
                generators.with_fit(generator, options.generator, config, options.label, screen)
            for case in cases:
                sizes = admissible_sizes(generator.resolution, config)
                if generator.resolution % case.factor or generator.resolution // case.factor not in sizes:
                    known = ", ".join(str(generator.resolution // size) for size in reversed(sizes))
                    raise UsageError(f"--factors: {preset} takes one of {known}, got {case.factor}")
            planned.append(_Planned(name, preset, one, config))
    return planned


def _inputs_of_runs(
    options: Evaluate, preset: str, cases: Sequence[Case]
) -> Iterator[tuple[str, list[Path], str | None]]:
    """The runs of a preset: one for all cases, or one for each where searches are told what became of the pictures."""
    home = options.output / INPUTS
    if not options.known or preset in INTERPOLATIONS:
        yield preset, [home / case.name for case in cases], None
        return
    for case in cases:
        try:
            yield f"{preset}-{case.name}", [home / case.name], case.known
        except ValueError as error:
            raise UsageError(f"--degradations: {error}") from error


def _upsample(options: Evaluate, preset: str, name: str, folders: Sequence[Path], degradation: str | None) -> Upsample:
    searches = preset not in INTERPOLATIONS
    steps = PRESETS[preset]().steps if searches else None
    given: dict[str, Any] = {
        "restarts": options.restarts,
        "degradation": degradation,
        "steps": min(steps, options.steps) if steps is not None and options.steps is not None else None,
        "lanes": options.lanes or "auto",
    }
    return Upsample(
        inputs=tuple(folders),
        output=options.output / _RUNS / name,
        preset=preset,
        generator=options.generator,
        label=options.label,
        seed=options.seed,
        eps=options.eps,
        perceptual=options.perceptual if preset in PERCEPTUAL else None,
        no_sheets=True,
        overwrite=options.overwrite,
        quiet=options.quiet,
        device=options.device,
        **(given if searches else {}),
    )


def _settings(options: Evaluate, generator: str) -> dict[str, Any]:
    """What must be the same for an evaluation to go on; presets, factors and degradations may be more or other ones."""
    plain = {name: getattr(options, name) for name in ("label", "known", "restarts", "seed", "steps", "eps")}
    return {**plain, "generator": generator}


def _evaluated(
    options: Evaluate,
    generator: Generator,
    weights: Weights,
    cases: Sequence[Case],
    planned: Sequence[_Planned],
    pictures: Sequence[str],
    attributes: Mapping[str, Mapping[str, str]] | None,
    screen: Screen,
) -> Evaluated:
    """Measures what is not measured yet, and sums all up."""
    by_name = {case.name: case for case in cases}
    files = {name: getattr(options, name) for name in ("niqe_model", "perceptual", "inception")}
    brought = {name: None if file is None else sha256_of(file) for name, file in files.items()}
    wanted = {*pictures}
    rows: list[dict[str, Any]] = []
    why: dict[str, str] = {}
    sets: dict[tuple[str, str], dict[str, float | None]] = {}
    for one in planned:
        # A file for each run: those of other runs stay as they are.
        ledger = Ledger(options.output / _MEASURES / f"{one.name}.jsonl", brought)
        judge = Judge(options.output, generator, by_name, weights, attributes is not None, ledger)
        run = EvaluatedRun(options.output / _RUNS / one.name, one.preset, one.config)
        best: dict[str, list[dict[str, Any]]] = {name: [] for name in by_name}
        records = [*_records(run.path, by_name, wanted)]
        with Count(screen, f"measuring {one.name}") as count:
            for done, record in enumerate(records):
                count.update(done, len(records))
                found = judge.of_input(run, record)
                rows += found["rows"]
                why |= found["why"]
                best[found["rows"][0]["case"]].append(found["rows"][0])
            for name, some in best.items():
                if some:
                    found = judge.of_set(run, by_name[name], some)
                    sets[one.preset, name] = found["values"]
                    why |= found["why"]
            count.update(len(records), len(records))
    results = [_of_case(case, options.preset_names, rows, sets) for case in cases]
    found_columns = {name for case in results for one in case["presets"].values() for name in one["numbers"]}
    missing = {name: reason for name, reason in why.items() if name not in found_columns}
    groups = [] if attributes is None else [*_groups(attributes, options.preset_names, rows)]
    if attributes is not None and not groups:
        raise RunError(
            f"{printable(options.attributes)}: names none of the pictures; its first column must hold their names, "
            f"{printable(pictures[0])} for instance"
        )
    runs = {one.name: EvaluatedRun(options.output / _RUNS / one.name, one.preset, one.config) for one in planned}
    return Evaluated(options.output, results, groups, rows, missing, tuple(runs.values()), by_name)


def _records(run: Path, cases: Mapping[str, Case], pictures: set[str]) -> Iterator[InputRecord]:
    """The records of a run's finished inputs that are of these cases and pictures."""
    summary = read_summary(run)
    if summary is None:
        raise RunError(f"{printable(run)}: its summary.json is missing or damaged; give the command again")
    for entry in summary.get("inputs", []):
        picture, case = picture_of(Path(entry["input"]))
        if case in cases and picture in pictures:
            record = read_record(run, Path(entry["solved"]).parent.name)
            if record is not None:
                yield record


def _of_case(
    case: Case,
    presets: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    sets: Mapping[tuple[str, str], Mapping[str, float | None]],
) -> CaseResult:
    best = {
        preset: [row for row in rows if row["preset"] == preset and row["case"] == case.name and row["place"] == 1]
        for preset in presets
    }
    found = {preset: some for preset, some in best.items() if some}
    if not found:
        raise RunError(f"{case.name}: no preset has a solution; give the command again")
    of_sets = {preset: sets.get((preset, case.name), {}) for preset in found}
    return case_result(case.name, case.factor, case.degradation, found, of_sets)


def _groups(
    attributes: Mapping[str, Mapping[str, str]], presets: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> Iterator[GroupResult]:
    """By each attribute and preset, over all cases; of pictures that attributes are known of."""
    pictures = {row["picture"] for row in rows}
    for attribute, values in attributes.items():
        groups = grouped({picture: value for picture, value in values.items() if picture in pictures})
        for preset in presets:
            best = [row for row in rows if row["preset"] == preset and row["place"] == 1]
            if groups:
                yield by_group(attribute, preset, best, groups)


def _write(
    options: Evaluate, folder: RunFolder, summary: dict[str, Any], evaluated: Evaluated, failures: Sequence[ImageError]
) -> None:
    """All files of the results, together."""
    tables = [*map(case_table, evaluated.cases), *group_tables(evaluated.groups)]
    results = {
        "settings": summary["settings"],
        "device": summary["device"],
        "versions": summary["versions"],
        "cases": evaluated.cases,
        "groups": evaluated.groups,
        "missing": evaluated.missing,
    }
    with folder.publish() as part:
        (part / "results.json").write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (part / "results.csv").write_text(_csv(evaluated.rows), encoding="utf-8")
        (part / "results.md").write_text(_markdown(tables, evaluated), encoding="utf-8")
        (part / "results.tex").write_text(latex_tables(tables), encoding="utf-8")
        evaluation_page(part / REPORT_PAGE, evaluated, tables, summary, failures, eps=options.eps)
    folder.update(summary)


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """A line for each solution."""
    head = ["case", "picture", "preset", "place", "restart", "image", "feasible", "status", "steps"]
    numbers = dict.fromkeys(column.name for column in COLUMNS if not column.of_set and column.name not in head)
    rows = list(rows)
    present = [name for name in (*numbers, "true_ita") if any(row.get(name) is not None for row in rows)]
    file = io.StringIO()
    writer = csv.DictWriter(file, [*head, *present], extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return file.getvalue()


def _markdown(tables: Sequence[Table], evaluated: Evaluated) -> str:
    told = "".join(f"- {line}\n" for line in missing_lines(evaluated.missing))
    missing = f"\nNot measured:\n\n{told}" if told else ""
    return f"# Evaluation\n\n{markdown_tables(tables)}{missing}"


def _tell(options: Evaluate, evaluated: Evaluated, screen: Screen, seconds: float) -> None:
    labels = {column.name: column.label for column in COLUMNS}
    for case in evaluated.cases:
        table = case_table(case)
        places = [0] + [table.columns.index(labels[n]) for n in _PRINTED if labels[n] in table.columns]
        rows = [
            [([name] + [cell.mean + cell.mark for cell in cells])[place] for place in places]
            for name, cells in table.rows
        ]
        print_table(table.title, [table.columns[place] for place in places], rows)
    for line in missing_lines(evaluated.missing):
        screen.note(f"not measured: {line}")
    screen.result(
        f"Look at {printable(options.output / REPORT_PAGE)}; all numbers with their intervals: results.md, .tex, .json "
        f"and .csv ({duration(seconds)})",
        "bold",
    )
