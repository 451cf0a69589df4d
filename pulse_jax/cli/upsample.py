"""The work of `pulse-jax upsample`: pictures in, a folder of solutions for each out.

Inputs are read ahead and results written behind while devices search. A run that was killed goes on when the same
command is given again, and ends with the files that an undisturbed one writes.
"""

import contextlib
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pulse_jax.cli import generators
from pulse_jax.cli.interrupts import Interrupt, Stopped
from pulse_jax.cli.live import Live
from pulse_jax.cli.options import Upsample
from pulse_jax.cli.settings import given_config, given_size, given_start
from pulse_jax.cli.upsample_summary import Records
from pulse_jax.engine import stream as engine
from pulse_jax.engine.checkpoints import CheckpointError
from pulse_jax.engine.memory import fitting_lanes
from pulse_jax.engine.progress import Progress
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, ReadImage
from pulse_jax.images.inputs import fit_low_res
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.runs.additions import Extras
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.inputs import Input, Wanted, find_inputs, read_each, report_failures
from pulse_jax.runs.writer import Outputs
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.problems import Problem
from pulse_jax.search.requirements import admissible_sizes
from pulse_jax.system.background import read_ahead
from pulse_jax.system.devices import is_out_of_memory
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_upsample"]

# Inputs that are read ahead of those that the engine has.
_READ_AHEAD = 16


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
        The exit code: 1 if some input failed, 128 plus the signal's number if one ended the run, else 0.

    Raises:
        UsageError: a setting is out of range or the output folder cannot be used.
        RunError: the generator, the perceptual network or the file to start from cannot be used, or writing failed.
    """
    config = given_config(options)
    folder = RunFolder(options.output, overwrite=options.overwrite, replaces=replaces, resumes=True)
    for source in (options.init, options.perceptual):
        check_output_apart(options.output, options.inputs, source)
    found, failures = find_inputs(options.inputs, options.output)
    if not found:
        report_failures(failures, len(failures), screen)
        return 1
    total = len(found) + len(failures)
    generator = generators.with_label(generators.open_generator(options.generator), options.label)
    generator = generators.with_perceptual(generator, options.perceptual)
    generator = generators.with_fit(generator, options.generator, config, options.label, screen)
    run = _Run(options, screen, command, config, folder, generator, found, failures, dict(originals or {}))
    code = run.execute()
    report_failures(failures, total, screen)
    return code or (1 if failures else 0)


class _Run:
    """One run of the search, from its inputs' files to its results'."""

    def __init__(
        self,
        options: Upsample,
        screen: Screen,
        command: str,
        config: UpsamplingConfig,
        folder: RunFolder,
        generator: Generator,
        paths: Sequence[Path],
        failures: list[ImageError],
        originals: Mapping[str, np.ndarray],
    ) -> None:
        self.options = options
        self.screen = screen
        self.command = command
        self.config = config
        self.folder = folder
        self.generator = generator
        self.paths = paths
        self.failures = failures
        self.unfound = tuple(failures)
        self.size = given_size(generator, config)
        described = generators.generator_summary(generator, options.generator)
        count, searches = options.counts
        stops = options.solutions is not None and not options.diverse
        self.wanted = Wanted(count, searches, stops, options.diverse)
        self.extras = Extras(generator, config, options.noise_samples, options.save_intermediate)
        if self.extras.draws < options.noise_samples:
            screen.note(
                "--noise-samples: every noise input is searched or zero; there is nothing to draw anew", "yellow"
            )
        self.start = given_start(options.init, self.wanted.searches, config, generator, described["sha256"], screen)
        self.records = Records(options, command, config, described, self.wanted, self.size, paths)
        self.outputs = Outputs(
            folder,
            self.wanted,
            config,
            described["sha256"],
            self._problem,
            self.extras,
            self.records.of_input,
            self.records.command,
            self.records.footer,
            originals,
            screen,
        )
        self.live = Live(screen, len(paths) * searches, config.steps)
        self.open: dict[int, Input] = {}
        self.interrupt = Interrupt(screen)

    def execute(self) -> int:
        """Searches, writes and tells; the exit code, failed inputs aside."""
        unusable: list[ImageError] = []
        for one in self._read(self.paths):
            if isinstance(one, Input):
                break
            unusable.append(one)
        else:
            self.failures += unusable
            return 1
        self.records.lanes = self._lanes(one)
        resumed = self.folder.begin(self.outputs.names(self.paths), self._summary(), self.records.settings)
        if resumed:
            self.screen.note(f"going on with the unfinished run in {printable(self.options.output)}")
        try:
            with self.interrupt:
                with self.live, self.outputs:
                    if isinstance(self.config, SearchConfig):
                        self.live.begin()
                    while not self._search(resumed):
                        self._take_fewer_lanes()
                    self.interrupt.searched()
                self._end(finished=True)
        except BaseException as error:
            interrupted = isinstance(error, Stopped | KeyboardInterrupt)
            if interrupted or resumed or not self.outputs.is_empty:
                with contextlib.suppress(RunError):
                    self._end(finished=False)
                self.folder.close()
            else:
                self.folder.discard()
            if interrupted:
                self.screen.error(
                    f"Interrupted: {self.outputs.inputs} of {len(self.paths)} inputs are finished, kept in "
                    f"{printable(self.options.output)}. The same command goes on from here."
                )
                return 128 + (self.interrupt.number or signal.SIGINT)
            if is_out_of_memory(error):
                raise RunError("not enough memory for this many searches at once; use fewer --lanes") from error
            if isinstance(error, CheckpointError):
                raise RunError(printable(error, 600)) from error
            if isinstance(error, OSError):
                raise self.folder.unwritable(error) from error
            raise
        return 0

    def _lanes(self, one: Input) -> int:
        """The number asked for; an automatic one is decided once, for the whole of a run, however often it goes on."""
        if not isinstance(self.config, SearchConfig):
            return 1
        if self.options.lanes != "auto":
            return self.options.lanes
        decided = self.folder.unfinished_settings.get("lanes")
        if isinstance(decided, int):
            return decided
        side = len(one.low_res)
        beside = self.extras.memory(side)
        lanes = fitting_lanes(self.generator, self.config, side, jax.local_devices()[0], beside)
        self.screen.note(f"{lanes} lanes")
        return lanes

    def _take_fewer_lanes(self) -> None:
        self.records.lanes //= 2
        self.screen.note(f"not enough memory: {self.records.lanes} lanes", "yellow")
        shutil.rmtree(self.folder.state / "searches", ignore_errors=True)
        self.folder.update(self._summary())

    def _search(self, resumed: bool) -> bool:
        """All searches that are still to be made; False if memory ran out and fewer lanes may be tried."""
        self.failures[:] = self.unfound
        self.open.clear()
        finished = self._finished() if resumed else set()
        self.live.earlier = self.outputs.searches, self.outputs.feasible
        spared = len(finished) * self.wanted.searches - self.outputs.searches
        self.live.total = len(self.paths) * self.wanted.searches - spared
        waiting = [path for path in self.paths if path not in finished]
        with contextlib.closing(read_ahead(self._read(waiting), _READ_AHEAD)) as inputs:
            stream = engine.solve_stream(
                self._problems(inputs, resumed),
                self.generator,
                config=self.config,
                lanes=self.records.lanes,
                checkpoint_dir=self.folder.state / "searches",
                on_chunk=self._on_chunk,
            )
            try:
                for solution in stream:
                    one = self.open[solution.index]
                    self.outputs.take(one, solution)
                    if one.is_complete:
                        self.live.total -= self.wanted.searches - len(one.ended)
                        del self.open[solution.index]
                    self.folder.update(self._summary(), soon=True)
            except Exception as error:
                # Solutions of more lanes, if there are any, would not be what fewer lanes find.
                fewer = self.options.lanes == "auto" and self.records.lanes > 1 and self.outputs.is_empty
                if fewer and is_out_of_memory(error):
                    return False
                raise
            finally:
                with contextlib.suppress(OSError):  # after an error, the disk may be full
                    stream.close()
        return True

    def _finished(self) -> set[Path]:
        """Inputs that an earlier process of this run has finished, and whose pictures are still the same."""
        done = [path for path in self.paths if self.outputs.is_finished(path)]
        finished = set()
        for path, one in zip(done, self._read(done), strict=True):
            try:
                if self.outputs.resume(path, one):
                    finished.add(path)
            except ImageError as error:
                self.failures.append(error)
                finished.add(path)
        return finished

    def _read(self, paths: Sequence[Path]) -> Iterator[Input | ImageError]:
        """Inputs that fit, and what is wrong with the others; only one whole picture is ever in memory."""
        index = {path: number for number, path in enumerate(self.paths)}
        sizes = admissible_sizes(self.size, self.config)

        def fit(path: Path, picture: ReadImage) -> Input:
            fitted, more = fit_low_res(picture.pixels, self.size, self.options.fit, sizes=sizes, source=path)
            # Solved is exactly what input.png holds, so that anybody can check the results against it.
            return Input(index[path], path, from_uint8(to_uint8(fitted)), (*picture.notes, *more))

        return read_each(paths, fit)

    def _problems(self, inputs: Iterator[Input | ImageError], resumed: bool) -> Iterator[Problem]:
        """What the engine is to do for each input, without what has been done before."""
        for one in inputs:
            if isinstance(one, ImageError):
                self.failures.append(one)
                self.live.total -= self.wanted.searches
                self.screen.note(f"{printable(Path(one.source).name)}: cannot be used (told at the end)", "yellow")
                continue
            if one.notes:
                self.screen.note(f"{printable(one.path.name)}: {', '.join(one.notes)}")
            if resumed:
                self.outputs.recall(one)
                done, feasible = self.live.earlier
                self.live.earlier = done + len(one.ended), feasible + sum(one.ended.values())
                if one.is_complete:
                    self.live.total -= self.wanted.searches - len(one.ended)
                    continue
            self.open[one.index] = one
            yield self._problem(one)

    def _problem(self, one: Input) -> Problem:
        return Problem(
            low_res=one.low_res,
            index=one.index,
            restarts=self.wanted.searches,
            solutions=self.wanted.count if self.wanted.stops else None,
            seed=self.options.seed,
            start=self.start,
            ended=dict(one.ended),
        )

    def _on_chunk(self, standing: Progress) -> None:
        self.live.update(standing)
        if self.live.done < self.live.total:
            self.interrupt.check()

    def _summary(self, *, finished: bool = False) -> dict[str, Any]:
        return self.records.summary(self.outputs, self.live, self.failures, finished=finished)

    def _end(self, *, finished: bool) -> None:
        """The run's own sheet and last summary, and a word on them."""
        outputs = self.outputs
        outputs.write_sheet(self.paths)
        if finished:
            # Before the run says that it has finished: if it is killed here, it goes on, and finds nothing left to do.
            self.folder.forget()
        self.folder.update(self._summary(finished=finished), inputs=outputs.records(self.paths))
        self.folder.close()
        if not finished:
            return
        for line, style in self.records.verdict(outputs, self.live):
            self.screen.result(line, style)
        if self.command == "upsample":
            self.screen.result(f"Look at {printable(self.options.output / 'sheet.png')}", "bold")
