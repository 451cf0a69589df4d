"""The command `merge`: several runs of upsample become one."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from pulse_jax.cli.options.merge import Merge
from pulse_jax.images.files import ImageError
from pulse_jax.runs.folder import check_output_apart
from pulse_jax.runs.inputs import report_failures
from pulse_jax.runs.lock import held_still
from pulse_jax.runs.merging import Merged, merge_runs
from pulse_jax.runs.sources import check_alike, open_run
from pulse_jax.system.errors import UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_merge"]

# Missing inputs that are told by their names.
_NAMED = 10


def run_merge(options: Merge, screen: Screen) -> int:
    """Join the runs, whole or not at all.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if inputs are missing, or some could not be used.

    Raises:
        UsageError: The output exists, or the runs are none, have other settings, other results of one input, or are
            being written.
        RunError: Something in a run is damaged, or writing failed.
    """
    _check_free(options.output)
    paths = [*{path.resolve(): path for path in options.runs}.values()]
    check_output_apart(options.output, paths)
    with contextlib.ExitStack() as still:
        for path in paths:
            still.enter_context(held_still(path))
        runs = [open_run(path) for path in paths]
        check_alike(runs)
        merged = merge_runs(runs, options.output)
    _tell(merged, len(runs), options.output, screen)
    failures = [ImageError(failure["input"], failure["message"]) for failure in merged.failed]
    report_failures(failures, merged.tally.inputs + len(merged.missing) + len(failures), screen)
    return 1 if merged.missing or failures else 0


def _check_free(output: Path) -> None:
    try:
        is_free = not any(output.iterdir())
    except FileNotFoundError:
        is_free = not output.is_symlink()
    except OSError:
        is_free = False
    if not is_free:
        raise UsageError(f"{printable(output)}: exists already; name a new folder for the joined run")


def _tell(merged: Merged, runs: int, output: Path, screen: Screen) -> None:
    tally, name = merged.tally, printable(output)
    screen.result(
        f"{tally.inputs} input{'' if tally.inputs == 1 else 's'} of {runs} run{'' if runs == 1 else 's'} in {name}: "
        f"{tally.feasible} of {tally.solutions} solutions are feasible",
        "bold",
    )
    if merged.doubles:
        told = f"{len(merged.doubles)} solved in more than one run, with the same results, which are kept once"
        screen.note(f"{told}: {_named(merged.doubles)}")
    if merged.missing:
        shards = f" (shard {', '.join(map(str, merged.shards))})" if merged.shards else ""
        screen.error(f"{len(merged.missing)} missing{shards}: {_named(merged.missing)}")
        screen.error(f"The command of these runs without --shard, with --output {name}, solves what is missing.")


def _named(names: Sequence[str]) -> str:
    told = [printable(name) for name in names[:_NAMED]]
    return ", ".join(told) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
