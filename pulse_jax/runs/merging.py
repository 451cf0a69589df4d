"""Several runs of `upsample` with the same settings become one, as though one process had made them.

Only what runs call their files is taken from a run's folder, and no link in it is followed.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pulse_jax.images.files import save_png
from pulse_jax.runs.formats import FailureRecord, InputRecord, Speed
from pulse_jax.runs.names import ALIGNMENT_FILE, FACES_SHEET, KEPT, RUN_FILE, RUN_PAGE, RUN_SHEET, is_result
from pulse_jax.runs.photographs import joined_alignments, read_alignment
from pulse_jax.runs.records import SOLUTIONS_FILE, Tally, moved_command, read_record, record_bytes
from pulse_jax.runs.run_page import page_passing
from pulse_jax.runs.sheets import Look, inputs_shown, run_sheet, sheet_footer
from pulse_jax.runs.sources import SourceRun, have_same_results, listed_name
from pulse_jax.runs.summary_file import write_summary
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.removal import is_plain_folder, remove_tree
from pulse_jax.system.text import printable, reason_of

__all__ = ["Merged", "merge_runs"]

_KEPT_FILE = re.compile(r"[0-9a-f]{8}-[0-9]{5}\.npz")
# A file of options is short.
_MOST_OPTIONS = 2**20


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge came to.

    Attributes:
        tally: What all inputs come to.
        doubles: Names of inputs that were solved in several runs, with the same results.
        missing: Names of inputs, or of photographs, that were solved in none, though they could be used.
        shards: Numbers of the shards that no run was, where that is why some are missing.
        failed: What is wrong with inputs that could not be used.
    """

    tally: Tally
    doubles: Sequence[str]
    missing: Sequence[str]
    shards: Sequence[int]
    failed: Sequence[FailureRecord]


def merge_runs(runs: Sequence[SourceRun], output: Path) -> Merged:
    """Write the joined run, whole or not at all.

    Args:
        runs: The runs, alike in their settings; pictures are links to theirs where that can be, else copies.
        output: Folder to write, which must be empty or not exist.

    Returns:
        What it came to.

    Raises:
        UsageError: Two runs have other results of one input.
        RunError: Something in a run is damaged, or the folder cannot be written.
    """
    part = output.absolute().parent / f".{output.name:.80}.{secrets.token_hex(6)}.part"
    try:
        joint = _Joint(runs, part, output.absolute())
        part.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        merged = joint.write()
        if output.is_dir():  # an empty one, which not every system replaces
            output.rmdir()
        part.replace(output)
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove_tree(part.parent, part.name)
        # The latter of a stranger's number that JSON does not have.
        if isinstance(error, OSError) or type(error) is ValueError:
            name, reason = printable(output), reason_of(error)
            raise RunError(f"{name}: cannot be written ({reason}); make room or choose another") from error
        raise
    return merged


