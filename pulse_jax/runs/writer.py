"""The files of a run's inputs: solutions are kept on disk as they come, and a folder appears once an input has all.

Nothing that has reached the disk is lost however a run ends, and memory does not grow with the number of inputs.
"""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pulse_jax.images.files import ImageError, read_image, save_png
from pulse_jax.images.formats import as_read, is_exact, save_picture, suffix_of
from pulse_jax.images.rounding import to_uint8
from pulse_jax.reports.contact_sheet import MAX_PER_ROW, SheetTile
from pulse_jax.runs.additions import save_animation
from pulse_jax.runs.folder import RunFolder
from pulse_jax.runs.formats import InputRecord, SolutionRecord
from pulse_jax.runs.inputs import Input
from pulse_jax.runs.names import KEPT, ORIGINAL
from pulse_jax.runs.plan import RunPlan
from pulse_jax.runs.records import (
    SOLUTIONS_FILE,
    Tally,
    input_record,
    note_plausibility,
    read_record,
    record_bytes,
    solution_record,
    variation_record,
)
from pulse_jax.runs.sheets import Look, input_sheet, inputs_shown, run_sheet, tile
from pulse_jax.runs.solution_files import HeldSolution, KeptSolution, file_names, keep_solution, write_solutions
from pulse_jax.search.degradation import degradation_of
from pulse_jax.search.diversity import choose, nearest_distances
from pulse_jax.search.judge import holds, judge_again
from pulse_jax.search.problems import Solution, image_number, rank
from pulse_jax.system.background import WriteBehind
from pulse_jax.system.devices import usable_cores
from pulse_jax.system.errors import RunError
from pulse_jax.system.folder_process import FolderProcess, HeldFolder
from pulse_jax.system.removal import remove_file, remove_tree
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable, short

__all__ = ["InputWriter"]

# Compressing pictures is what takes time, and leaves the interpreter to others.
_LEAST_WRITERS = 4


