"""The command `study analyse`: what raters think of each method."""

import json
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from pulse_jax.cli.options.study import StudyAnalyse
from pulse_jax.reports.opinion_tables import methods_csv, opinion_tables, opinions_markdown, ratings_csv
from pulse_jax.reports.opinions import LEVEL, RESAMPLES, compare_pairs, mean_opinions
from pulse_jax.reports.tables import print_table
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.formats import FORMAT, FailureRecord
from pulse_jax.runs.study_files import MAX_RATERS, SavedRatings, opinions_of, read_key, read_ratings
from pulse_jax.runs.study_formats import KeyFile, RaterRecord
from pulse_jax.system.devices import versions
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_study_analyse"]

_FILES = ("study.json", "study.md", "study.csv", "ratings.csv")
# Raters that are told by their names.
_NAMED = 10


def run_study_analyse(options: StudyAnalyse, screen: Screen) -> int:
    """Read what raters have saved, show what it comes to, and write it whole or not at all.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if some file could not be used.

    Raises:
        UsageError: The output folder cannot be used, or there are too many files.
        RunError: The key, or every file, cannot be used, or writing failed.
    """
    paths = [*{os.path.abspath(path): path for path in options.files}.values()]
    if len(paths) > MAX_RATERS:
        raise UsageError(f"{len(paths)} files; at most {MAX_RATERS} are analysed")
    folder = None
    if options.output is not None:
        folder = RunFolder(options.output, overwrite=options.overwrite)
        for path in (options.key, *paths):
            check_output_apart(options.output, (), path)
    key = read_key(options.key)
    found, failed = _read_all(paths, key)
    if not found:
        raise RunError(f"no file can be used; {failed[0]['input']}: {failed[0]['message']}")
    opinions = opinions_of(key, [saved for _, saved in found])
    methods = mean_opinions(opinions, seed=options.seed)
    pairs = compare_pairs(opinions, [one.method for one in methods if one.ratings])
    tables = opinion_tables(methods, pairs)
    if folder is not None:
        report: dict[str, Any] = {
            "format": FORMAT,
            "study": key["study"],
            "pictures": len(key["pictures"]),
            "level": LEVEL,
            "resamples": RESAMPLES,
            "seed": options.seed,
            "methods": [asdict(one) for one in methods],
            "pairs": [asdict(one) for one in pairs],
            "raters": [_rater(number, *one) for number, one in enumerate(found, 1)],
        }
        texts = {
            "study.json": json.dumps(report, indent=1, allow_nan=False) + "\n",
            "study.md": opinions_markdown(tables),
            "study.csv": methods_csv(methods),
            "ratings.csv": ratings_csv(opinions),
        }
        summary = {
            "command": "study analyse",
            "key": str(options.key.absolute()),
            "versions": {**versions(), "scipy": metadata.version("scipy")},
            "failed": failed,
        }
        with folder.write_once(_FILES, summary) as part:
            for name, text in texts.items():
                (part / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    for number, table in enumerate(tables):
        if number:
            screen.result("")
        print_table(table.title, table.columns, table.rows, words=table.words)
    _tell(found, key, screen)
    if pairs:
        screen.note("The tests take ratings as independent, which those of one rater are not: p-values are too small.")
    if options.output is not None:
        screen.result(f"All of it, and every rating, in {printable(options.output)}", "bold")
    if failed:
        screen.error(f"{len(failed)} of {len(paths)} files could not be used:")
        for one in failed:
            screen.error(f"  {one['input']}: {one['message']}")
    return 1 if failed else 0


def _read_all(paths: Sequence[Path], key: KeyFile) -> tuple[list[tuple[Path, SavedRatings]], list[FailureRecord]]:
    """The files that can be used, of one rater each, and what is wrong with the others."""
    found: dict[str, tuple[Path, SavedRatings]] = {}
    failed: list[FailureRecord] = []
    for path in paths:
        try:
            saved = read_ratings(path, key)
        except ValueError as error:
            failed.append({"input": printable(path), "message": str(error)})
            continue
        word = unicodedata.normalize("NFC", saved.rater)
        if word in found:
            told = f"the same rater, {printable(word, 40)}, as {printable(found[word][0])}"
            failed.append(
                {"input": printable(path), "message": f"{told}; leave one out, or change the word in the file"}
            )
        else:
            found[word] = path, saved
    return [*found.values()], failed


def _rater(number: int, path: Path, saved: SavedRatings) -> RaterRecord:
    return {"number": number, "file": str(path.absolute()), "rater": saved.rater, "ratings": len(saved.scores)}


def _tell(found: Sequence[tuple[Path, SavedRatings]], key: KeyFile, screen: Screen) -> None:
    pictures = len(key["pictures"])
    screen.note(f"{len(found)} rater{'' if len(found) == 1 else 's'}, {pictures} pictures")
    if len(found) == 1:
        screen.note("Of one rater, intervals cover inputs alone: what others would say is not known.", "yellow")
    partial = [
        f"{printable(saved.rater, 40)} {len(saved.scores)}" for _, saved in found if len(saved.scores) < pictures
    ]
    if partial:
        more = f" and {len(partial) - _NAMED} more" if len(partial) > _NAMED else ""
        screen.note(f"Not all pictures were rated by: {', '.join(partial[:_NAMED])}{more}")
