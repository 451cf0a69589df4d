"""What a run that was ended has found so far, as a folder like that of a run which has finished.

A run writes an input's folder once it has all of its solutions, and goes on with the same command. Who does not want to
go on finds here what there is, in the same files, beside the run and with no part in it.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from pulse_jax.engine.progress import Progress
from pulse_jax.images.formats import save_picture, suffix_of
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.formats import InputRecord
from pulse_jax.runs.inputs import Input
from pulse_jax.runs.names import KEPT, RUN_PAGE
from pulse_jax.runs.plan import RunPlan
from pulse_jax.runs.records import (
    SOLUTIONS_FILE,
    Tally,
    input_record,
    note_plausibility,
    record_bytes,
    run_settings,
    run_summary,
    solution_record,
)
from pulse_jax.runs.run_page import page_passing
from pulse_jax.runs.solution_files import KeptSolution, file_names, write_solutions
from pulse_jax.runs.summary_file import write_summary
from pulse_jax.search.problems import rank

__all__ = ["write_so_far"]


def write_so_far(plan: RunPlan, lanes: int, inputs: Iterable[Input], folder: Path) -> int:
    """Write the solutions that an ended run has kept: pictures, latents, records and a page, without sheets.

    Args:
        plan: Plan of the run, whose solutions are in a format without loss.
        lanes: Searches at once on each device.
        inputs: Inputs of which searches have ended, but not all.
        folder: Folder to make, which does not exist.

    Returns:
        How many solutions there are; nothing is written of none.

    Raises:
        OSError: The disk is full or the like.
        RunError: What was kept is damaged.
    """
    plan = dataclasses.replace(plan, sheets=False)
    kept = [(one, _kept(plan, one)) for one in inputs]
    kept = [(one, solutions) for one, solutions in kept if solutions]
    if not kept:
        return 0
    folder.mkdir(parents=True)
    records = [_write_input(plan, lanes, one, solutions, folder) for one, solutions in kept]
    tally = Tally()
    for record in records:
        tally.add(record)
    standing = Progress(tally.searches, tally.feasible, 0, 0, 0.0, 0.0, 0.0)
    summary = run_summary(plan, lanes, run_settings(plan, lanes), tally, [], standing)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
    write_summary(folder, summary, [*files, RUN_PAGE], inputs=page_passing(folder, summary, tally, records))
    return tally.solutions


def _kept(plan: RunPlan, one: Input) -> list[KeptSolution]:
    """What the run keeps of an input's searches that have ended, best first."""
    return rank([KeptSolution.find(path) for path in sorted((plan.output / KEPT / one.name).glob("*.npz"))])


def _write_input(plan: RunPlan, lanes: int, one: Input, ranked: Sequence[KeptSolution], folder: Path) -> InputRecord:
    home = folder / one.name
    home.mkdir()
    files = file_names(len(ranked), suffix_of(plan.format))
    entries = []
    for kept, pair in zip(ranked, files, strict=True):
        solution = kept.read()
        save_picture(home / pair[0], to_uint8(solution.image), plan.format, plan.compress_level)
        save_picture(home / pair[1], to_uint8(solution.downscaled), "png")
        image, small = (f"{one.name}/{file}" for file in pair)
        entry = solution_record(kept, (image, small), plan.repeating(one, kept.restart, lanes))
        if plan.plausibility is not None:
            note_plausibility(entry, plan.plausibility.judge(solution))
        entries.append(entry)
    sha256 = plan.generator_record["sha256"]
    write_solutions(home, one.low_res, ranked, plan.config, sha256, noise=plan.keeps_noise)
    record = input_record(plan, one, entries)
    (home / SOLUTIONS_FILE).write_bytes(record_bytes(record))
    return record
