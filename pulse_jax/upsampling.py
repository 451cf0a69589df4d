"""The work of `pulse-jax upsample`: pictures in, a folder of solutions for each out.

An input's folder appears as soon as all its searches have ended, so that an interrupt costs only what is unfinished.
"""

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pulse_jax import engine, environment
from pulse_jax.config import SearchConfig
from pulse_jax.engine import Solution
from pulse_jax.generator import Generator
from pulse_jax.images import ImageError, ReadImage, from_uint8, printable, read_image, save_png, to_uint8
from pulse_jax.inputs import find_images, fit_low_res
from pulse_jax.options import RunError, Upsample, UsageError
from pulse_jax.presets import PRESETS
from pulse_jax.progress import Live, Screen, duration
from pulse_jax.results import (
    StoredSolutions,
    file_names,
    read_solutions,
    short,
    solution_record,
    tile,
    write_solutions,
)
from pulse_jax.runs import RESERVED, RunFolder, check_output_apart
from pulse_jax.sheets import SheetRow, SheetTile, contact_sheet

__all__ = ["find_inputs", "read_each", "report_failures", "run_upsample"]

_Prepared = TypeVar("_Prepared")

# As many pictures as a sheet might have room for are kept in memory for it.
_SHEET_TILES = 320


@dataclass
class _Input:
    """One input on its way: what is solved, and its solutions so far."""

    path: Path
    low_res: np.ndarray
    notes: tuple[str, ...]
    solutions: list[Solution] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.stem


def find_inputs(inputs: Sequence[Path], output: Path) -> tuple[list[Path], list[ImageError]]:
    """The picture files whose names results can carry, and what failed."""
    found, failures = find_images(inputs, exclude=output)
    unsuitable = [path for path in found if path.stem in (".", "..", *RESERVED)]
    failures += [
        ImageError(path, f"its results cannot be called {path.stem!r}; rename the file") for path in unsuitable
    ]
    return [path for path in found if path not in unsuitable], failures


def read_each(
    paths: Sequence[Path], prepare: Callable[[Path, ReadImage], _Prepared], failures: list[ImageError]
) -> Iterator[_Prepared]:
    """Reads pictures one by one and yields what is made of each; only one is ever in memory.

    Args:
        paths: files.
        prepare: makes something smaller of a picture, or raises `ImageError`.
        failures: gets what cannot be read or prepared.
    """
    for path in paths:
        try:
            prepared = prepare(path, read_image(path))
        except ImageError as error:
            # A copy: the error itself would keep the picture in memory, by its traceback.
            failures.append(ImageError(error.source, error.message))
            continue
        yield prepared


def report_failures(failures: Sequence[ImageError], total: int, screen: Screen) -> None:
    """The list at the end."""
    if failures:
        screen.error(f"{len(failures)} of {total} inputs failed:")
        for failure in failures:
            screen.error(f"  {failure}")


def run_upsample(
    options: Upsample,
    screen: Screen,
    *,
    command: str = "upsample",
    replaces: Sequence[str] = (),
    originals: Mapping[str, np.ndarray] | None = None,
) -> int:
    """Does all that `options` ask for.

    Args:
        options: checked.
        screen: where to tell.
        command: as which the run goes down in `summary.json`.
        replaces: commands whose earlier results may be replaced without asking.
        originals: the pictures (H, W, 3) that inputs were made from, by name, to be shown on the sheets.

    Returns:
        The exit code: 1 if some input failed, 130 after an interrupt, else 0.

    Raises:
        UsageError: a setting is out of range or the output folder cannot be used.
        RunError: the generator or the file to start from cannot be used, or writing failed.
    """
    config = _config(options)
    folder = RunFolder(options.output, overwrite=options.overwrite, replaces=replaces)
    check_output_apart(options.output, options.inputs, options.init)
    found, failures = find_inputs(options.inputs, options.output)
    total = len(found) + len(failures)
    if not found:
        report_failures(failures, total, screen)
        return 1
    generator = environment.open_generator(options.generator)
    environment.check_fit(generator, options.generator, config)
    sizes = engine.admissible_sizes(generator.resolution, config)

    def fit(path: Path, picture: ReadImage) -> _Input:
        fitted, more = fit_low_res(picture.pixels, generator.resolution, options.fit, sizes=sizes, source=path)
        # Solved is exactly what input.png holds, so that anybody can check the results against it.
        return _Input(path, from_uint8(to_uint8(fitted)), (*picture.notes, *more))

    inputs = list(read_each(found, fit, failures))
    if not inputs:
        report_failures(failures, total, screen)
        return 1
    run = _Run(options, screen, command, config, folder, generator, inputs, failures, dict(originals or {}))
    code = run.execute()
    report_failures(failures, total, screen)
    return code or (1 if failures else 0)


