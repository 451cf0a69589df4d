"""Runs of `upsample` that are to be joined: reading their summaries, which may be strangers', and comparing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pulse_jax.runs.formats import (
    FailureRecord,
    GeneratorRecord,
    InputRecord,
    Settings,
    SolutionRecord,
    Speed,
    UpsampleSummary,
    VariationRecord,
)
from pulse_jax.runs.names import is_input_name, is_result
from pulse_jax.runs.records import SOLUTIONS_FILE, read_record
from pulse_jax.runs.shards import Shard
from pulse_jax.runs.summary_file import can_go_on, read_summary
from pulse_jax.system.checks import conforms
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.removal import is_plain_folder
from pulse_jax.system.text import differences, printable

__all__ = ["SourceRun", "check_alike", "have_same_results", "listed_name", "open_run"]

# What earlier versions' summaries may lack.
_OPTIONAL = {"replaced", "shard", "selfcheck", "perceptual", "init", "label"}
# What of an input's record says where, and by which options that decide nothing, it was solved.
_OF_THE_PROCESS = ("input", "notes", "sheet", "solutions")
# Files whose bytes say what was solved: archives hold the time of writing.
_COMPARED = (".png", ".webp", ".jpg")


@dataclass(frozen=True, eq=False)
class SourceRun:
    """A run that is to be joined with others.

    Attributes:
        path: Its folder.
        summary: Its summary.
        shard: Its shard; None of a whole run.
        files: Every file of each input's folder, also those to come, relative to the run; by the folders' names.
        listed: What results of all inputs are called that its command names, or names of their photographs.
        taken: Those of them that it was to solve.
    """

    path: Path
    summary: UpsampleSummary
    shard: Shard | None
    files: Mapping[str, Sequence[str]]
    listed: Sequence[str]
    taken: Sequence[str]

    def record(self, name: str) -> InputRecord | None:
        """Return the record of a finished input; None of another one.

        Raises:
            RunError: It is damaged.
        """
        if not is_plain_folder(self.path / name):
            return None
        record = read_record(self.path, name)
        if record is None:
            return None
        try:
            _check_record(record, name)
        except (KeyError, ValueError) as error:
            file = printable(self.path / name / SOLUTIONS_FILE)
            raise RunError(f"{file}: damaged; remove its folder and give the run's command again") from error
        return record


def _check_record(record: InputRecord, name: str) -> None:
    """Raises `KeyError` or `ValueError` where a record lacks something, or names files that are not the input's."""
    _check_keys(record, InputRecord)
    places = [record["solved"]]
    for solution in record["solutions"]:
        _check_keys(solution, SolutionRecord)
        places.append(solution["downscaled"])
        for variation in solution.get("variations", ()):
            _check_keys(variation, VariationRecord)
            places.append(variation["downscaled"])
    for place in places:
        folder, _, file = place.partition("/")
        if folder != name or not is_result(file):
            raise ValueError("a file of another folder")


def listed_name(name: str, settings: Mapping[str, Any]) -> str:
    """Return what an input is listed by.

    Args:
        name: Name of the input's folder; of a face, of its photograph and its number.
        settings: Settings of the run.
    """
    return name.rpartition("_")[0] if settings["align"] else name


def open_run(path: Path) -> SourceRun:
    """Return what is known of a run.

    Args:
        path: Its folder.

    Raises:
        UsageError: It is not the folder of a run of `upsample` that could go on.
        RunError: Its summary is damaged.
    """
    summary = read_summary(path) if path.is_dir() else None
    if summary is None or summary.get("command") != "upsample" or not can_go_on(summary):
        raise UsageError(
            f"{printable(path)}: not the folder of a run of upsample; name folders that upsample has written"
        )
    if "replaced" in summary:
        raise UsageError(f"{printable(path)}: is just replacing an earlier run; give its command again first")
    try:
        return _opened(path, summary)
    except (KeyError, ValueError) as error:
        raise RunError(f"{printable(path)}: its summary.json is damaged; give the run's command again") from error


def _opened(path: Path, summary: dict[str, Any]) -> SourceRun:
    """The same of a summary; raises `KeyError` or `ValueError` where it is none of a run."""
    if not conforms(summary, UpsampleSummary) or not conforms(summary["config"]["eps"], float):
        raise ValueError("not a summary")
    _check_keys(summary, UpsampleSummary)
    _check_keys(summary["speed"], Speed)
    _check_keys(summary["generator"], GeneratorRecord)
    for failure in summary["failed"]:
        _check_keys(failure, FailureRecord)
    files: dict[str, list[str]] = {}
    for file in summary["files"]:
        name, _, last = file.partition("/")
        if is_result(last) and is_input_name(name):
            files.setdefault(name, []).append(file)
    settings = summary["settings"]
    _check_keys(settings, Settings)
    shard = None if settings.get("shard") is None else Shard.parse(settings["shard"])
    if "shard" in summary:
        listed, taken = summary["shard"]["listed"], summary["shard"]["taken"]
    else:
        listed = taken = [*dict.fromkeys(listed_name(name, settings) for name in files)]
    return SourceRun(path, cast(UpsampleSummary, summary), shard, files, listed, taken)


def _check_keys(value: Mapping[str, Any], kind: Any) -> None:
    """Raises `KeyError` where an object that conforms to a type lacks some of its keys."""
    missing = kind.__required_keys__ - _OPTIONAL - value.keys()
    if missing:
        raise KeyError(*missing)


def check_alike(runs: Sequence[SourceRun]) -> None:
    """Raise `UsageError` where runs have other settings than the first, but for their shards."""
    first, *others = runs
    for other in others:
        settings = [{**run.summary["settings"], "shard": None} for run in (first, other)]
        if told := differences(settings[0], settings[1]):
            what = printable("; ".join(told), 600)
            raise UsageError(
                f"{printable(other.path)}: has other settings than {printable(first.path)} ({what}); "
                "only runs that differ in their shards can be joined"
            )


def have_same_results(name: str, one: SourceRun, other: SourceRun) -> bool:
    """Whether two runs have the same results of an input, to the bits of their pictures.

    Args:
        name: Name of the input's folder, in which both have finished it.
        one: A run.
        other: Another one with the same settings.

    Raises:
        UsageError: They have results of different pictures by this name.
        RunError: A record is damaged.
        OSError: A picture cannot be read.
    """
    records = one.record(name), other.record(name)
    assert records[0] is not None and records[1] is not None
    if records[0]["image_number"] != records[1]["image_number"]:
        raise UsageError(
            f"{printable(name)}: {printable(one.path)} and {printable(other.path)} have results of different pictures "
            "by this name; let all runs name the same inputs, or leave one of the two out"
        )
    if _told(records[0]) != _told(records[1]):
        return False
    pictures = [file for file in one.files[name] if file.endswith(_COMPARED) and not file.endswith("/sheet.png")]
    pairs = ([run.path / file for run in (one, other)] for file in pictures)
    # What was taken away, or is a link, is no part of a run's results.
    present = (pair for pair in pairs if all(place.is_file() and not place.is_symlink() for place in pair))
    return all(sha256_of(first) == sha256_of(second) for first, second in present)


def _told(record: InputRecord) -> tuple[Any, ...]:
    """What a record says of the results themselves."""
    solutions = [{**entry, "command": None} for entry in record["solutions"]]
    return {key: value for key, value in record.items() if key not in _OF_THE_PROCESS}, solutions
