"""The output folder of a run: what may be replaced, results that appear whole or not at all, and `summary.json`.

`summary.json` is written when the work begins and lists every file of the run from the start, so that what belongs to
it is known even of a run that was killed. Such a run goes on where it was: what it needs for that lies in a hidden
folder until it has finished. A finished one goes on too, with what is new. A run that replaces another takes its folder
over by its first summary, which also lists what is left of the other.

A summary may be a stranger's. What it lists is removed only where it can be proven to be a run's: by its name among
those that runs give to files in an input's folder, or by the hash that the summary has of it; and never behind a link.
"""

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pulse_jax.runs.lock import FolderLock
from pulse_jax.runs.names import HIDDEN, RESERVED, RUN_FILE, STATE, is_result
from pulse_jax.runs.summary_file import SUMMARY_FILE, can_go_on, read_summary, write_summary
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.folder_process import FolderProcess, HeldFolder
from pulse_jax.system.removal import is_plain_folder, remove_file, remove_folder_if_empty, remove_tree
from pulse_jax.system.text import differences, printable, reason_of

__all__ = ["RunFolder", "check_output_apart"]

_PART_SUFFIX = ".part"
_PART = re.compile(rf"{re.escape(HIDDEN)}[0-9a-f]{{12}}{re.escape(_PART_SUFFIX)}")


