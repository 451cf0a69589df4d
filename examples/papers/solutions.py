"""Figures that both papers have: many solutions of an input, and solutions of inputs that were disturbed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from examples.papers.evaluated import Evaluation, Row, values
from examples.papers.quoted import DISTURBANCES
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.degradations.cases import Case
from pulse_jax.reports import metrics
from pulse_jax.reports.contact_sheet import SheetRow, SheetTile, contact_sheet
from pulse_jax.reports.statistics import bootstrap_interval
from pulse_jax.system.text import short

__all__ = [
    "DISTURBED_COLUMNS",
    "disturbed_sheet",
    "disturbed_table",
    "disturbed_verdict",
    "diversity_of",
    "motion_told",
    "robustness",
    "tile",
    "truth_tile",
]

DISTURBED_COLUMNS = (
    "what became of inputs",
    "preset",
    "feasible",
    "error to the given input",
    "to the clean input [95 %]",
    "of the given to the clean input",
    "nearer to the clean one",
    "PSNR [dB]",
)


def tile(evaluation: Evaluation, case: Case, row: Row, detail: str = "") -> SheetTile:
    """Return a solution for a sheet, with what it downscales to."""
    image, feasible = evaluation.image(row), row["feasible"] == "True"
    error = short(float(row["downscaling_error"]))
    small = Bicubic(case.factor).apply_float64(image)
    return SheetTile(image, f"{error} {'feasible' if feasible else 'missed'}", detail, feasible, np.clip(small, 0, 1))


def truth_tile(evaluation: Evaluation, case: Case, picture: str) -> SheetTile:
    """Return the true picture for a sheet."""
    return SheetTile(evaluation.truth(picture), "the truth", "not searched with", None, evaluation.clean(case, picture))


def robustness(evaluation: Evaluation, case: Case, preset: str) -> dict[str, Any]:
    """Return how near solutions of disturbed inputs come to what was given, and to what was not.

    Errors are mean squared ones of solutions, downscaled bicubically: against the disturbed input that the search was
    given, and against the clean one, which pictures merely downscale to. Both papers say that the latter is the lower.
    """
    rows = evaluation.best(case, preset)
    to_given, to_clean = values(rows, "downscaling_error"), values(rows, "clean_error")
    apart = [
        np.mean(np.square(evaluation.given(case, row["picture"]) - evaluation.clean(case, row["picture"])))
        for row in rows
    ]
    low, high = bootstrap_interval(to_clean)
    gain = to_given - to_clean
    return {
        "pictures": len(rows),
        "feasible": float(np.mean([row["feasible"] == "True" for row in rows])),
        "error_to_given": float(to_given.mean()),
        "error_to_clean": {"mean": float(to_clean.mean()), "low": low, "high": high},
        "given_to_clean": float(np.mean(apart)),
        "nearer_to_clean": int(np.sum(gain > 0)),
        "gain": [float(gain.mean()), *bootstrap_interval(gain)],
        "psnr": float(values(rows, "psnr").mean()),
    }


def disturbed_table(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[list[str]]:
    """Return the rows of a table of `robustness`, by chains and presets, under `DISTURBED_COLUMNS`."""
    rows = []
    for (chain, preset), one in found.items():
        clean = one["error_to_clean"]
        interval = f"{short(clean['mean'])} [{short(clean['low'])}, {short(clean['high'])}]"
        nearer = f"{one['nearer_to_clean']} of {one['pictures']}"
        errors = [short(one["error_to_given"]), interval, short(one["given_to_clean"])]
        rows.append([DISTURBANCES[chain], preset, f"{one['feasible']:.2f}", *errors, nearer, f"{one['psnr']:.1f}"])
    return rows


def disturbed_verdict(found: Mapping[tuple[str, str], Mapping[str, Any]], presets: Sequence[str]) -> str:
    """Return in words for which disturbances the papers' claim holds, by the interval of the errors' difference."""
    parts = []
    for preset in presets:
        sides: dict[str, list[str]] = {"clean": [], "given": [], "neither": []}
        for (chain, name), one in found.items():
            if name == preset:
                low, high = one["gain"][1:]
                sides["clean" if low > 0 else "given" if high < 0 else "neither"].append(DISTURBANCES[chain])
        said = {
            "clean": "nearer to the clean input than to the given one under",
            "given": "nearer to the given one, disturbance and all, under",
            "neither": "undecided under",
        }
        listed = {side: ", ".join(f"“{name}”" for name in names) for side, names in sides.items() if names}
        told = "; ".join(f"{said[side]} {names}" for side, names in listed.items())
        kept = [
            f"{DISTURBANCES[chain]} {_times(one['error_to_clean']['mean'] / one['given_to_clean'])}"
            for (chain, name), one in found.items()
            if name == preset and one["given_to_clean"]
        ]
        parts.append(f"`{preset}` is {told}. Its error to the clean input is so many times the given input's own: ")
        parts[-1] += f"{', '.join(kept)}."
    return " ".join(parts)


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def motion_told(size: int) -> str:
    """Return how long the motion is in pictures of a size."""
    return f"Motion of 100 in 1024 pixels is {100 * size / 1024:.3g} in {size}."


def disturbed_sheet(
    evaluation: Evaluation, cases: Sequence[Case], presets: Sequence[str], picture: str, title: str
) -> np.ndarray:
    """Draw solutions of one picture's disturbed inputs, a line for each disturbance; uint8 (h, w, 3)."""
    rows = []
    for case in cases:
        tiles = []
        for preset in presets:
            row = next(row for row in evaluation.best(case, preset) if row["picture"] == picture)
            image = evaluation.image(row)
            caption = f"{short(float(row['clean_error']))} to clean"
            detail = f"{short(float(row['downscaling_error']))} to given"
            small = np.clip(Bicubic(case.factor).apply_float64(image), 0, 1)
            nearer = float(row["clean_error"]) < float(row["downscaling_error"])
            tiles.append(SheetTile(image, caption, detail, nearer, small))
        tiles.append(SheetTile(evaluation.truth(picture), "the truth", "", None, evaluation.clean(case, picture)))
        rows.append(SheetRow(DISTURBANCES[case.degradation], evaluation.given(case, picture), tiles, f"{case.factor}x"))
    return contact_sheet(
        rows,
        title=title,
        subtitle="Searches are given the disturbed input and assume plain bicubic downscaling. A tick: what the "
        "solution downscales to (small) is nearer to the clean input than to the given one.",
        columns=[*presets, "the truth"],
    )


def diversity_of(images: Sequence[np.ndarray], factor: int) -> float:
    """Return how much solutions of an input differ, on average, in what it does not show."""
    return metrics.pairwise_diversity(np.stack([np.asarray(image, np.float64) for image in images]), factor)