class _Joint:
    """The joined run: which run each input is taken from, and what is written of it."""

    def __init__(self, runs: Sequence[SourceRun], part: Path, output: Path) -> None:
        self._runs = runs
        self._part = part
        self._output = output
        self._first = runs[0].summary
        self._settings = {**self._first["settings"], "shard": None}
        self._found, self._doubles = _choose(runs)
        self._places = {name: place for place, name in enumerate(_unique(name for run in runs for name in run.listed))}
        self._names = sorted(_unique(name for run in runs for name in run.files), key=self._place)
        self._missing = self._without_results()
        self._tally = Tally()

    def _place(self, name: str) -> tuple[int, int]:
        """Where an input stands among all: as listed, and faces by their numbers."""
        number = name.rpartition("_")[2] if self._settings["align"] else ""
        listed = name if name in self._places else listed_name(name, self._settings)
        return self._places.get(listed, len(self._places)), int(number) if number.isdecimal() else 0

    def _without_results(self) -> list[str]:
        """The names of what nobody has solved: inputs of unfinished runs, and what none of the runs was to solve."""
        unfinished = (name for run in self._runs if not run.summary["finished"] for name in run.files)
        left = [*(name for name in unfinished if name not in self._found), *self._untaken()]
        return sorted(_unique(left), key=self._place)

    def _untaken(self) -> list[str]:
        """The names of what belongs to shards that nobody has begun."""
        taken = {name for run in self._runs for name in run.taken}
        return [name for name in self._places if name not in taken and name not in self._found]

    def _absent(self) -> list[int]:
        """The numbers of these shards; none where runs were not split alike."""
        shards = [run.shard for run in self._runs if run.shard is not None]
        counts = {shard.count for shard in shards}
        if len(shards) < len(self._runs) or len(counts) > 1 or not self._untaken():
            return []
        return sorted({*range(1, counts.pop() + 1)} - {shard.number for shard in shards})

    def write(self) -> Merged:
        """Write everything into the new folder, and return what it comes to."""
        failed = {(one["input"], one["message"]): one for run in self._runs for one in run.summary["failed"]}
        solved = set()
        for name in self._names:
            if name in self._found:
                record = self._take(self._found[name], name)
                self._tally.add(record)
                if failed and "face" not in record:
                    solved.add(record["input"])
            elif self._missing:
                self._keep(name)
        own = self._own_files()
        if ALIGNMENT_FILE in own:
            self._write_alignment()
        if RUN_FILE in own:
            self._write_options()
        if RUN_SHEET in own:
            self._write_sheet()
        # One run may have been able to use what another one was not.
        failures = [one for one in failed.values() if one["input"] not in solved]
        files = [file for name in self._names for file in self._source(name).files[name]]
        summary = self._summary(failures)
        records = page_passing(self._part, summary, self._tally, self._records())
        write_summary(self._part, summary, [*files, *own], inputs=records)
        return Merged(
            tally=self._tally, doubles=self._doubles, missing=self._missing, shards=self._absent(), failed=failures
        )

    def _source(self, name: str) -> SourceRun:
        """The run that an input is taken from, or that was to solve it."""
        return self._found.get(name) or next(run for run in self._runs if name in run.files)

    def _own_files(self) -> list[str]:
        """The files of the run itself, some of which may not come to be."""
        known = {file for run in self._runs for file in run.summary["files"]}
        return [RUN_PAGE, *(file for file in (RUN_SHEET, ALIGNMENT_FILE, FACES_SHEET, RUN_FILE) if file in known)]

    def _take(self, run: SourceRun, name: str) -> InputRecord:
        """Takes the folder of a finished input over, and returns its record as it now is."""
        record = run.record(name)
        if record is None:
            raise RunError(f"{printable(run.path / name)}: has just been taken away; try again")
        home = self._part / name
        home.mkdir()
        for file in _plain_files(run.path / name):
            if is_result(file.name) and file.name != SOLUTIONS_FILE:
                _link(file, home / file.name)
        for entry in record["solutions"]:
            entry["command"] = moved_command(entry["command"], self._output / name / "input.png")
        (home / SOLUTIONS_FILE).write_bytes(record_bytes(record))
        return record

    def _keep(self, name: str) -> None:
        """Takes over which searches of an unfinished input have ended."""
        for run in self._runs:
            home = run.path / KEPT / name
            if all(is_plain_folder(place) for place in (home.parent.parent, home.parent, home)):
                for file in _plain_files(home):
                    place = self._part / KEPT / name / file.name
                    if _KEPT_FILE.fullmatch(file.name) and not place.exists():
                        place.parent.mkdir(parents=True, exist_ok=True)
                        _link(file, place)

    def _records(self) -> Iterator[InputRecord]:
        """The entries of `summary.json`, read one by one."""
        for name in self._names:
            record = read_record(self._part, name)
            if record is not None:
                yield record

    def _write_alignment(self) -> None:
        records = []
        for run in self._runs:
            with contextlib.suppress(RunError):  # without it, those faces cannot be put back, and that is all
                records.append(read_alignment(run.path))
        if records:
            joined = joined_alignments(records)
            joined["photographs"].sort(key=lambda one: [self._place(face["name"]) for face in one["faces"]])
            text = json.dumps(joined, indent=1, allow_nan=False) + "\n"
            (self._part / ALIGNMENT_FILE).write_text(text, encoding="utf-8")

    def _write_options(self) -> None:
        """The file that repeats the run: that of the first run which has one, without its shard."""
        for run in self._runs:
            for file in _plain_files(run.path):
                if file.name == RUN_FILE and file.stat().st_size <= _MOST_OPTIONS:
                    lines = file.read_bytes().splitlines(keepends=True)
                    text = b"".join(line for line in lines if not line.startswith(b"shard = "))
                    (self._part / RUN_FILE).write_bytes(text)
                    return

    def _write_sheet(self) -> None:
        first = self._first
        look = Look(
            folder=self._part,
            eps=first["config"]["eps"],
            count=first["solutions_per_input"],
            rank=self._settings.get("rank", "loss"),
            footer=sheet_footer(first["preset"], first["config"], first["seed"], first["generator"]["folder"]),
        )
        sheet = run_sheet(look, [*islice(self._records(), inputs_shown(look))], self._tally)
        if sheet is not None:
            save_png(self._part / RUN_SHEET, sheet)

    def _summary(self, failed: Sequence[FailureRecord]) -> dict[str, Any]:
        """The summary: what runs share as the first one has it, and what all come to together."""
        summaries = [run.summary for run in self._runs]
        passed = [summary.get("selfcheck") for summary in summaries]
        known = [time for time in passed if time is not None]
        entries: dict[str, Any] = {
            **self._first,
            "finished": not self._missing,
            **self._tally.delivered,
            "selfcheck": min(known) if len(known) == len(passed) else None,
            "position_independent": all(summary["position_independent"] for summary in summaries),
            "settings": self._settings,
            "speed": _speed([summary["speed"] for summary in summaries]),
            "inputs": [],
            "failed": failed,
        }
        for own in ("program", "format", "files", "shard"):
            entries.pop(own, None)
        return entries