class RunFolder:
    """The output folder of one run, from the check whether it may be used to the last summary.

    Args:
        path: Output folder, existing or not; nothing is written before `begin`.
        overwrite: Whether an earlier run's files may be replaced. Other files are never touched.
        replaces: Commands whose earlier results may be replaced without `overwrite`.
        resumes: Whether a run that was killed goes on, if `begin` finds that its settings are the same.

    Attributes:
        path: Output folder.
        state: Hidden folder for what an unfinished run needs to go on; gone once it has finished.

    Raises:
        UsageError: The path is no folder, cannot be written to, or holds something already.
    """

    def __init__(
        self, path: Path, *, overwrite: bool = False, replaces: Sequence[str] = (), resumes: bool = False
    ) -> None:
        self.path = path
        self.state = path / STATE
        self._earlier: frozenset[str] = frozenset()
        self._carried: list[str] = []
        self._replaces = replaces
        self._next_summary = 0.0
        self._overwrite = overwrite
        self._before: dict[str, Any] | None = None
        # What is still to be removed of the run that this one replaces; None once all of it is.
        self._replaced: list[str] | None = None
        self._lock: FolderLock | None = None
        try:
            existing = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
            if not existing.is_dir():
                raise UsageError(f"{printable(existing)}: not a folder; choose another output folder")
            if not os.access(existing, os.W_OK | os.X_OK):
                raise UsageError(f"{printable(existing)}: no permission to write there; choose another output folder")
            occupied = existing == path and any(not entry.name.startswith(HIDDEN) for entry in path.iterdir())
        except OSError as error:
            raise UsageError(f"{printable(path)}: the output folder cannot be used ({reason_of(error)})") from error
        if occupied:
            summary = read_summary(path)
            if resumes and summary is not None and can_go_on(summary) and not (overwrite and summary["finished"]):
                self._before = summary
            elif not overwrite and (summary is None or summary.get("command") not in replaces):
                whose = "holds the results of an earlier run" if summary else "is not empty"
                remedy = "--overwrite replaces them" if summary else "--overwrite adds to it"
                raise UsageError(f"{printable(path)}: the output folder {whose}; choose another, or {remedy}")
            self._earlier = _inventory(path, summary)

    @property
    def earlier_settings(self) -> dict[str, Any]:
        """The settings of the run that the folder holds and that may go on; empty if it holds none."""
        settings = {} if self._before is None else self._before["settings"]
        return settings if isinstance(settings, dict) else {}

    @property
    def was_finished(self) -> bool:
        """Whether the run that the folder holds had nothing left to do."""
        return self._before is not None and self._before["finished"]

    def carried(self, names: Iterable[str]) -> list[str]:
        """Return the folders of inputs that a run which goes on had beside these, sorted.

        Args:
            names: Names of folders.
        """
        folders = {name.partition("/")[0] for name in self._carried if "/" in name}
        return sorted(folders - {*names})

    def begin(
        self, files: Sequence[str], summary: Mapping[str, Any], settings: Mapping[str, Any] | None = None
    ) -> bool:
        """Remove what an earlier run wrote, make the folder and write the first summary; or go on with that run.

        Args:
            files: All that the run is going to write, relative, `/` between folder and file.
            summary: Entries of `summary.json`, as for `update`.
            settings: What must be the same for an unfinished run to go on, JSON values by name; `summary` has them too.

        Returns:
            Whether an unfinished run goes on.

        Raises:
            UsageError: Something that no earlier run wrote stands where a result would go, or an unfinished run has
                other settings, or another process works here; nothing was removed.
            RunError: The folder cannot be written to.
        """
        self._claim()
        try:
            return self._begin(files, summary, None if settings is None else json.loads(json.dumps(settings)))
        except BaseException:
            self.close()
            raise

    def _begin(self, files: Sequence[str], summary: Mapping[str, Any], settings: dict[str, Any] | None) -> bool:
        self._check_state()
        if self._before is not None:
            if read_summary(self.path) != self._before:
                raise UsageError(f"{printable(self.path)}: another process has just been writing there; try again")
            told = differences(self._before["settings"], settings)
            command = self._before.get("command")
            told += [] if command == summary.get("command") else [f"command was {command}, is {summary.get('command')}"]
            if not told:
                # What earlier versions did not write may be somebody's own.
                self._check_free(name for name in files if "/" not in name)
                own = _inventory(self.path, {**self._before, "replaced": []}) - {*files, SUMMARY_FILE}
                self._carried = sorted(own)
                self._files = [*files, *self._carried]
                self._clean()
                if "replaced" in self._before:
                    left = {"files": [], "replaced": self._before["replaced"]}
                    self._replace(_inventory(self.path, left), summary)
                return True
            if not self._overwrite and command not in self._replaces:
                what = printable("; ".join(told), 600)
                kind = "a finished" if self.was_finished else "an unfinished"
                raise UsageError(
                    f"{printable(self.path)}: holds {kind} run with other settings ({what}); "
                    "go on with those, choose another output folder, or --overwrite begins anew"
                )
        self._check_free(sorted({SUMMARY_FILE, *(PurePosixPath(file).parts[0] for file in files)}))
        self._files = list(files)
        self._clean()
        if not self._earlier and not self.state.is_dir():
            self.update(summary)
        else:
            self._replace(self._earlier, summary)
        return False

    def _check_free(self, names: Iterable[str]) -> None:
        """Raises `UsageError` where something that no earlier run wrote stands at a result's place."""
        for name in names:
            foreign = self.foreign(name)
            if foreign:
                raise UsageError(
                    f"{printable(foreign)}: in the way of the results, and not written by an earlier run; "
                    "move it, or choose another output folder"
                )

    def _replace(self, earlier: Iterable[str], summary: Mapping[str, Any]) -> None:
        """Removes what is left of another run, whose folder becomes this one's before, and at once.

        Killed before that, the other run is as it was; killed after it, this run goes on, and knows what to remove.
        """
        self._replaced = sorted({*earlier} - {SUMMARY_FILE})
        self.update(summary)
        try:
            self.forget()
            self._remove(self._replaced)
        except OSError as error:
            raise self.unwritable(error) from error
        self._replaced = None
        self.update(summary)

    def _clean(self) -> None:
        """Removes what a killed process was writing."""
        try:
            for entry in self.path.iterdir():
                if _PART.fullmatch(entry.name):
                    remove_tree(self.path, entry.name)
        except OSError as error:
            raise self.unwritable(error) from error

    def _check_state(self) -> None:
        """Raises `UsageError` where a link stands for a folder in which this run would write and remove."""
        for place in (self.state, self.state / "inputs", self.state / "searches"):
            if os.path.lexists(place) and not is_plain_folder(place):
                raise UsageError(
                    f"{printable(place)}: a link, or no folder, where a run keeps what is under way; "
                    "remove it, or choose another output folder"
                )

    def _claim(self) -> None:
        """Keeps other processes out until `close`; the lock goes with the process, however it ends."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.path)
        except OSError as error:
            raise self.unwritable(error) from error

    def close(self) -> None:
        """Let other processes in again."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @contextlib.contextmanager
    def publish(self, name: str = "") -> Iterator[Path]:
        """Give a hidden folder to write to, which takes its name (or whose files take theirs) once all is written.

        Args:
            name: Name of the folder; "" for files that belong directly into the output folder.

        Raises:
            RunError: The disk is full or the like; nothing is left behind.
        """
        part = self._part()
        try:
            part.mkdir()
            yield part
            if name:
                part.replace(self.path / name)
            else:
                # The summary last: a run that says it has finished has all that it lists.
                for file in sorted(part.iterdir(), key=lambda file: file.name == SUMMARY_FILE):
                    file.replace(self.path / file.name)
                remove_folder_if_empty(self.path, part.name)
        except BaseException as error:
            with contextlib.suppress(OSError):
                remove_tree(self.path, part.name)
            if isinstance(error, OSError):
                raise self.unwritable(error) from error
            raise

    def publish_through(self, process: FolderProcess, name: str, files: HeldFolder, then: Callable[[], None]) -> None:
        """Let a process write a folder, which takes its name once all is written.

        Args:
            process: The process.
            name: Name of the folder.
            files: What is in it.
            then: Called when it is there.

        Raises:
            RunError: The disk is full or the like, of this folder or of an earlier one; nothing is left of it.
        """
        try:
            process.write(self._part(), self.path / name, files, then)
        except OSError as error:
            raise self.unwritable(error) from error

    def foreign(self, name: str) -> Path | None:
        """Return something at a result's place that is not an earlier run's, if there is any.

        Args:
            name: File or folder of a result, directly in the output folder.
        """
        place = self.path / name
        if not os.path.lexists(place):
            return None
        if place.is_symlink() or not place.is_dir():
            return None if name in self._earlier else place
        return next((entry for entry in place.iterdir() if f"{name}/{entry.name}" not in self._earlier), None)

    def withdraw(self, name: str) -> None:
        """Take a published folder away, whole or not at all, with all that lies in it.

        Args:
            name: Name of the folder.

        Raises:
            RunError: There is no permission, or the like.
        """
        part = self._part()
        try:
            (self.path / name).replace(part)
            remove_tree(self.path, part.name)
        except OSError as error:
            raise self.unwritable(error) from error

    @contextlib.contextmanager
    def write_once(self, files: Sequence[str], summary: Mapping[str, Any]) -> Iterator[Path]:
        """Do all of a short run: `begin`, a hidden folder for its files, and the finished summary; or nothing.

        Args:
            files: All that the run may write; the finished summary lists those that it wrote.
            summary: Entries of `summary.json`, as for `update`; what is added to it meanwhile counts.

        Raises:
            UsageError: As `begin`.
            RunError: As `begin` and `publish`.
        """
        self.begin(files, {**summary, "finished": False})
        try:
            with self.publish() as part:
                yield part
                hashes = {file: sha256_of(part / file) for file in files if (part / file).is_file()}
                self.update({**summary, "finished": False, "sha256": hashes})
            self._files = list(hashes)
            self.update({**summary, "finished": True, "sha256": hashes})
            self.close()
        except BaseException:
            self.discard()
            raise

    def is_summary_due(self) -> bool:
        """Return whether writing `summary.json` anew would take a small share of the time."""
        return time.monotonic() >= self._next_summary

    def update(
        self,
        summary: Mapping[str, Any],
        *,
        inputs: Iterable[Mapping[str, Any]] = (),
        beside: Callable[[Path], Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        """Write `summary.json` anew.

        Args:
            summary: Its entries; `inputs` among them, if it is an empty list, is filled with `inputs`.
            inputs: Entries that are read and written one by one, so that many need no memory.
            beside: Gives these entries instead, and writes of them what it has to into the folder that it is given,
                whose files take their places together with the summary.
        """
        began = time.monotonic()
        with self.publish() as part:
            entries = inputs if beside is None else beside(part)
            write_summary(part, summary, self._files, inputs=entries, replaced=self._replaced)
        now = time.monotonic()
        self._next_summary = now + 100 * (now - began)

    def forget(self) -> None:
        """Remove what an unfinished run needs to go on: this one has nothing left to do."""
        with contextlib.suppress(OSError):
            remove_tree(self.path, STATE)

    def discard(self) -> None:
        """Take back a run of which nothing was finished."""
        with contextlib.suppress(OSError):
            self._remove([SUMMARY_FILE, *({RUN_FILE} & {*self._files})])
        self.forget()
        self.close()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def unwritable(self, error: OSError) -> RunError:
        """Return the error that says that the folder cannot be written to."""
        return RunError(
            f"{printable(self.path)}: cannot be written to ({reason_of(error)}); make room or choose another"
        )

    def _part(self) -> Path:
        """A new hidden name, of what is cleaned away if the process is killed."""
        return self.path / f"{HIDDEN}{secrets.token_hex(6)}{_PART_SUFFIX}"

    def _remove(self, files: Iterable[str]) -> None:
        for file in files:
            with contextlib.suppress(NotADirectoryError):
                remove_file(self.path, file)
        for folder in {PurePosixPath(file).parts[0] for file in files if "/" in file}:
            remove_folder_if_empty(self.path, folder)  # one that holds other files too stays


def check_output_apart(output: Path, inputs: Sequence[Path], source: Path | None = None) -> None:
    """See that results do not mix with what they are made from.

    Args:
        output: Output folder, which must not lie inside an input folder.
        inputs: Files and folders that results are made from.
        source: File that must not lie inside the output folder, since overwriting might remove it.

    Raises:
        UsageError: They do.
    """
    resolved = output.resolve()
    if source is not None and resolved in source.resolve().parents:
        raise UsageError(f"{printable(source)}: lies inside the output folder; choose another output folder")
    for given in inputs:
        if given.is_dir() and given.resolve() in resolved.parents:
            raise UsageError(
                f"{printable(output)}: the output folder lies inside the input folder {printable(given)}; "
                "choose one outside it"
            )


def _inventory(path: Path, summary: dict[str, Any] | None) -> frozenset[str]:
    """The files of an earlier run, and what is left of one that it replaces: those that are proven to be its own.

    A summary that somebody changed cannot name any outside the folder, nor one that runs do not write.
    """
    if summary is None:
        return frozenset()
    hashes = summary.get("sha256")
    hashes = hashes if isinstance(hashes, dict) else {}

    def is_own(name: object) -> bool:
        if not isinstance(name, str) or "\0" in name:
            return False
        parts = PurePosixPath(name).parts
        if name != "/".join(parts) or len(parts) not in (1, 2) or ".." in parts or parts[0] == "/":
            return False
        place = path / name
        if len(parts) == 2:
            if (path / parts[0]).is_symlink():
                return False
            if is_result(parts[1]):
                return True
        elif name in RESERVED or not os.path.lexists(place):
            return True
        return place.is_file() and not place.is_symlink() and sha256_of(place) == hashes.get(name)

    left = summary.get("replaced", [])
    names = [*summary["files"], *(left if isinstance(left, list) else [])]
    return frozenset((*filter(is_own, names), SUMMARY_FILE))
