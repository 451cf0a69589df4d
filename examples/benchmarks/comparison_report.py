"""What `compare_presets.py` found, as numbers, tables, a sheet and a page."""

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from examples.benchmarks.comparison_inputs import InputSet
from pulse_jax.images.files import read_image, save_png
from pulse_jax.reports import metrics
from pulse_jax.reports.contact_sheet import SheetRow, SheetTile, contact_sheet
from pulse_jax.reports.page import Page, PageTile
from pulse_jax.reports.tables import markdown, print_table
from pulse_jax.search import presets
from pulse_jax.system.text import short

Records = Mapping[str, Mapping[tuple[str, str], Mapping[str, Any]]]
"""By preset, then by set and input."""

_Path = TypeVar("_Path", bound=pathlib.PurePath)

# Of each number its heading and its format.
COLUMNS = {
    "inputs": ("inputs", "d"),
    "feasible": ("feasible", ".2f"),
    "evaluations": ("evaluations to feasible", "g"),
    "seconds": ("seconds to feasible", ".2g"),
    "steps": ("steps taken", ".0f"),
    "psnr": ("PSNR", ".1f"),
    "ssim": ("SSIM", ".3f"),
    "swd": ("SWD ×1000", ".1f"),
    "diversity_made": ("diversity", ".3f"),
    "diversity_feasible": ("diversity, feasible", ".3f"),
    "whitened_norm": ("norm/√d", ".2f"),
    "whitened_far": ("far from √d", ".2f"),
    "flow_norm": ("norm/√d, flow", ".2f"),
    "flow_far": ("far, flow", ".2f"),
}
_MEANINGS = """\
One search of each input, the first, counts everywhere but for the diversity. Feasible: downscaled, the 8-bit picture
differs from its input by at most ε = {eps:g} (mean squared error). Evaluations of the generator and seconds until a
search was first feasible: medians of the searches that were; seconds with all lanes busy, without compilation. Steps
taken: the mean; some presets go on when they are feasible. PSNR and SSIM: the mean, against the truth. SWD: sliced
Wasserstein distance of 7×7 patches of the solutions to those of as many other held-out renders, mean over a Laplacian
pyramid's levels; it is biased, the more the fewer the pictures, and the truths' own is its floor. Diversity: root mean
square difference of two of four solutions of one input, in what downscaling does not see, over inputs with four (how
many, in brackets), and with four feasible ones. Norms of w's rows once whitened, relative to √d, and the share that is
more than three standard deviations of a Gaussian's norm away; the same after the flow, where the generator has one.
"""


def read_records(output: pathlib.Path) -> tuple[dict[str, Any], dict[str, dict[tuple[str, str], dict[str, Any]]]]:
    """Return settings and records of every preset that has any, in the presets' order."""
    settings, records = {}, {}
    for name in presets.PRESETS:
        path = output / f"{name}.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        if len(lines) > 1:
            settings[name] = lines[0]
            records[name] = {(line["set"], line["input"]): line for line in lines[1:]}
    return settings, records


def patch_distance(pictures: np.ndarray, others: np.ndarray) -> float:
    """Return the mean over levels of `metrics.patch_distances`, ×1000, between equally many pictures."""
    count = min(len(pictures), len(others))
    return 1000 * float(np.mean(metrics.patch_distances(pictures[:count], others[:count])))


def numbers(found: Sequence[Mapping[str, Any]], pictures: np.ndarray, others: np.ndarray) -> dict[str, Any]:
    """Return one preset's numbers on one set: `found` are the records, `pictures` the first solutions."""
    searches = [record["searches"][0] for record in found]
    reached = [
        # A search that was feasible by a hair is so by the last look, as far as it knows itself.
        (one["feasible_at"] or one["steps"], record["step_seconds"])
        for record, one in zip(found, searches, strict=True)
        if one["feasible"]
    ]
    timed = [steps * seconds for steps, seconds in reached if seconds is not None]
    row: dict[str, Any] = {
        "inputs": len(found),
        "feasible": float(np.mean([one["feasible"] for one in searches])),
        "evaluations": statistics.median(steps for steps, _ in reached) if reached else None,
        "seconds": statistics.median(timed) if timed else None,
        "steps": statistics.fmean(one["steps"] for one in searches),
        "swd": patch_distance(pictures, others),
    }
    for name in ("psnr", "ssim"):
        values = [record[name] for record in found if record[name] is not None]
        row[name] = statistics.fmean(values) if values else None
    for name in ("made", "feasible"):
        values = [record["diversity"][name] for record in found if name in record["diversity"]]
        row[f"diversity_{name}"] = statistics.fmean(values) if values else None
        row[f"diversity_{name}_inputs"] = len(values)
    for space in ("whitened", "flow"):
        norms = [record["norms"][space] for record in found if space in record["norms"]]
        weights = [norm["count"] for norm in norms]
        for ours, theirs in (("norm", "mean"), ("far", "far")):
            mean = np.average([norm[theirs] for norm in norms], weights=weights) if norms else None
            row[f"{space}_{ours}"] = None if mean is None else float(mean)
    return row


def cell(name: str, row: Mapping[str, Any]) -> str:
    """Return a number of a table as text, with how many inputs it is of where that differs."""
    if row.get(name) is None:
        return "–"
    count = row.get(f"{name}_inputs")
    return format(row[name], COLUMNS[name][1]) + ("" if count is None else f" ({count})")


