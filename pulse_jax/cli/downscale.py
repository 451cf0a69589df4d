"""The command `downscale`: low-resolution inputs from pictures, with exactly the downscaling that is inverted."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.cli.options.downscale import Downscale
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.cases import Case, cases_of
from pulse_jax.images.degradations.disturbances import disturbed
from pulse_jax.images.files import ImageError, ReadImage, save_png
from pulse_jax.images.inputs import reducible_square
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.runs.formats import DownscaledRecord
from pulse_jax.runs.inputs import find_inputs, read_each, report_failures, result_names, usable
from pulse_jax.system import devices
from pulse_jax.system.errors import UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.system.text import printable

__all__ = ["run_downscale"]


def run_downscale(options: Downscale, screen: Screen) -> int:
    """Downscale every input that can be used.

    Args:
        options: Checked options.
        screen: Screen to print on.

    Returns:
        The exit code: 1 if some input failed.

    Raises:
        UsageError: The output folder cannot be used, or the chain downscales not at all or by a factor of its own.
        RunError: Writing failed.
    """
    try:
        case = None if options.degradation is None else cases_of([1], [options.degradation])[0]
    except ValueError as error:
        raise UsageError(f"--degradation: {error}") from error
    folder = RunFolder(options.output, overwrite=options.overwrite)
    check_output_apart(options.output, options.inputs)
    found, failures = find_inputs(options.inputs, options.output, recursive=options.recursive)
    total = len(found) + len(failures)
    names = result_names(found)
    kept = None if options.size is None else 4 * options.size
    small = usable(read_each(found, functools.partial(_shrink, options, names, case), shortest_side=kept), failures)
    first = next(small, None)
    if first is not None:
        records: list[DownscaledRecord] = []
        summary: dict[str, Any] = {
            "command": "downscale",
            "size": options.size,
            "factor": options.factor,
            "degradation": None if case is None else case.degradation,
            "seed": options.seed,
            "versions": devices.versions(),
            "inputs": records,
            "failed": [],
        }
        with folder.write_once([f"{names[path]}.png" for path in found], summary) as part:
            for pixels, record in itertools.chain([first], small):
                save_png(part / record["image"], pixels)
                records.append(record)
                told = ", ".join((*record["notes"], f"factor {record['factor']}"))
                screen.note(f"{printable(Path(record['input']).name)}: {told}")
            summary["failed"] += [{"input": failure.source, "message": failure.message} for failure in failures]
        count = len(records)
        screen.result(f"{count} picture{'s' if count > 1 else ''} in {printable(options.output)}", "bold")
    report_failures(failures, total, screen)
    return 1 if failures else 0


def _shrink(
    options: Downscale, names: Mapping[Path, str], case: Case | None, path: Path, picture: ReadImage
) -> tuple[np.ndarray, DownscaledRecord]:
    """The centre square of a picture, as large as the factor allows, degraded; and its entry of `summary.json`."""
    step = options.size or options.factor or 1
    square, cropped = reducible_square(picture.pixels, step, path)
    side = len(square)
    factor = side // step if options.size else step
    notes = [*picture.notes, *cropped]
    try:
        if case is None:
            small = Bicubic(factor).apply_float64(square)
        else:
            small = disturbed(square, dataclasses.replace(case, factor=factor).chain, seed=options.seed).disturbed
    except ValueError:
        raise ImageError(
            path,
            f"a square of {side}x{side} is too small to be downscaled by {factor}; "
            "choose a smaller factor or a larger size",
        ) from None
    return to_uint8(small), {
        "input": str(path.absolute()),
        "notes": notes,
        "factor": factor,
        "size": len(small),
        "image": f"{names[path]}.png",
    }