def _choose(runs: Sequence[SourceRun]) -> tuple[dict[str, SourceRun], list[str]]:
    """The run that each finished input is taken from, and which inputs several have."""
    found: dict[str, SourceRun] = {}
    doubles = []
    for run in runs:
        for name in run.files:
            if run.record(name) is None:
                continue
            if name not in found:
                found[name] = run
            elif have_same_results(name, found[name], run):
                doubles.append(name)
            else:
                raise UsageError(
                    f"{printable(name)}: {printable(found[name].path)} and {printable(run.path)} have other results "
                    "of it; leave one of the two out"
                )
    return found, _unique(doubles)


def _unique(names: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(names)]


def _plain_files(folder: Path) -> list[Path]:
    """The files in a folder that are no links, sorted."""
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if entry.is_file(follow_symlinks=False))


def _link(file: Path, place: Path) -> None:
    """Gives a file a second name, or copies it where file systems do not do that. No run ever writes into a file."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def _speed(speeds: Sequence[Speed]) -> Speed:
    """How fast several processes were, one after another."""
    rates = [(speed["steps"], speed["steps_per_second"]) for speed in speeds if speed["steps_per_second"]]
    seconds = sum(steps / rate for steps, rate in rates if rate)
    memory: dict[str, int] = {}
    for speed in speeds:
        for key, size in speed["peak_memory_bytes"].items():
            memory[key] = max(size, memory.get(key, 0))
    return {
        "steps": sum(speed["steps"] for speed in speeds),
        "seconds": sum(speed["seconds"] for speed in speeds),
        "compile_seconds": sum(speed["compile_seconds"] for speed in speeds),
        "idle_seconds": sum(speed["idle_seconds"] for speed in speeds),
        "steps_per_second": sum(steps for steps, _ in rates) / seconds if seconds else None,
        "peak_memory_bytes": memory,
    }
