"""The files of a run's inputs: solutions are kept on disk as they come, and a folder appears once an input has all.

Nothing of a finished search is lost however a run ends, and memory does not grow with the number of inputs.
"""

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.images.files import ImageError, read_image, save_png
from pulse_jax.reports.contact_sheet import MAX_PER_ROW, SheetRow, SheetTile, contact_sheet
from pulse_jax.runs.additions import Extras, save_animation
from pulse_jax.runs.folder import RunFolder
from pulse_jax.runs.inputs import Input, Wanted
from pulse_jax.runs.records import file_names, solution_record, tile, variation_record
from pulse_jax.runs.solution_files import Kept, keep_solution, write_solutions
from pulse_jax.search.config import UpsamplingConfig
from pulse_jax.search.degradation import degradation_of
from pulse_jax.search.diversity import choose, nearest_distances
from pulse_jax.search.problems import Problem, Solution, image_number, rank
from pulse_jax.system.background import WriteBehind
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable, short

__all__ = ["Outputs"]

_RECORD = "solutions.json"
# As many pictures as a sheet might have room for.
_SHEET_TILES = 320
_WRITERS = 4


class Outputs:
    """All files of a run but `summary.json`; as a context manager it writes in the background, and waits at the end.

    Args:
        folder: of the run, begun.
        wanted: solutions of each input.
        config: of the searches.
        generator: sha256 of the generator's description.
        problem: what was searched for, of an input.
        extras: what is added to the solutions.
        record: what an input's record holds beside its solutions' files.
        command: what makes an input's solution of one restart again.
        footer: for sheets.
        originals: the pictures (H, W, 3) that inputs were made from, by name, to be shown on sheets.
        screen: where finished inputs are told.

    Attributes:
        inputs, searches, solutions, feasible: of finished inputs: how many, made, delivered, and feasible of those.
        missed: the names of finished inputs without a feasible solution.
    """

    def __init__(
        self,
        folder: RunFolder,
        wanted: Wanted,
        config: UpsamplingConfig,
        generator: str,
        problem: Callable[[Input], Problem],
        extras: Extras,
        record: Callable[[Input], dict[str, Any]],
        command: Callable[[Input, int], str],
        footer: str,
        originals: Mapping[str, np.ndarray],
        screen: Screen,
    ) -> None:
        self.inputs = self.searches = self.solutions = self.feasible = 0
        self.missed: list[str] = []
        self._folder = folder
        self._wanted = wanted
        self._config = config
        self._generator = generator
        self._problem = problem
        self._extras = extras
        self._record = record
        self._command = command
        self._footer = footer
        self._originals = originals
        self._screen = screen
        self._lock = threading.Lock()
        self._adding = threading.Lock()
        self._writer = WriteBehind(_WRITERS)
        self._home = folder.state / "inputs"

    def __enter__(self) -> "Outputs":
        try:
            self._home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._folder.unwritable(error) from error
        self._writer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)

    def names(self, paths: Sequence[Path]) -> list[str]:
        """Every file that the run may write for these inputs; not all variations and animations come to be."""
        pairs = file_names(self._wanted.count)
        pairs += [
            self._extras.picture_names(pair, number) for pair in pairs for number in range(1, self._extras.draws + 1)
        ]
        pictures = [file for pair in pairs for file in pair]
        each = ["input.png", *pictures, *self._extras.animation_names, "solutions.npz", _RECORD, "sheet.png"]
        return [f"{path.stem}/{file}" for path in paths for file in each] + ["sheet.png"]

    def is_finished(self, path: Path) -> bool:
        """Whether an input's folder is there already, by an earlier process of this run."""
        return self._read_record(path) is not None

    def resume(self, path: Path, one: Input | ImageError) -> bool:
        """Whether a finished input remains so, and counts; if its picture is another now, its folder is removed.

        Args:
            path: of the input.
            one: what is read of it now; why nothing is, in which case its results are kept.

        Raises:
            ImageError: the picture is another, but somebody's file lies among its results, which remain and count.
        """
        record = self._read_record(path)
        assert record is not None
        if isinstance(one, Input) and record["image_number"] != image_number(one.low_res):
            foreign = self._folder.foreign(path.stem)
            if foreign is None:
                self._tell_changed(path)
                self._folder.withdraw(path.stem)
                return False
            self._count(record)
            raise ImageError(path, f"changed since it was solved; move {printable(foreign)}, which is in the way")
        if isinstance(one, ImageError):
            self._screen.note(f"{printable(path.name)}: cannot be used any more; its results are kept", "yellow")
        self._count(record)
        return True

    def recall(self, one: Input) -> None:
        """Fills `one.ended` with what an earlier process has finished, and publishes the input if that is all."""
        changed = False
        for path in sorted(self._state(one).glob("*.npz")):
            try:
                solution = Kept.find(path).read()
            except RunError:
                path.unlink()
                continue
            if path == self._place(one, solution.restart):
                one.ended[solution.restart] = solution.feasible
            else:
                path.unlink()
                changed = True
        if changed:
            self._tell_changed(one.path)
        self._complete(one)

    def _tell_changed(self, path: Path) -> None:
        self._screen.note(f"{printable(path.name)}: changed since this run began; it is solved anew", "yellow")

    def take(self, one: Input, solution: Solution) -> None:
        """Keeps a solution on disk; after an input's last one, its folder is written in the background.

        Raises:
            RunError: the disk is full or the like.
        """
        place = self._place(one, solution.restart)
        try:
            place.parent.mkdir(exist_ok=True)
            keep_solution(place, solution)
        except OSError as error:
            raise self._folder.unwritable(error) from error
        one.ended[solution.restart] = solution.feasible
        self._complete(one)

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was found yet, by this process or an earlier one of the run."""
        return not self.inputs and not any(self._home.glob("*/*.npz"))

    def _complete(self, one: Input) -> None:
        one.is_complete = self._wanted.met(one.ended)
        if one.is_complete:
            self._writer.submit(self._finish, one)

    def _finish(self, one: Input) -> None:
        """Publishes an input's folder: its solutions, ranked, and what is added; few are in memory at a time."""
        ranked = self._chosen(one, [Kept.find(self._place(one, restart)) for restart in one.ended])
        names = [(f"{one.name}/{image}", f"{one.name}/{small}") for image, small in file_names(len(ranked))]
        entries = [
            solution_record(kept, files, self._command(one, kept.restart))
            for kept, files in zip(ranked, names, strict=True)
        ]
        if self._wanted.diverse:
            distances = nearest_distances((kept.read().image for kept in ranked), **self._downscaling(one))
            for entry, distance in zip(entries, distances, strict=True):
                entry["unseen_distance"] = distance
        record = self._record(one) | {
            "solved": f"{one.name}/input.png",
            "latents": f"{one.name}/solutions.npz",
            "sheet": f"{one.name}/sheet.png",
            "searches": len(one.ended),
            "solutions": entries,
        }
        feasible = sum(kept.feasible for kept in ranked)
        with self._folder.publish(one.name) as part:
            write_solutions(part, one.low_res, ranked, self._config, self._generator)
            tiles = self._write_pictures(one, ranked, entries, part)
            self._animate(one, ranked, record, part)
            row = self._sheet_row(one.name, one.low_res, tiles, record)
            save_png(part / "sheet.png", self._sheet([row], printable(one.path.name), feasible, len(ranked)))
            (part / _RECORD).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        shutil.rmtree(self._state(one), ignore_errors=True)
        self._count(record)
        best = min(kept.downscaling_error for kept in ranked)
        drawn = sum(len(entry["variations"]) for entry in entries) if self._extras.draws else None
        self._screen.note(
            f"{printable(one.path.name)}: {feasible} of {len(ranked)} feasible, lowest error {short(best)}"
            + ("" if drawn is None else f", {drawn} feasible variations"),
            "green" if feasible else "yellow",
        )

    def _chosen(self, one: Input, found: Sequence[Kept]) -> list[Kept]:
        """The solutions that are delivered, best first."""
        ranked, count = rank(found), self._wanted.count
        if not self._wanted.diverse:
            return ranked[:count]
        feasible = [kept for kept in ranked if kept.feasible]
        picked = choose((kept.read().image for kept in feasible), count, **self._downscaling(one))
        # Too few: the best of the others fill up.
        return rank([*(feasible[i] for i in picked), *ranked[len(feasible) :][: count - len(picked)]])

    def _downscaling(self, one: Input) -> dict[str, Any]:
        """D, and where there is room, as the arguments of those who need them."""
        low = len(one.low_res)
        high = low * self._record(one)["factor"]
        return {"degradation": degradation_of(self._config, high, low), "folder": self._state(one)}

    def _write_pictures(
        self, one: Input, ranked: Sequence[Kept], entries: Sequence[dict[str, Any]], part: Path
    ) -> list[SheetTile]:
        """Writes solutions and their variations, noted in the entries; returns the tiles that a sheet has room for."""
        problem = self._problem(one)
        tiles = []
        for kept, names, entry in zip(ranked, file_names(len(ranked)), entries, strict=True):
            solution = kept.read()
            self._save_pair(part, names, solution)
            if len(tiles) < MAX_PER_ROW:
                tiles.append(tile(entry, solution.image, solution.downscaled))
            entry |= {"variations": []} if self._extras.draws else {}
            # One solution at a time, which bounds what the device needs in memory.
            with self._adding:
                for variation in self._extras.variations(problem, solution):
                    files = self._extras.picture_names(names, variation.variation)
                    self._save_pair(part, files, variation)
                    image, small = (f"{one.name}/{file}" for file in files)
                    entry["variations"].append(variation_record(variation, (image, small)))
        return tiles

    @staticmethod
    def _save_pair(part: Path, files: tuple[str, str], solution: Solution) -> None:
        for file, picture in zip(files, (solution.image, solution.downscaled), strict=True):
            save_png(part / file, picture)

    def _animate(self, one: Input, ranked: Sequence[Kept], record: dict[str, Any], part: Path) -> None:
        """Writes animations and notes them in the record."""
        if not self._extras.animated:
            return
        best = [kept.read() for kept in ranked[:2]]
        # One input at a time, as above, and for the frames.
        with self._adding:
            for name, frames, milliseconds in self._extras.animations(self._problem(one), best):
                save_animation(part / name, frames, milliseconds)
                record.setdefault("animations", []).append(f"{one.name}/{name}")

    def records(self, paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
        """The entries of `summary.json` of finished inputs, in order, read one by one."""
        for path in paths:
            record = self._read_record(path)
            if record is not None:
                yield record

    def write_sheet(self, paths: Sequence[Path]) -> None:
        """The run's own sheet: the first inputs, as many as there is room for.

        Raises:
            RunError: the disk is full or the like.
        """
        shown = [
            (Path(record["input"]).stem, record)
            for record, _ in zip(self.records(paths), range(max(1, _SHEET_TILES // self._wanted.count)), strict=False)
        ]
        if not shown:
            return
        rows = []
        for name, record in shown:
            with contextlib.suppress(ImageError):  # somebody has taken a picture away; the rest is shown
                rows.append(self._row(name, record))
        if not rows:
            return
        count = f"{self.inputs} input{'s' if self.inputs > 1 else ''}"
        title = f"{count}, {self._wanted.count} solution{'s' if self._wanted.count > 1 else ''} each"
        if len(rows) < self.inputs:
            title += f" (the first {len(rows)} are shown)"
        with self._folder.publish() as part:
            save_png(part / "sheet.png", self._sheet(rows, title, self.feasible, self.solutions))

    def _row(self, name: str, record: Mapping[str, Any]) -> SheetRow:
        home = self._folder.path
        tiles = [
            tile(entry, *(read_image(home / entry[kind]).pixels for kind in ("image", "downscaled")))
            for entry in record["solutions"][:MAX_PER_ROW]
        ]
        return self._sheet_row(name, read_image(home / record["solved"]).pixels, tiles, record)

    def _sheet_row(
        self, name: str, low_res: np.ndarray, tiles: Sequence[SheetTile], record: Mapping[str, Any]
    ) -> SheetRow:
        label, more = Path(record["input"]).name, len(record["solutions"]) - len(tiles)
        return SheetRow(label, low_res, [*tiles, *self._original(name)], ", ".join(record["notes"]), more)

    def _original(self, name: str) -> list[SheetTile]:
        original = self._originals.get(name)
        return [] if original is None else [SheetTile(original, "the original", "not shown to the search")]

    def _sheet(self, rows: Sequence[SheetRow], title: str, feasible: int, solutions: int) -> np.ndarray:
        return contact_sheet(
            rows,
            title=title,
            subtitle=f"{feasible} of {solutions} solutions are feasible: downscaled, "
            f"they differ from the input by at most {self._config.eps:g}",
            footer=self._footer,
        )

    def _state(self, one: Input) -> Path:
        return self._home / one.name

    def _place(self, one: Input, restart: int) -> Path:
        return self._state(one) / f"{image_number(one.low_res):08x}-{restart:05}.npz"

    def _read_record(self, path: Path) -> dict[str, Any] | None:
        """The record in an input's folder; none if it is not there."""
        file = self._folder.path / path.stem / _RECORD
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            if not {"input", "searches", "solutions", "solved", "image_number"} <= set(record):
                raise ValueError("not a record")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{printable(file)}: damaged; remove its folder to solve that input again") from error
        return record

    def _count(self, record: Mapping[str, Any]) -> None:
        with self._lock:
            self.inputs += 1
            self.searches += record["searches"]
            self.solutions += len(record["solutions"])
            feasible = sum(entry["feasible"] for entry in record["solutions"])
            self.feasible += feasible
            if not feasible:
                self.missed.append(Path(record["input"]).name)
