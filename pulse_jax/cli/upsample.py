"""The command `upsample`: pictures in, a folder of solutions for each out.

Inputs are read ahead and results written behind while devices search. A run that was killed goes on when the same
command is given again, and ends with the files that an undisturbed one writes.
"""

import contextlib
import signal
import statistics
import time
from collections.abc import Generator as Stream
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pulse_jax.cli.advice import advice
from pulse_jax.cli.interrupts import Interrupt, Stopped
from pulse_jax.cli.live import Live
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.photographs import aligned_inputs, write_alignment
from pulse_jax.cli.settings import given_config, make_plan
from pulse_jax.distributed.stream import solve_on_workers
from pulse_jax.engine import stream as engine
from pulse_jax.engine.checkpoints import CheckpointError
from pulse_jax.engine.lanes import groups
from pulse_jax.engine.memory import missing_memory
from pulse_jax.engine.progress import Progress
from pulse_jax.generators.priors.bundle import what_is_missing
from pulse_jax.images.files import ImageError
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.formats import Settings
from pulse_jax.runs.inputs import Input, find_inputs, of_shard, report_failures, result_names
from pulse_jax.runs.names import RUN_FILE, RUN_PAGE, RUN_SHEET
from pulse_jax.runs.plan import RunPlan
from pulse_jax.runs.records import result_files, run_settings, run_summary
from pulse_jax.runs.run_page import page_passing
from pulse_jax.runs.shards import Shard
from pulse_jax.runs.watch import Watch
from pulse_jax.runs.writer import InputWriter
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.search.requirements import admissible_sizes, would_be_faster
from pulse_jax.system.background import read_ahead
from pulse_jax.system.devices import is_out_of_memory
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.removal import remove_tree
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import duration, pace, printable, short

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
    watch: Watch | None = None,
) -> int:
    """Do all that the options ask for.

    Args:
        options: Checked options.
        screen: Screen to print on.
        command: Command as which the run goes down in `summary.json`.
        replaces: Commands whose earlier results may be replaced without asking.
        originals: Pictures (H, W, 3) that inputs were made from, by name, to be shown on the sheets.
        watch: Follows the run; one that wants its end ends it as SIGINT does.

    Returns:
        The exit code: 1 if some input failed, 128 plus the signal's number if one ended the run, else 0.

    Raises:
        UsageError: A setting is out of range or the output folder cannot be used.
        RunError: The generator, the perceptual network or the file to start from cannot be used, or writing failed.
    """
    config = given_config(options)
    folder = RunFolder(options.output, overwrite=options.overwrite, replaces=replaces, resumes=True)
    for source in (options.init, options.perceptual, options.landmarks):
        check_output_apart(options.output, options.inputs, source)
    listed, failures = find_inputs(options.inputs, options.output, recursive=options.recursive)
    part = None if options.shard is None or not listed else of_shard(listed, Shard.parse(options.shard), screen)
    found = listed if part is None else part.taken
    if part is not None:
        screen.note(f"shard {part.shard}: {len(found)} of {len(listed)} {'photographs' if options.align else 'inputs'}")
    alignment = aligned_inputs(options, found, result_names(listed), failures, screen) if options.align else None
    inputs = found if alignment is None else list(alignment.faces)
    total = len(inputs) + len(failures)
    if not inputs and part is None:
        report_failures(failures, total, screen)
        return 1
    plan = make_plan(
        options, config, inputs, failures, screen, command=command, alignment=alignment, part=part, originals=originals
    )
    outcome = _execute(plan, folder, screen, watch or Watch())
    report_failures(outcome.failures, total, screen)
    return outcome.code or (1 if outcome.failures else 0)


@dataclass(frozen=True)
class _Outcome:
    """What a run came to.

    Attributes:
        code: Exit code, failed inputs aside.
        failures: What is wrong with inputs that could not be used.
    """

    code: int
    failures: Sequence[ImageError]


def _execute(plan: RunPlan, folder: RunFolder, screen: Screen, watch: Watch) -> _Outcome:
    """Searches, writes and tells; where no input can be used, nothing is written, but that a shard is done."""
    unusable = []
    for one in plan.read(plan.known):
        if isinstance(one, Input):
            return _Run(plan, _lanes(plan, folder, one, screen), folder, screen, watch).execute()
        unusable.append(one)
    if plan.part is not None:
        return _Run(plan, _lanes(plan, folder, None, screen), folder, screen, watch).execute()
    return _Outcome(0, [*plan.unusable, *unusable])