class InputWriter:
    """Write all files of a run but `summary.json`; as a context manager in the background, waiting at the end.

    Args:
        plan: Plan of the run.
        lanes: Searches at once on each device, for the commands that make solutions again.
        folder: Folder of the run; it must have begun when the first solution comes.
        screen: Screen on which finished inputs are told.

    Attributes:
        tally: What finished inputs come to.
    """

    def __init__(self, plan: RunPlan, lanes: int, folder: RunFolder, screen: Screen) -> None:
        self.tally = Tally()
        self._plan = plan
        self._look = Look.of(plan)
        self._lanes = lanes
        self._folder = folder
        self._screen = screen
        self._counting = threading.Lock()
        # What is added runs on devices, whose memory holds one addition at a time.
        self._adding = threading.Lock()
        self._writer = WriteBehind(max(_LEAST_WRITERS, usable_cores()))
        self._has_taken = False
        self._process: FolderProcess | None = None
        self._home = folder.path / KEPT

    def __enter__(self) -> "InputWriter":
        try:
            self._home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._folder.unwritable(error) from error
        self._writer.__enter__()
        if self._plan.is_light:
            self._process = FolderProcess()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, traceback)
        if self._process is not None:
            self._process.__exit__(kind, error, traceback)

    def waiting(self) -> Iterator[int]:
        """Yield how many inputs are still to be written, some times a second until none is."""
        return self._writer.waiting()

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was found yet, by this process or an earlier one of the run."""
        return not self._has_taken and not self.tally.inputs and not any(self._home.glob("*/*.npz"))

    def is_finished(self, path: Path) -> bool:
        """Whether an input's folder is there already, by an earlier process of this run."""
        return self._record(self._plan.names[path]) is not None

    def is_unchanged(self, path: Path, one: Input | ImageError) -> bool:
        """Whether the folder of a finished input is that of the picture as it is now; judges nothing again.

        Args:
            path: Picture file of the input.
            one: What is read of it now; or why nothing is.
        """
        record = self._record(self._plan.names[path])
        return record is not None and _is_of(record, one)

    def resume(self, path: Path, one: Input | ImageError) -> bool:
        """Count a finished input; if its picture is another now, remove its folder instead.

        Args:
            path: Picture file of the input.
            one: What is read of it now; or why nothing is, in which case its results are kept.

        Returns:
            Whether it remains finished.

        Raises:
            ImageError: The picture is another, but somebody's file lies among its results; or a result is not what
                was recorded of it. All of them remain and count.
        """
        record = self._record(self._plan.names[path])
        assert record is not None
        if record["input"] != str(self._plan.file_of(path).absolute()) and not _is_of(record, one):
            raise ImageError(path, f"its results would replace those of {record['input']}; rename one of the two")
        if isinstance(one, Input) and not _is_of(record, one):
            foreign = self._folder.foreign(self._plan.names[path])
            if foreign is None:
                self._tell_changed(path)
                self._folder.withdraw(self._plan.names[path])
                return False
            self._count(record)
            raise ImageError(path, f"changed since it was solved; move {printable(foreign)}, which is in the way")
        self._count(record)
        if isinstance(one, Input):
            self._judge_again(one, record)
        if isinstance(one, ImageError):
            self._screen.note(f"{printable(path.name)}: cannot be used any more; its results are kept", "yellow")
        return True

    def _judge_again(self, one: Input, record: InputRecord) -> None:
        """Raises `ImageError` where a finished input's pictures are not what was recorded of them."""
        for solution in record["solutions"]:
            for entry in (solution, *solution.get("variations", ())):
                file = self._folder.path / entry["image"]
                if not file.exists():  # taken away, which is the user's right
                    continue
                try:
                    picture = to_uint8(read_image(file).pixels)
                except ImageError:
                    picture = np.zeros(0, np.uint8)
                if not self._holds(one, picture, entry["downscaling_error"], feasible=entry["feasible"]):
                    image, name = printable(entry["image"]), printable(one.name)
                    reason = f"{image} is not the picture that was written there; remove {name}/ to solve it again"
                    raise ImageError(one.path, reason)

    def _holds(self, one: Input, picture: np.ndarray, error: float | None, *, feasible: bool) -> bool:
        """Whether what was recorded of a picture (H, W, 3) uint8 is true."""
        plan = self._plan
        if error is None or picture.shape != (plan.size, plan.size, 3):
            return False
        return holds(picture, one.low_res, plan.config, error, feasible=feasible)

    def recall(self, one: Input, then: Callable[[Input, Solution], object] = lambda one, solution: None) -> None:
        """Fill `one.ended` with what an earlier process has finished, and publish the input if that is all.

        Every solution is judged again; what is damaged, or not what it says of itself, is searched for again.

        Args:
            one: Input that the run goes on with.
            then: Called with each solution that is recalled.
        """
        changed = wrong = False
        for path in sorted(self._state(one).glob("*.npz")):
            try:
                solution = KeptSolution.find(path).read()
            except RunError:
                remove_file(self._home, f"{one.name}/{path.name}")
                continue
            error, feasible = solution.downscaling_error, solution.feasible
            if path != self._place(one, solution.restart):
                remove_file(self._home, f"{one.name}/{path.name}")
                changed = True
            elif not self._holds(one, to_uint8(solution.image), error, feasible=feasible):
                remove_file(self._home, f"{one.name}/{path.name}")
                wrong = True
            else:
                one.ended[solution.restart] = feasible
                then(one, solution)
        if changed:
            self._tell_changed(one.path)
        if wrong:
            name = printable(one.title)
            self._screen.note(f"{name}: what was kept of it is not what it says; it is searched for again", "yellow")
        self._complete(one)

    def _tell_changed(self, path: Path) -> None:
        self._screen.note(f"{printable(path.name)}: changed since this run began; it is solved anew", "yellow")

    def take(self, one: Input, solution: Solution) -> None:
        """Keep a solution on disk; after an input's last one, write its folder in the background.

        Args:
            one: Input of the solution.
            solution: Solution of a restart that has just ended.

        Raises:
            RunError: The disk is full or the like.
        """
        self._has_taken = True
        one.ended[solution.restart] = solution.feasible
        if not self._plan.quota.met(one.ended):
            one.keeping.append(self._writer.submit(self._keep, one, solution))
        else:  # its folder is written next, from memory
            self._complete(one, HeldSolution.of(solution))

    def _keep(self, one: Input, solution: Solution) -> None:
        place = self._place(one, solution.restart)
        try:
            place.parent.mkdir(exist_ok=True)
            keep_solution(place, solution)
        except OSError as error:
            raise self._folder.unwritable(error) from error

    def _complete(self, one: Input, last: HeldSolution | None = None) -> None:
        """Writes the folder of an input that has all its solutions: on disk, but for the last, which may be held."""
        one.is_complete = self._plan.quota.met(one.ended)
        if not one.is_complete:
            return
        if self._process is not None:
            self._finish(one, last)
        else:
            self._writer.submit(self._finish, one, last)

    def _finish(self, one: Input, last: HeldSolution | None) -> None:
        """Publishes an input's folder: its solutions, ranked, and what is added; few are in memory at a time."""
        plan = self._plan
        for kept in one.keeping:  # they have begun before this has
            kept.result()
        held = {} if last is None else {last.restart: last}
        found = [held.get(restart) or KeptSolution.find(self._place(one, restart)) for restart in one.ended]
        ranked = self._chosen(one, [self._as_read(one, kept) for kept in found])
        files = file_names(len(ranked), suffix_of(plan.format))
        names = [(f"{one.name}/{image}", f"{one.name}/{small}") for image, small in files]
        entries = [
            solution_record(kept, files, plan.repeating(one, kept.restart, self._lanes))
            for kept, files in zip(ranked, names, strict=True)
        ]
        if plan.quota.diverse:
            distances = nearest_distances((kept.read().image for kept in ranked), **self._downscaling(one))
            for entry, distance in zip(entries, distances, strict=True):
                entry["unseen_distance"] = distance
        record = input_record(plan, one, entries)

        def write(part: Path | HeldFolder) -> None:
            sha256 = plan.generator_record["sha256"]
            write_solutions(part, one.low_res, ranked, plan.config, sha256, noise=plan.keeps_noise)
            tiles = self._write_pictures(one, list(zip(ranked, files, entries, strict=True)), part)
            if isinstance(part, Path):  # what is held has neither animations nor a sheet
                self._animate(one, ranked, record, part)
                if plan.sheets:
                    save_png(part / "sheet.png", input_sheet(self._look, record, one.low_res, tiles))
            if one.name in plan.originals:
                save_picture(part / ORIGINAL, to_uint8(plan.originals[one.name]), "png")
            (part / SOLUTIONS_FILE).write_bytes(record_bytes(record))

        if self._process is not None:
            folder = HeldFolder()
            write(folder)
            finished = functools.partial(self._finished, one, ranked, record)
            self._folder.publish_through(self._process, one.name, folder, finished)
            return
        try:
            with self._folder.publish(one.name) as part:
                write(part)
        except BaseException:
            if last is not None and plan.compiles:
                with contextlib.suppress(RunError):  # the disk may be full
                    self._keep(one, last.solution)
            raise
        with contextlib.suppress(OSError):
            remove_tree(self._home, one.name)
        self._finished(one, ranked, record)

    def _finished(self, one: Input, ranked: Sequence[KeptSolution], record: InputRecord) -> None:
        """Counts and tells an input whose folder is there."""
        plan, entries = self._plan, record["solutions"]
        self._count(record)
        best = min(kept.downscaling_error for kept in ranked)
        feasible = sum(kept.feasible for kept in ranked)
        lowest = short(best, plan.config.eps)
        told = f"{printable(one.title)}: {feasible} of {len(ranked)} feasible, lowest error {lowest}"
        if plan.additions.variations is not None:
            told += f", {sum(len(entry.get('variations', ())) for entry in entries)} feasible variations"
        self._screen.note(told, "green" if feasible else "yellow")

    def _chosen(self, one: Input, found: Sequence[KeptSolution]) -> list[KeptSolution]:
        """The solutions that are delivered, best first."""
        order = self._order(one, found)
        ranked, count = rank(found, order), self._plan.quota.count
        if not self._plan.quota.diverse:
            return ranked[:count]
        feasible = [kept for kept in ranked if kept.feasible]
        picked = choose((kept.read().image for kept in feasible), count, **self._downscaling(one))
        # Too few: the best of the others fill up.
        return rank([*(feasible[i] for i in picked), *ranked[len(feasible) :][: count - len(picked)]], order)

    def _order(self, one: Input, found: Sequence[KeptSolution]) -> Callable[[KeptSolution], tuple[float, float]] | None:
        """What solutions are sorted by before their loss, if anything."""
        judge = self._plan.plausibility
        if self._plan.rank == "loss" or judge is None:
            return None
        known = {kept.restart: judge.judge(self._judged_as_read(one, kept.read())) for kept in found}
        return lambda kept: (-known[kept.restart].picture, known[kept.restart].oddness)

    def _downscaling(self, one: Input) -> dict[str, Any]:
        """D, and where there is room, as the arguments of those who need them."""
        degradation = degradation_of(self._plan.config, self._plan.size, len(one.low_res))
        return {"degradation": degradation, "folder": self._state(one)}

    def _write_pictures(
        self,
        one: Input,
        ranked: Iterable[tuple[KeptSolution, tuple[str, str], SolutionRecord]],
        part: Path | HeldFolder,
    ) -> list[SheetTile]:
        """Writes solutions and their variations, noted in the entries; returns the tiles that a sheet has room for."""
        tiles = []
        for kept, names, entry in ranked:
            solution = kept.read()
            judged = self._judged_as_read(one, solution)
            self._save_pair(part, names, solution, judged)
            if self._plan.plausibility is not None:
                note_plausibility(entry, self._plan.plausibility.judge(judged))
            if self._plan.sheets and len(tiles) < MAX_PER_ROW:
                tiles.append(tile(entry, judged.image, judged.downscaled, self._plan.config.eps))
            self._vary(one, solution, names, entry, part)
        return tiles

    def _vary(
        self, one: Input, solution: Solution, names: tuple[str, str], entry: SolutionRecord, part: Path | HeldFolder
    ) -> None:
        """Writes a solution's variations and notes them in its entry."""
        variations = self._plan.additions.variations
        if variations is None:
            return
        entry["variations"] = []
        # One solution at a time, which bounds what the device needs in memory.
        with self._adding:
            for variation in variations.of(self._plan.problem(one), solution):
                files = variations.picture_names(names, variation.variation)
                judged = self._judged_as_read(one, variation)
                if not judged.feasible:  # any more, in the file's format
                    continue
                self._save_pair(part, files, variation, judged)
                image, small = (f"{one.name}/{file}" for file in files)
                entry["variations"].append(variation_record(judged, (image, small)))

    def _save_pair(self, part: Path | HeldFolder, files: tuple[str, str], solution: Solution, judged: Solution) -> None:
        """Writes a solution as it was found, of which the file makes what was judged, and what that downscales to."""
        save_picture(part / files[0], to_uint8(solution.image), self._plan.format, self._plan.compress_level)
        save_picture(part / files[1], to_uint8(judged.downscaled), "png")

    def _as_read(self, one: Input, kept: KeptSolution) -> KeptSolution:
        """The numbers of a solution, judged by the pixels that a reader of its file gets."""
        if is_exact(self._plan.format):
            return kept
        judged = self._judged_as_read(one, kept.read())
        numbers = {name: getattr(judged, name) for name in ("downscaling_error", "feasible", "status")}
        return dataclasses.replace(kept, **numbers)

    def _judged_as_read(self, one: Input, solution: Solution) -> Solution:
        if is_exact(self._plan.format):
            return solution
        read = as_read(to_uint8(solution.image), self._plan.format)
        return judge_again(solution, read, one.low_res, self._plan.config)

    def _animate(self, one: Input, ranked: Sequence[KeptSolution], record: InputRecord, part: Path) -> None:
        """Writes animations and notes them in the record."""
        animations = self._plan.additions.animations
        if animations is None:
            return
        best = [kept.read() for kept in ranked[:2]]
        # One input at a time, as above, and for the frames.
        with self._adding:
            for name, frames, milliseconds in animations.of(self._plan.problem(one), best):
                save_animation(part / name, frames, milliseconds)
                record.setdefault("animations", []).append(f"{one.name}/{name}")

    def records(self) -> Iterator[InputRecord]:
        """Yield the entries of `summary.json` of finished inputs, in order, read one by one."""
        mine = [self._plan.names[path] for path in self._plan.inputs]
        for name in [*mine, *self._folder.carried(mine)]:
            record = self._record(name)
            if record is not None:
                yield record

    def carry(self) -> None:
        """Count the finished inputs that an earlier process had, and that are none of this one's."""
        for name in self._folder.carried(self._plan.names[path] for path in self._plan.inputs):
            record = self._record(name)
            if record is not None:
                self._count(record)

    def write_sheet(self) -> None:
        """Write the run's own sheet, if there are to be any: the first inputs, as many as there is room for.

        Raises:
            RunError: The disk is full or the like.
        """
        if not self._plan.sheets:
            return
        sheet = run_sheet(self._look, [*islice(self.records(), inputs_shown(self._look))], self.tally)
        if sheet is not None:
            with self._folder.publish() as part:
                save_png(part / "sheet.png", sheet)

    def _state(self, one: Input) -> Path:
        return self._home / one.name

    def _place(self, one: Input, restart: int) -> Path:
        return self._state(one) / f"{image_number(one.low_res):08x}-{restart:05}.npz"

    def _record(self, name: str) -> InputRecord | None:
        return read_record(self._folder.path, name)

    def _count(self, record: InputRecord) -> None:
        with self._counting:
            self.tally.add(record)


def _is_of(record: InputRecord, one: Input | ImageError) -> bool:
    """Whether a record is of the picture that is read now."""
    return isinstance(one, Input) and record["image_number"] == image_number(one.low_res)