def _config(options: Upsample) -> SearchConfig:
    overrides = {name: getattr(options, name) for name in ("steps", "eps") if getattr(options, name) is not None}
    try:
        return PRESETS[options.preset](**overrides, precision=options.precision)
    except ValueError as error:
        raise UsageError(f"--{error}") from error


class _Run:
    """One run of the search over inputs that fit, all the way to its files."""

    def __init__(
        self,
        options: Upsample,
        screen: Screen,
        command: str,
        config: SearchConfig,
        folder: RunFolder,
        generator: Generator,
        inputs: list[_Input],
        failures: Sequence[ImageError],
        originals: dict[str, np.ndarray],
    ) -> None:
        self.options = options
        self.screen = screen
        self.command = command
        self.config = config
        self.folder = folder
        self.generator = generator
        self.inputs = inputs
        self.failures = failures
        self.originals = originals
        self.live = Live(screen, len(inputs) * options.restarts, config.steps)
        self.generator_summary = environment.generator_summary(generator, options.generator)
        self.surroundings = {"versions": environment.versions(), "device": environment.device_summary()}
        self.records: dict[int, dict[str, Any]] = {}
        self.rows: dict[int, SheetRow] = {}
        self.sheet_rows = max(1, _SHEET_TILES // options.restarts)

    def execute(self) -> int:
        """Searches, writes and tells; the exit code, failed inputs aside."""
        groups: dict[int, list[int]] = {}
        for index, one in enumerate(self.inputs):
            groups.setdefault(len(one.low_res), []).append(index)
        stored = self._stored()
        searches = [(side, indices, self._search(indices, stored)) for side, indices in groups.items()]
        self.folder.begin(self._files(), self._summary())
        for one in self.inputs:
            if one.notes:
                self.screen.note(f"{printable(one.path.name)}: {', '.join(one.notes)}")
        if self.failures:
            total = len(self.failures) + len(self.inputs)
            self.screen.note(f"{len(self.failures)} of {total} inputs cannot be used (listed at the end).")
        try:
            with self.live:
                for side, indices, search in searches:
                    self.live.begin(f"{side}x{side} inputs")
                    self._collect(indices, search)
            self._end(finished=True)
        except BaseException as error:
            if self.records:
                self._end(finished=False)
            else:
                self.folder.discard()
            if isinstance(error, KeyboardInterrupt):
                kept = f"kept in {printable(self.options.output)}" if self.records else "so nothing was written"
                self.screen.error(
                    f"Interrupted: {len(self.records)} of {len(self.inputs)} inputs are finished, {kept}."
                )
                return 130
            if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
                raise RunError("not enough memory for this many searches at once; use fewer --lanes") from error
            raise
        return 0

    def _stored(self) -> StoredSolutions | None:
        """The solutions to start from, checked against this run."""
        if self.options.init is None:
            return None
        name = printable(self.options.init)
        stored = read_solutions(self.options.init)
        if len(stored.latents) < self.options.restarts:
            raise UsageError(
                f"{name}: holds {len(stored.latents)} solutions to start from, expected one for each of the "
                f"{self.options.restarts} restarts; use --restarts {len(stored.latents)}"
            )
        for setting in ("space", "start"):
            theirs, ours = getattr(stored.config, setting), getattr(self.config, setting)
            if theirs != ours:
                raise RunError(f"{name}: searched with {setting} {theirs!r}, expected {ours!r}; use the same --preset")
        stored.check(self.generator, name)
        if stored.generator != self.generator_summary["sha256"]:
            self.screen.note(f"{name} was made with another generator of the same shape.")
        return stored

    def _search(self, indices: Sequence[int], stored: StoredSolutions | None) -> Iterator[Solution]:
        """The engine's iterator: arguments are checked now, work begins with the first solution asked for."""
        start = None
        if stored is not None:
            restarts = self.options.restarts
            latents, *noise = (
                np.broadcast_to(array[:restarts], (len(indices), restarts, *array.shape[1:]))
                for array in (stored.latents, *stored.noise)
            )
            start = engine.Start(latents, tuple(noise))
        try:
            return engine.solve(
                self.generator,
                np.stack([self.inputs[index].low_res for index in indices]),
                restarts=self.options.restarts,
                seed=self.options.seed,
                lanes=self.options.lanes,
                config=self.config,
                start=start,
                on_progress=self.live.update,
            )
        except ValueError as error:
            raise RunError(printable(error, 600)) from error

    def _collect(self, indices: Sequence[int], search: Iterator[Solution]) -> None:
        for solution in search:
            one = self.inputs[indices[solution.index]]
            one.solutions.append(solution)
            if len(one.solutions) == self.options.restarts:
                self._write(indices[solution.index])

    def _write(self, index: int) -> None:
        """All of one input's files, which free its memory."""
        one = self.inputs[index]
        ranked = engine.rank(one.solutions)
        feasible = sum(solution.feasible for solution in ranked)
        tiles = [tile(solution) for solution in ranked]
        row = SheetRow(one.path.name, one.low_res, [*tiles, *self._original(one)], ", ".join(one.notes))
        with self.folder.publish(one.name) as part:
            write_solutions(part, one.low_res, ranked, self.config, self.generator_summary["sha256"])
            save_png(part / "sheet.png", self._sheet([row], printable(one.path.name), feasible, len(ranked)))
        if index < self.sheet_rows:
            self.rows[index] = row
        self.records[index] = self._record(one, ranked)
        one.solutions.clear()
        best = min(solution.downscaling_error for solution in ranked)
        self.screen.note(
            f"{printable(one.path.name)}: {feasible} of {len(ranked)} feasible, lowest error {short(best)}",
            "green" if feasible else "yellow",
        )
        self.folder.update(self._summary(), soon=True)

    def _original(self, one: _Input) -> list[SheetTile]:
        original = self.originals.get(one.name)
        return [] if original is None else [SheetTile(original, "the original", "not shown to the search")]

    def _sheet(self, rows: Sequence[SheetRow], title: str, feasible: int, solutions: int) -> np.ndarray:
        eps = f"{self.config.eps:g}"
        return contact_sheet(
            rows,
            title=title,
            subtitle=f"{feasible} of {solutions} solutions are feasible: downscaled, "
            f"they differ from the input by at most {eps}",
            footer=f"Differences are mean squared errors of [0, 1] pictures; eps {eps}, "
            f"preset {self.options.preset}, at most {self.config.steps} steps, seed {self.options.seed}, "
            f"generator {Path(self.generator_summary['folder']).name}. "
            "The people in the solutions are imagined; they do not exist.",
        )

    def _files(self) -> list[str]:
        pictures = [file for pair in file_names(self.options.restarts) for file in pair]
        each = ["input.png", *pictures, "solutions.npz", "sheet.png"]
        return [f"{one.name}/{file}" for one in self.inputs for file in each] + ["sheet.png"]

    def _record(self, one: _Input, ranked: Sequence[Solution]) -> dict[str, Any]:
        names = [(f"{one.name}/{image}", f"{one.name}/{small}") for image, small in file_names(len(ranked))]
        side = len(one.low_res)
        return {
            "input": str(one.path.absolute()),
            "notes": list(one.notes),
            "size": side,
            "factor": self.generator.resolution // side,
            "solved": f"{one.name}/input.png",
            "latents": f"{one.name}/solutions.npz",
            "sheet": f"{one.name}/sheet.png",
            "solutions": [
                solution_record(solution, files, self._command(one, solution.restart))
                for solution, files in zip(ranked, names, strict=True)
            ],
        }

    def _command(self, one: _Input, restart: int) -> str:
        """What makes one solution again: among that run's, it is the one of the same `restart`."""
        options = self.options
        source = options.output.absolute() / one.name / "input.png"
        words: list[object] = ["pulse-jax", "upsample", source, "--output", "again", "--restarts", restart + 1]
        words += ["--seed", options.seed, "--lanes", options.lanes, "--preset", options.preset]
        words += ["--steps", self.config.steps, "--eps", self.config.eps, "--precision", options.precision]
        for flag, path in (("--generator", options.generator), ("--init", options.init)):
            words += [] if path is None else [flag, path.absolute()]
        return shlex.join(map(str, words))

    def _summary(self, *, finished: bool = False) -> dict[str, Any]:
        options, live = self.options, self.live
        solutions, feasible = self._count()
        return {
            "command": self.command,
            "finished": finished,
            "solutions": solutions,
            "feasible": feasible,
            "seed": options.seed,
            "restarts": options.restarts,
            "lanes": options.lanes,
            "preset": options.preset,
            "config": dataclasses.asdict(self.config),
            "init": None if options.init is None else str(options.init.absolute()),
            "generator": self.generator_summary,
            **self.surroundings,
            "speed": {
                "steps": live.steps,
                "seconds": live.seconds,
                "compile_seconds": live.compile_seconds,
                "steps_per_second": live.steps_per_second,
                "peak_memory_bytes": environment.peak_memory(),
            },
            "inputs": [self.records[index] for index in sorted(self.records)],
            "failed": [{"input": failure.source, "message": failure.message} for failure in self.failures],
        }

    def _count(self) -> tuple[int, int]:
        """Solutions written, and feasible ones among them."""
        solutions = [solution for record in self.records.values() for solution in record["solutions"]]
        return len(solutions), sum(solution["feasible"] for solution in solutions)

    def _end(self, *, finished: bool) -> None:
        """The run's own sheet and last summary, and a word on them."""
        solutions, feasible = self._count()
        rows = [self.rows[index] for index in sorted(self.rows)]
        if rows:
            count = f"{len(self.records)} input{'s' if len(self.records) > 1 else ''}"
            title = f"{count}, {self.options.restarts} solution{'s' if self.options.restarts > 1 else ''} each"
            if len(rows) < len(self.records):
                title += f" (the first {len(rows)} are shown)"
            with self.folder.publish() as part:
                save_png(part / "sheet.png", self._sheet(rows, title, feasible, solutions))
        self.folder.update(self._summary(finished=finished))
        if not finished:
            return
        speed = self.live.steps_per_second
        self.screen.result(
            f"{feasible} of {solutions} solutions are feasible (error at most {self.config.eps:g}); "
            f"{duration(self.live.seconds)}" + ("" if speed is None else f", {speed:.0f} steps/s")
        )
        missed = [r for r in self.records.values() if not any(s["feasible"] for s in r["solutions"])]
        if missed:
            names = ", ".join(printable(Path(record["input"]).name) for record in missed[:5])
            names += f" and {len(missed) - 5} more" if len(missed) > 5 else ""
            self.screen.result(
                f"Not feasible: {names}. The generator may not be able to draw such pictures; "
                "more --restarts or --steps may help.",
                "yellow",
            )
        if self.command == "upsample":
            self.screen.result(f"Look at {printable(self.options.output / 'sheet.png')}", "bold")
