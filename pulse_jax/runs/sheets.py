"""Contact sheets of a run: of one input, and of the first inputs together."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pulse_jax.images.files import ImageError, read_image
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.reports.contact_sheet import MAX_PER_ROW, SheetRow, SheetTile, contact_sheet
from pulse_jax.runs.formats import InputRecord, SolutionRecord
from pulse_jax.runs.inputs import title_of
from pulse_jax.runs.plan import RunPlan
from pulse_jax.runs.records import Tally
from pulse_jax.system.text import printable, short

__all__ = ["input_sheet", "inputs_shown", "run_sheet", "tile"]

_TILE_SIDE = 256
# As many pictures as a sheet might have room for.
_MOST_TILES = 320
# How a search ended without success.
_ENDINGS = {"MAX_STEPS": ", all taken", "PLATEAU": ", plateau", "NONFINITE": ", not finite"}


def tile(record: SolutionRecord, picture: np.ndarray, downscaled: np.ndarray, eps: float) -> SheetTile:
    """Return a solution as a contact sheet shows it, no larger than it does.

    Args:
        record: Entry of the solution.
        picture: Its picture (H, W, 3) in [0, 1].
        downscaled: What that downscales to, (h, w, 3) in [0, 1].
        eps: Largest error that counts as feasible.
    """
    if max(picture.shape) > _TILE_SIDE:
        small = Image.fromarray(to_uint8(picture)).resize((_TILE_SIDE, _TILE_SIDE), Image.Resampling.LANCZOS)
        picture = from_uint8(np.asarray(small))
    # A feasible picture may come from a search that failed later, which would only confuse; an interpolation took none.
    ending = "" if record["feasible"] or not record["steps"] else _ENDINGS.get(record["status"], "")
    moved = f", moved {255 * shift:.2g}" if (shift := record.get("moved", 0.0)) else ""
    error = math.nan if record["downscaling_error"] is None else record["downscaling_error"]
    return SheetTile(
        image=picture,
        caption=f"{short(error, eps)} {'feasible' if record['feasible'] else 'missed'}",
        detail=f"{record['steps']} steps{ending}{moved}",
        good=record["feasible"],
        small=downscaled,
    )


def input_sheet(plan: RunPlan, record: InputRecord, low_res: np.ndarray, tiles: Sequence[SheetTile]) -> np.ndarray:
    """Return the sheet of one input, (H, W, 3) uint8.

    Args:
        plan: Plan of the run.
        record: Entry of the input.
        low_res: Its pixels (h, h, 3) in [0, 1].
        tiles: Its solutions, best first; those that are missing at the end are counted.
    """
    feasible = sum(entry["feasible"] for entry in record["solutions"])
    title = printable(title_of(Path(record["input"]), record.get("face", 0)))
    return _sheet(plan, [_row(plan, record, low_res, tiles)], title, feasible, len(record["solutions"]))


def inputs_shown(plan: RunPlan) -> int:
    """Return how many inputs the sheet of a run might have room for, one at least."""
    return max(1, _MOST_TILES // plan.quota.count)


def run_sheet(plan: RunPlan, records: Sequence[InputRecord], tally: Tally) -> np.ndarray | None:
    """Return the sheet of a run, (H, W, 3) uint8, from the files of its results; None if there are none.

    Args:
        plan: Plan of the run.
        records: Entries of the first finished inputs, as many as there is room for.
        tally: What all finished inputs come to.
    """
    rows = []
    for record in records:
        with contextlib.suppress(ImageError):  # somebody has taken a picture away; the rest is shown
            tiles = [
                tile(entry, _read(plan, entry["image"]), _read(plan, entry["downscaled"]), plan.config.eps)
                for entry in record["solutions"][:MAX_PER_ROW]
            ]
            rows.append(_row(plan, record, _read(plan, record["solved"]), tiles))
    if not rows:
        return None
    count = f"{tally.inputs} input{'s' if tally.inputs > 1 else ''}"
    title = f"{count}, {plan.quota.count} solution{'s' if plan.quota.count > 1 else ''} each"
    if len(rows) < tally.inputs:
        title += f" (the first {len(rows)} are shown)"
    return _sheet(plan, rows, title, tally.feasible, tally.solutions)


def _read(plan: RunPlan, file: str) -> np.ndarray:
    return read_image(plan.output / file).pixels


def _row(plan: RunPlan, record: InputRecord, low_res: np.ndarray, tiles: Sequence[SheetTile]) -> SheetRow:
    title, more = title_of(Path(record["input"]), record.get("face", 0)), len(record["solutions"]) - len(tiles)
    original = plan.originals.get(record["solved"].partition("/")[0])
    shown = [] if original is None else [SheetTile(original, "the original", "not shown to the search")]
    return SheetRow(title, low_res, [*tiles, *shown], ", ".join(record["notes"]), more)


def _sheet(plan: RunPlan, rows: Sequence[SheetRow], title: str, feasible: int, solutions: int) -> np.ndarray:
    return contact_sheet(
        rows,
        title=title,
        subtitle=f"{feasible} of {solutions} solutions are feasible: downscaled, "
        f"they differ from the input by at most {plan.config.eps:g}; they come first, then those of lower loss",
        footer=plan.footer,
    )