def write(output: pathlib.Path, sets: Sequence[InputSet], others: np.ndarray, eps: float, shown: int) -> dict[str, Any]:
    """Write `compared.json`, `compared.md`, `compared.png` and `index.html`; print the numbers and return them.

    Args:
        output: Folder with the searches' results.
        sets: All inputs.
        others: Held-out renders (m, H, W, 3) that are no truths.
        eps: The largest error that is feasible.
        shown: Inputs of each set on the sheet.
    """
    settings, records = read_records(output)
    compared: dict[str, Any] = {"eps": eps, "settings": settings, "sets": {}}
    text = ["# Presets compared\n", _MEANINGS.format(eps=eps)]
    tables: dict[str, tuple[list[str], list[list[str]]]] = {}
    for inputs in sets:
        rows = {"the truths": {"inputs": len(inputs), "swd": patch_distance(inputs.truths, others)}}
        for name in records:
            labels = [label for label in inputs.names if (inputs.name, label) in records[name]]
            if labels:
                pictures = np.stack([read_image(picture_path(output, name, inputs, label)).pixels for label in labels])
                rows[name] = numbers([records[name][inputs.name, label] for label in labels], pictures, others)
        compared["sets"][inputs.name] = {"title": inputs.title, "inputs": len(inputs), "rows": rows}
        used = [name for name in COLUMNS if any(row.get(name) is not None for row in rows.values())]
        lines = [[name, *(cell(column, row) for column in used)] for name, row in rows.items()]
        tables[inputs.name] = ["", *(COLUMNS[name][0] for name in used)], lines
        print_table(f"{inputs.title}: {len(inputs)} inputs", *tables[inputs.name])
        text += [f"## {inputs.title}\n", markdown(*tables[inputs.name])]
    (output / "compared.json").write_text(json.dumps(compared, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (output / "compared.md").write_text("\n".join(text), encoding="utf-8")
    if records:
        save_png(output / "compared.png", sheet(output, sets, records, eps, shown))
        (output / "index.html").write_text(page(output, sets, records, tables, eps), encoding="utf-8")
    return compared


def picture_path(output: _Path, preset: str, inputs: InputSet, label: str) -> _Path:
    """Return where the first solution of an input lies."""
    return output / preset / inputs.name / f"{label}.png"


def verdict(record: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Return what is said of an input's first solution: caption, detail, and whether it is feasible."""
    first = record["searches"][0]
    psnr = "" if record["psnr"] is None else f"{record['psnr']:.1f} dB"
    steps = f", {first['steps']} steps" if first["steps"] else ""
    return f"{short(first['error'])} {'feasible' if first['feasible'] else 'missed'}", psnr + steps, first["feasible"]


def complete(inputs: InputSet, records: Records) -> list[int]:
    """Return the inputs that every preset has searched."""
    return [i for i, label in enumerate(inputs.names) if all((inputs.name, label) in records[name] for name in records)]


def sheet(output: pathlib.Path, sets: Sequence[InputSet], records: Records, eps: float, shown: int) -> np.ndarray:
    """Draw some inputs of each set, one to a line, with the truth and every preset's first solution in columns."""
    rows = []
    for inputs in sets:
        ready = complete(inputs, records)
        chosen = sorted({ready[int(k)] for k in np.linspace(0, len(ready) - 1, min(shown, len(ready))).round()})
        for i in chosen:
            label = inputs.names[i]
            tiles = [SheetTile(inputs.truths[i], "the truth", "not shown to the search")]
            for name in records:
                caption, detail, good = verdict(records[name][inputs.name, label])
                picture = read_image(picture_path(output, name, inputs, label)).pixels
                tiles.append(SheetTile(picture, caption, detail, good))
            note = ", ".join(filter(None, [inputs.title, inputs.notes[i]]))
            rows.append(SheetRow(label, inputs.low_res[i], tiles, note))
    if not rows:
        raise SystemExit(f"{output}: no input has been searched by all of {', '.join(records)}; let each finish one")
    return contact_sheet(
        rows,
        title="The same inputs under every preset",
        subtitle="The first search of each input. Feasible: downscaled, it differs from the input by at most "
        f"{eps:g}; below, how near it is to the truth.",
        footer="Differences are mean squared errors of [0, 1] pictures. The people in the solutions are imagined.",
        columns=["the truth", *records],
    )


def page(
    output: pathlib.Path,
    sets: Sequence[InputSet],
    records: Records,
    tables: Mapping[str, tuple[list[str], list[list[str]]]],
    eps: float,
) -> str:
    """Return all inputs and every preset's first solution as HTML that shows the pictures in the folder."""
    made = Page("Presets compared")
    made.paragraph(_MEANINGS.format(eps=eps))
    for inputs in sets:
        made.heading(inputs.title)
        made.table(*tables[inputs.name])
        home = pathlib.PurePath("inputs", inputs.name)
        (output / home).mkdir(parents=True, exist_ok=True)
        rows = []
        for i, label in enumerate(inputs.names):
            shown = {"input": inputs.low_res[i], "truth": inputs.truths[i]}
            paths = {name: home / f"{label}_{name}.png" for name in shown}
            for name, pixels in shown.items():
                save_png(output / paths[name], pixels)
            row = [PageTile(paths["input"], label, inputs.notes[i], crisp=True), PageTile(paths["truth"])]
            rows.append([*row, *(_page_tile(inputs, label, name, records[name]) for name in records)])
        made.pictures(["input", "the truth", *records], rows)
    return made.html()


def _page_tile(
    inputs: InputSet, label: str, name: str, found: Mapping[tuple[str, str], Mapping[str, Any]]
) -> PageTile | str:
    """What stands on the page for a preset's first solution of an input."""
    record = found.get((inputs.name, label))
    if record is None:
        return "not yet searched"
    return PageTile(picture_path(pathlib.PurePath(), name, inputs, label), *verdict(record))
