"""Entries of `summary.json`, names of files and tiles of sheets."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.reports.contact_sheet import SheetTile
from pulse_jax.runs.solution_files import Kept
from pulse_jax.search.problems import Solution
from pulse_jax.system.text import short

__all__ = ["file_names", "solution_record", "tile", "variation_record"]

_SHEET_SIDE = 256


def file_names(restarts: int) -> list[tuple[str, str]]:
    """What the solutions' pictures and their downscaled versions are called, best first."""
    digits = max(2, len(str(restarts)))
    return [(f"solution_{k:0{digits}}.png", f"downscaled_{k:0{digits}}.png") for k in range(1, restarts + 1)]


# How a search ended without success, for its tile.
_ENDINGS = {"MAX_STEPS": ", all taken", "PLATEAU": ", plateau", "NONFINITE": ", not finite"}


def tile(record: Mapping[str, Any], picture: np.ndarray, downscaled: np.ndarray) -> SheetTile:
    """A solution for a contact sheet, no larger than one shows it; `record` is its `solution_record`."""
    if max(picture.shape) > _SHEET_SIDE:
        small = Image.fromarray(to_uint8(picture)).resize((_SHEET_SIDE, _SHEET_SIDE), Image.Resampling.LANCZOS)
        picture = from_uint8(np.asarray(small))
    # A feasible picture may come from a search that failed later, which would only confuse; an interpolation took none.
    ending = "" if record["feasible"] or not record["steps"] else _ENDINGS.get(record["status"], "")
    error = math.nan if record["downscaling_error"] is None else record["downscaling_error"]
    return SheetTile(
        image=picture,
        caption=f"{short(error)} {'feasible' if record['feasible'] else 'missed'}",
        detail=f"{record['steps']} steps{ending}",
        good=record["feasible"],
        small=downscaled,
    )


def solution_record(solution: Kept, files: tuple[str, str], command: str) -> dict[str, Any]:
    """An entry of `summary.json`: `files` are the picture and its downscaled version, `command` makes them again."""
    return {
        "image": files[0],
        "downscaled": files[1],
        "restart": solution.restart,
        "status": solution.status.name,
        "feasible": solution.feasible,
        "downscaling_error": _number(solution.downscaling_error),
        "search_error": _number(solution.search_error),
        "loss": _number(solution.loss),
        "steps": solution.steps,
        "feasible_at": solution.feasible_at,
        "evaluations": solution.evaluations,
        "command": command,
    }


def variation_record(variation: Solution, files: tuple[str, str]) -> dict[str, Any]:
    """An entry among its solution's `variations`: the number of its draw, its files, and its own errors and verdict."""
    return {
        "variation": variation.variation,
        "image": files[0],
        "downscaled": files[1],
        "feasible": variation.feasible,
        "downscaling_error": _number(variation.downscaling_error),
        "search_error": _number(variation.search_error),
        "loss": _number(variation.loss),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
