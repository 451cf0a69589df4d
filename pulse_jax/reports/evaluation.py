"""What an evaluation comes to: means with intervals by preset and case, paired tests, and both by groups.

Rows are what was found of an input's best solution: names and numbers, None where there is no number. Everything here
is plain data in and out, as `results.json` holds it.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import scipy.stats

from pulse_jax.reports.measures import PICTURE_MEASURES, SET_MEASURES
from pulse_jax.reports.statistics import bootstrap_interval, holm, mcnemar, signed_rank, wilson_interval

__all__ = [
    "COLUMNS",
    "FEASIBLE",
    "CaseResult",
    "Column",
    "Estimate",
    "GroupResult",
    "PresetResult",
    "Row",
    "by_group",
    "case_result",
    "grouped",
]

FEASIBLE = "feasible"
"""The name of the share of inputs whose best solution is feasible."""
# Values that are cut into three parts, where they are numbers and more than so many.
_MANY = 10


@dataclass(frozen=True)
class Column:
    """A number of a table.

    Attributes:
        name: Its name in files.
        label: Its heading.
        better: Which direction is better; none of a number that only describes.
        of_set: Whether it is of all solutions together, and so without an interval.
    """

    name: str
    label: str
    better: Literal["higher", "lower", ""]
    of_set: bool = False


COLUMNS: tuple[Column, ...] = (
    Column(FEASIBLE, "feasible", "higher"),
    *(Column(m.name, f"{m.label} [{m.unit}]" if m.unit else m.label, m.better) for m in PICTURE_MEASURES),
    Column("plausibility", "plausibility [%]", "higher"),
    Column("diversity", "diversity", "higher"),
    Column("norm_flow", "latent norm under the flow / √d", ""),
    Column("norm_whitened", "whitened latent norm / √d", ""),
    Column("skin_lightness", "lighter skin than the truth [L*]", ""),
    Column("skin_ita", "skin's typology angle above the truth's [°]", ""),
    Column("evaluations", "evaluations", "lower"),
    *(Column(m.name, m.label, m.better, of_set=True) for m in SET_MEASURES),
)
"""Every number that a table may have, in its order."""

Row = Mapping[str, Any]


class Estimate(TypedDict):
    """A mean over pictures and its 95 % interval; of a number that is of all together, the interval is missing."""

    mean: float
    count: int
    low: NotRequired[float]
    high: NotRequired[float]


class PresetResult(TypedDict):
    """What a preset comes to on a case; tests are p-values against the first preset, corrected for all others."""

    inputs: int
    numbers: dict[str, Estimate]
    tests: dict[str, float]


class CaseResult(TypedDict):
    """What a case comes to, by presets."""

    name: str
    factor: int
    degradation: str
    presets: dict[str, PresetResult]


class GroupResult(TypedDict):
    """What a preset comes to by groups of an attribute, over all cases; tests are whether the groups differ."""

    attribute: str
    preset: str
    groups: dict[str, dict[str, Estimate]]
    tests: dict[str, float]


def case_result(
    name: str,
    factor: int,
    degradation: str,
    rows: Mapping[str, Sequence[Row]],
    sets: Mapping[str, Mapping[str, float | None]],
) -> CaseResult:
    """Return the results of one case.

    Intervals of means are of the bootstrap over pictures, those of shares Wilson's. Tests pair pictures: Wilcoxon's
    signed-rank test of numbers, McNemar's of verdicts, corrected by Holm's method for the presets.

    Args:
        name: What the case is called.
        factor: Its factor.
        degradation: Its chain.
        rows: One row for each input (its best solution's), by presets; the first preset is what others are held
            against. A row has `picture`, `feasible` and numbers by the names of `COLUMNS`.
        sets: Numbers that are of all solutions together, by presets.
    """
    presets: dict[str, PresetResult] = {}
    first = next(iter(rows))
    for preset, found in rows.items():
        numbers = _estimates(found)
        for column, value in sets.get(preset, {}).items():
            if value is not None:
                numbers[column] = {"mean": value, "count": len(found)}
        presets[preset] = {"inputs": len(found), "numbers": numbers, "tests": {}}
    for column in (column.name for column in COLUMNS if not column.of_set):
        others = [preset for preset in rows if preset != first]
        p_values = [_paired(column, rows[first], rows[other]) for other in others]
        for other, p in zip(others, holm(p_values), strict=True):
            if not math.isnan(p):
                presets[other]["tests"][column] = p
    return {"name": name, "factor": factor, "degradation": degradation, "presets": presets}


def _estimates(rows: Sequence[Row]) -> dict[str, Estimate]:
    numbers: dict[str, Estimate] = {}
    for column in COLUMNS:
        values = [float(row[column.name]) for row in rows if row.get(column.name) is not None]
        if column.of_set or not values:
            continue
        low, high = (
            wilson_interval(round(sum(values)), len(values)) if column.name == FEASIBLE else bootstrap_interval(values)
        )
        numbers[column.name] = {"mean": float(np.mean(values)), "count": len(values), "low": low, "high": high}
    return numbers


def _paired(column: str, first: Sequence[Row], other: Sequence[Row]) -> float:
    """The p-value of a column, of pictures that have it under both presets; not a number where none have."""
    before = {row["picture"]: row.get(column) for row in first}
    pairs = [(before.get(row["picture"]), row.get(column)) for row in other]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not known:
        return math.nan
    test = mcnemar if column == FEASIBLE else signed_rank
    return test(*(_told(values) for values in zip(*known, strict=True)))


def _told(values: Sequence[Any]) -> np.ndarray:
    """Values to six digits: what differs in rounding alone does not differ."""
    return np.array([float(f"{float(value):.6g}") for value in values])


def grouped(values: Mapping[str, str]) -> dict[str, str]:
    """Return the group of each picture: its value, or of many numbers the third that it lies in.

    Args:
        values: The attribute's value by pictures; empty where nobody knows, and left out.
    """
    known = {picture: value.strip() for picture, value in values.items() if value.strip()}
    numbers: dict[str, float] = {}
    for picture, value in known.items():
        try:
            numbers[picture] = float(value)
        except ValueError:
            return known
    if len({*numbers.values()}) <= _MANY or not all(map(math.isfinite, numbers.values())):
        return known
    cuts = np.quantile([*numbers.values()], [0, 1 / 3, 2 / 3, 1])
    names = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(cuts)]
    thirds = np.searchsorted(cuts[1:-1], [*numbers.values()], side="right")
    return {picture: names[third] for picture, third in zip(numbers, thirds, strict=True)}


def by_group(attribute: str, preset: str, rows: Sequence[Row], groups: Mapping[str, str]) -> GroupResult:
    """Return the results of one preset by groups of people, each of whom counts once: with the mean over its cases.

    A person counts as feasible where all of its inputs are.

    Tests are Kruskal and Wallis's (1952) of whether numbers differ between groups; of two they are Mann and Whitney's.
    They are not corrected: `holm` does that for those that are reported together.

    Args:
        attribute: What people are grouped by.
        preset: The preset.
        rows: One row for each input, of one case or several.
        groups: The group of each picture; others are left out.
    """
    people = _people(rows, groups)
    names = sorted({groups[row["picture"]] for row in people}, key=_natural)
    members = {name: [row for row in people if groups[row["picture"]] == name] for name in names}
    tests: dict[str, float] = {}
    for column in COLUMNS:
        samples = [
            _told([row[column.name] for row in some if row.get(column.name) is not None]) for some in members.values()
        ]
        samples = [sample for sample in samples if len(sample)]
        if column.of_set or len(samples) < 2:
            continue
        same = len({value for sample in samples for value in sample}) == 1
        tests[column.name] = 1.0 if same else float(scipy.stats.kruskal(*samples).pvalue)
    return {
        "attribute": attribute,
        "preset": preset,
        "groups": {name: _estimates(some) for name, some in members.items()},
        "tests": tests,
    }


def _people(rows: Sequence[Row], groups: Mapping[str, str]) -> list[Row]:
    """A row for each picture whose group is known, its numbers averaged."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["picture"] in groups:
            found.setdefault(row["picture"], []).append(row)
    people: list[Row] = []
    for picture, some in found.items():
        person: dict[str, Any] = {"picture": picture}
        for name in (column.name for column in COLUMNS):
            values = [float(row[name]) for row in some if row.get(name) is not None]
            if values:
                person[name] = min(values) if name == FEASIBLE else float(np.mean(values))
        people.append(person)
    return people


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers and ranges by their size, before words."""
    head = name.partition(" ")[0]
    try:
        return 0, float(head), name
    except ValueError:
        return 1, 0.0, name