def _lanes(plan: RunPlan, folder: RunFolder, one: Input | None, screen: Screen) -> int:
    """The number asked for; an automatic one is decided once, for the whole of a run, however often it goes on.

    And for all of its shards: by the first input that can be used and the number of all. Of photographs no shard knows
    the faces of others; all choose as for very many, of the largest size.
    """
    if isinstance(plan.lanes, int):
        _check_lanes(plan, plan.lanes, screen)
        return plan.lanes
    decided = folder.earlier_settings.get("lanes")
    if isinstance(decided, int) and not plan.searches_by_itself:
        return decided
    if one is None or (plan.part is not None and plan.alignment is not None):
        return plan.lanes.count(plan.input_size or admissible_sizes(plan.size, plan.config)[-1], None)
    return plan.lanes.count(len(one.low_res), len(plan.known) * plan.quota.searches)


def _check_lanes(plan: RunPlan, lanes: int, screen: Screen) -> None:
    device = jax.local_devices()[0]
    running = sum(groups(device, lanes, strict=plan.strict))
    if running < lanes:
        screen.note(f"--lanes {lanes}: on a CPU a search has a core to itself; {running} run at once")
    missing = isinstance(plan.config, SearchConfig) and missing_memory(plan.generator, plan.config, device, running)
    if missing:
        needed, free = (f"{size / 1e9:.1f} GB" for size in missing)
        raise UsageError(
            f"--lanes {lanes}: {running} searches at once take {needed} at least, {free} are free; use --lanes auto"
        )


