"""Contact sheets of a run: of one input, and of the first inputs together."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pulse_jax.images.files import ImageError, read_image
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.reports.contact_sheet import MAX_PER_ROW, SheetRow, SheetTile, contact_sheet
from pulse_jax.runs.formats import InputRecord, SolutionRecord
from pulse_jax.runs.inputs import title_of
from pulse_jax.runs.plan import RunPlan
from pulse_jax.runs.records import Tally
from pulse_jax.search.plausibility import UNUSUAL
from pulse_jax.search.presets import INTERPOLATIONS
from pulse_jax.system.text import printable, short

__all__ = ["Look", "input_sheet", "inputs_shown", "run_sheet", "sheet_footer", "tile"]

_TILE_SIDE = 256
# As many pictures as a sheet might have room for.
_MOST_TILES = 320
# How a search ended without success.
_ENDINGS = {"MAX_STEPS": ", all taken", "PLATEAU": ", plateau", "NONFINITE": ", not finite"}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the sheets of one run have in common.

    Attributes:
        folder: Folder of the run.
        eps: Largest error that counts as feasible.
        count: Solutions of each input that were wanted.
        footer: Text at the foot.
        rank: What solutions are sorted by, after feasible ones come first.
        originals: Pictures (H, W, 3) that inputs were made from, by the inputs' names.
    """

    folder: Path
    eps: float
    count: int
    footer: str
    rank: str = "loss"
    originals: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: RunPlan) -> "Look":
        """Return the look of a planned run's sheets."""
        return cls(
            folder=plan.output,
            eps=plan.config.eps,
            count=plan.quota.count,
            footer=plan.footer,
            rank=plan.rank,
            originals=plan.originals,
        )


def sheet_footer(preset: str, config: Mapping[str, Any], seed: int, generator: str) -> str:
    """Return the text at the foot of every sheet of a run.

    Args:
        preset: The preset, by name.
        config: Settings of the search, or of the interpolation, by name.
        seed: What the random starts were drawn from.
        generator: Folder of the generator.
    """
    told = [f"Differences are mean squared errors of [0, 1] pictures; eps {config['eps']:g}"]
    if preset in INTERPOLATIONS:
        told.append(f"enlarged by {preset} interpolation, without a search.")
    else:
        name = Path(generator).name
        told += [f"preset {preset}", f"at most {config['steps']} steps", f"seed {seed}", f"generator {name}."]
    text = ", ".join(told)
    if config.get("exact"):
        text += " Moved is by how many of 255 levels (root mean square) a picture was changed to downscale exactly."
    if preset not in INTERPOLATIONS:
        text += " The people in the solutions are imagined; they do not exist."
    return text


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
    unusual = ", unusual" if record.get("plausibility", UNUSUAL) < UNUSUAL else ""
    error = math.nan if record["downscaling_error"] is None else record["downscaling_error"]
    return SheetTile(
        image=picture,
        caption=f"{short(error, eps)} {'feasible' if record['feasible'] else 'missed'}",
        detail=f"{record['steps']} steps{ending}{moved}{unusual}",
        good=record["feasible"],
        small=downscaled,
    )


def input_sheet(look: Look, record: InputRecord, low_res: np.ndarray, tiles: Sequence[SheetTile]) -> np.ndarray:
    """Return the sheet of one input, (H, W, 3) uint8.

    Args:
        look: What its sheets have in common.
        record: Entry of the input.
        low_res: Its pixels (h, h, 3) in [0, 1].
        tiles: Its solutions, best first; those that are missing at the end are counted.
    """
    title = printable(title_of(Path(record["input"]), record.get("face", 0)))
    counted = Tally()
    counted.add(record)
    return _sheet(look, [_row(look, record, low_res, tiles)], title, counted)


def inputs_shown(look: Look) -> int:
    """Return how many inputs the sheet of a run might have room for, one at least."""
    return max(1, _MOST_TILES // look.count)


def run_sheet(look: Look, records: Sequence[InputRecord], tally: Tally) -> np.ndarray | None:
    """Return the sheet of a run, (H, W, 3) uint8, from the files of its results; None if there are none.

    Args:
        look: What its sheets have in common.
        records: Entries of the first finished inputs, as many as there is room for.
        tally: What all finished inputs come to.
    """
    rows = []
    for record in records:
        with contextlib.suppress(ImageError):  # somebody has taken a picture away; the rest is shown
            tiles = [
                tile(entry, _read(look, entry["image"]), _read(look, entry["downscaled"]), look.eps)
                for entry in record["solutions"][:MAX_PER_ROW]
            ]
            rows.append(_row(look, record, _read(look, record["solved"]), tiles))
    if not rows:
        return None
    count = f"{tally.inputs} input{'s' if tally.inputs > 1 else ''}"
    title = f"{count}, {look.count} solution{'s' if look.count > 1 else ''} each"
    if len(rows) < tally.inputs:
        title += f" (the first {len(rows)} are shown)"
    return _sheet(look, rows, title, tally)


def _read(look: Look, file: str) -> np.ndarray:
    return read_image(look.folder / file).pixels


def _row(look: Look, record: InputRecord, low_res: np.ndarray, tiles: Sequence[SheetTile]) -> SheetRow:
    title, more = title_of(Path(record["input"]), record.get("face", 0)), len(record["solutions"]) - len(tiles)
    original = look.originals.get(record["solved"].partition("/")[0])
    shown = [] if original is None else [SheetTile(original, "the original", "not shown to the search")]
    return SheetRow(title, low_res, [*tiles, *shown], ", ".join(record["notes"]), more)


def _sheet(look: Look, rows: Sequence[SheetRow], title: str, tally: Tally) -> np.ndarray:
    then = "the more plausible ones" if look.rank == "plausible" else "those of lower loss"
    told = (
        f"{tally.feasible} of {tally.solutions} solutions are feasible: downscaled, they differ from the input by at "
        f"most {look.eps:g}; they come first, then {then}"
    )
    if tally.unusual:
        told += f"; {tally.unusual} unusual: 99 % of the generator's own samples are more plausible"
    return contact_sheet(rows, title=title, subtitle=told, footer=look.footer)