class _Run:
    """One run, from its inputs' files to its results'."""

    def __init__(self, plan: RunPlan, lanes: int, folder: RunFolder, screen: Screen, watch: Watch) -> None:
        self._plan = plan
        self._lanes = lanes
        self._folder = folder
        self._settings = self._decided()
        self._screen = screen
        self._writer = InputWriter(plan, lanes, folder, screen)
        self._live = Live(screen, len(plan.inputs) * plan.quota.searches, plan.config.steps)
        self._watch = watch
        self._interrupt = Interrupt(screen, watch.wants_end)
        self._began = time.monotonic()
        self._failures = [*plan.unusable]
        self._open: dict[int, Input] = {}

    def _decided(self) -> Settings:
        """What decides the results; with `other_device`, of the device that began the run."""
        settings = run_settings(self._plan, self._lanes)
        if self._plan.other_device and "device" in self._folder.earlier_settings:
            settings["device"] = self._folder.earlier_settings["device"]
        return settings

    def execute(self) -> _Outcome:
        resumed = self._folder.begin(result_files(self._plan), self._summary(), self._settings)
        if resumed and self._folder.was_finished and self._is_done():
            self._folder.close()
            self._tell_done()
            return _Outcome(0, self._failures)
        if resumed:
            kind = "finished" if self._folder.was_finished else "unfinished"
            self._screen.note(f"going on with the {kind} run in {printable(self._plan.output)}")
            self._folder.update(self._summary())
        self._tell_what_is_missing()
        self._write_options()
        write_alignment(self._plan, self._folder, resumed=resumed)
        self._watch.began(self._plan, self._lanes)
        try:
            with self._interrupt:
                with self._live:
                    if self._plan.compiles and self._plan.inputs:
                        self._live.announce("compiling ...")
                    while not self._search(resumed):
                        self._take_fewer_lanes()
                self._end(finished=True)
        except BaseException as error:
            return _Outcome(self._give_up(error, resumed), self._failures)
        return _Outcome(0, self._failures)

    def _tell_what_is_missing(self) -> None:
        """What could be faster, or be told, if more was known of the generator."""
        config, generator = self._plan.config, self._plan.generator
        if not isinstance(config, SearchConfig):
            return
        name = printable(self._plan.generator_record["folder"])
        if wanted := would_be_faster(generator, config):
            wanted = wanted.replace("GENERATOR", name)
            self._screen.note(
                f"{name}: searches start at uniform points, and would be faster with {wanted}, "
                "once, in the time of some 2,000 searches"
            )
        if self._plan.plausibility is None:
            wanted = what_is_missing("plausibility", generator.config.has_mapping).replace("GENERATOR", name)
            self._screen.note(f"{name}: how plausible solutions are is not said; that needs {wanted}")

    def _give_up(self, error: BaseException, resumed: bool) -> int:
        """Keeps what there is; the exit code of an interrupted run, else raises the error."""
        interrupted = isinstance(error, Stopped | KeyboardInterrupt)
        if interrupted or resumed or not self._writer.is_empty:
            with contextlib.suppress(RunError):
                self._end(finished=False)
            self._folder.close()
        else:
            self._folder.discard()
        if interrupted:
            self._screen.error(
                f"Interrupted: {self._writer.tally.inputs} of {len(self._plan.inputs)} inputs are finished, kept in "
                f"{printable(self._plan.output)}. The same command goes on from here."
            )
            return 128 + (self._interrupt.number or signal.SIGINT)
        if is_out_of_memory(error):
            raise RunError("not enough memory for this many searches at once; use fewer --lanes") from error
        if isinstance(error, CheckpointError):
            raise RunError(printable(error, 600)) from error
        if isinstance(error, OSError):
            raise self._folder.unwritable(error) from error
        raise error

    def _take_fewer_lanes(self) -> None:
        self._lanes //= 2
        self._settings = self._decided()
        self._screen.note(f"not enough memory: {self._lanes} lanes", "yellow")
        with contextlib.suppress(OSError):
            remove_tree(self._folder.state, "searches")
        self._writer = InputWriter(self._plan, self._lanes, self._folder, self._screen)
        self._folder.update(self._summary())

    def _search(self, resumed: bool) -> bool:
        """All searches that are still to be made; False if memory ran out and fewer lanes may be tried."""
        plan, live, writer = self._plan, self._live, self._writer
        self._failures = [*plan.unusable]
        self._open.clear()
        with writer:
            if resumed:
                writer.carry()
            finished = self._finished() if resumed else set()
            live.earlier = writer.tally.searches, writer.tally.feasible
            spared = len(finished) * plan.quota.searches - writer.tally.searches
            live.total = len(plan.inputs) * plan.quota.searches - spared
            waiting = [path for path in plan.inputs if path not in finished]
            ahead = 0 if plan.is_light else _READ_AHEAD
            with contextlib.closing(read_ahead(plan.read(waiting), ahead)) as inputs:
                stream = self._stream(self._problems(inputs, resumed), len(waiting))
                try:
                    for solution in stream:
                        one = self._open[solution.index]
                        writer.take(one, solution)
                        self._watch.found(one, solution)
                        if one.is_complete:
                            live.total -= plan.quota.searches - len(one.ended)
                            del self._open[solution.index]
                        if self._folder.is_summary_due():
                            self._folder.update(self._summary())
                except Exception as error:
                    # Solutions of more lanes, if there are any, would not be what fewer lanes find.
                    fewer = not isinstance(plan.lanes, int) and self._lanes > 1 and writer.is_empty and plan.ray is None
                    if fewer and is_out_of_memory(error):
                        return False
                    raise
                finally:
                    with contextlib.suppress(OSError):  # after an error, the disk may be full
                        stream.close()
            self._interrupt.searched()
            for waiting in writer.waiting():
                live.writing(len(plan.inputs) - waiting, len(plan.inputs))
        return True

    def _stream(self, problems: Iterator[Problem], count: int) -> Stream[Solution, None, None]:
        """Solutions of the problems, at most so many, from this process or from workers."""
        plan = self._plan
        if plan.ray is None or not isinstance(plan.config, SearchConfig):
            return engine.solve_stream(
                problems,
                plan.generator,
                config=plan.config,
                lanes=self._lanes,
                strict=plan.strict,
                other_device=plan.other_device,
                checkpoint_dir=self._folder.state / "searches",
                on_chunk=self._on_chunk,
                on_compiling=self._on_compiling,
            )
        # Of a CPU, what suits this one need not suit others, and has no part in any bit.
        suits = isinstance(plan.lanes, int) or plan.device["platform"] != "cpu"
        return solve_on_workers(
            problems,
            plan.generator,
            address=plan.ray,
            count=count,
            config=plan.config,
            lanes=self._lanes if suits else None,
            strict=plan.strict,
            on_chunk=self._on_chunk,
            on_compiling=self._on_compiling,
            on_lost=lambda line: self._screen.note(line, "yellow"),
        )

    def _is_done(self) -> bool:
        """Whether a finished run has each of the inputs, unchanged."""
        writer = InputWriter(self._plan, self._lanes, self._folder, self._screen)
        known: dict[bool, list[Path]] = {True: [], False: []}
        for path in self._plan.inputs:
            known[writer.is_finished(path)].append(path)
        failures: list[ImageError] = []
        # First what has no results: one that can be used is enough to know, and the others need not be read.
        for one in self._plan.read(known[False]):
            if isinstance(one, Input):
                return False
            failures.append(one)
        again = zip(known[True], self._plan.read(known[True]), strict=True)
        if not all(writer.is_unchanged(path, one) for path, one in again):
            return False
        self._failures += failures
        return True

    def _tell_done(self) -> None:
        count = len(self._plan.inputs)
        finished = count - len(self._failures) + len(self._plan.unusable)
        self._screen.result(
            f"Nothing left to do: {finished} of {count} inputs are finished in {printable(self._plan.output)}"
        )

    def _write_options(self) -> None:
        """The file that repeats the run; of the command that began it, where it goes on."""
        if self._plan.options and not (self._plan.output / RUN_FILE).exists():
            with self._folder.publish() as part:
                (part / RUN_FILE).write_text(self._plan.options, encoding="utf-8")

    def _finished(self) -> set[Path]:
        """Inputs that an earlier process of this run has finished, and whose pictures are still the same."""
        done = [path for path in self._plan.inputs if self._writer.is_finished(path)]
        finished = set()
        for path, one in zip(done, self._plan.read(done), strict=True):
            try:
                if self._writer.resume(path, one):
                    finished.add(path)
            except ImageError as error:
                self._failures.append(error)
                finished.add(path)
        return finished

    def _problems(self, inputs: Iterator[Input | ImageError], resumed: bool) -> Iterator[Problem]:
        """What the engine is to do for each input, without what has been done before."""
        live, searches = self._live, self._plan.quota.searches
        for one in inputs:
            if isinstance(one, ImageError):
                self._failures.append(one)
                live.total -= searches
                name = printable(Path(one.source).name)
                self._screen.note(f"{name}: cannot be used (told at the end)", "yellow")
                continue
            if one.notes:
                self._screen.note(f"{printable(one.title)}: {', '.join(one.notes)}")
            if resumed:
                self._writer.recall(one, self._watch.found)
                done, feasible = live.earlier
                live.earlier = done + len(one.ended), feasible + sum(one.ended.values())
                if one.is_complete:
                    live.total -= searches - len(one.ended)
                    continue
            self._open[one.index] = one
            yield self._plan.problem(one)

    def _on_compiling(self, seconds: float) -> None:
        self._live.compiling(seconds)
        self._interrupt.check()

    def _on_chunk(self, standing: Progress) -> None:
        if not standing.position_independent and self._live.standing.position_independent:
            self._screen.note(
                "on this device last bits depend on a search's place among the lanes; with --strict they do not",
                "yellow",
            )
        self._live.update(standing)
        if self._live.done < self._live.total:
            self._interrupt.check()

    def _summary(self, *, finished: bool = False) -> dict[str, Any]:
        tally, standing = self._writer.tally, self._live.standing
        return run_summary(self._plan, self._lanes, self._settings, tally, self._failures, standing, finished=finished)

    def _end(self, *, finished: bool) -> None:
        """The run's own sheet, page and last summary, and a word on them."""
        self._writer.write_sheet()
        if finished:
            # Before the run says that it has finished: if it is killed here, it goes on, and finds nothing left to do.
            self._folder.forget()
        summary, writer = self._summary(finished=finished), self._writer
        self._folder.update(summary, beside=lambda part: page_passing(part, summary, writer.tally, writer.records()))
        self._folder.close()
        if finished:
            self._tell()

    def _tell(self) -> None:
        plan, tally, standing = self._plan, self._writer.tally, self._live.standing
        speed = standing.steps_per_second
        if plan.part is not None and not plan.part.taken:
            self._screen.result(
                f"Nothing to do: none of the {len(plan.part.listed)} inputs falls into shard {plan.part.shard}"
            )
            return
        self._screen.result(
            f"{tally.feasible} of {tally.solutions} solutions are feasible (error at most {plan.config.eps:g}); "
            f"{duration(time.monotonic() - self._began)}" + ("" if speed is None else f", {pace(speed)}")
        )
        if tally.unusual:
            self._screen.result(
                f"{tally.unusual} of {tally.compared} solutions are less plausible than 99 % of the generator's own "
                "samples.",
                "yellow",
            )
        if tally.moved:
            self._screen.note(
                f"--exact moved them by up to {255 * tally.moved:.2g} of 255 levels (root mean square): "
                "no longer quite what the generator draws."
            )
        if tally.missed:
            eps = plan.config.eps
            told = [f"{printable(name)} ({short(error, eps)})" for name, error in tally.missed[:5]]
            told += [f"{len(tally.missed) - 5} more"] if len(tally.missed) > 5 else []
            self._screen.result(f"Not feasible, with their lowest errors: {', '.join(told)}.", "yellow")
            if plan.compiles:
                self._screen.result(advice(plan, statistics.median(error for _, error in tally.missed)), "yellow")
        if plan.command == "upsample" and tally.inputs:
            shown = f"Look at {printable(plan.output / RUN_PAGE)}"
            sheet = f", or at {printable(plan.output / RUN_SHEET)}" if plan.sheets else ""
            self._screen.result(shown + sheet, "bold")
