"""The tables of an evaluation: for the terminal and Markdown, for LaTeX, and for a page."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pulse_jax.reports.evaluation import COLUMNS, FEASIBLE, CaseResult, Column, Estimate, GroupResult
from pulse_jax.reports.tables import markdown

__all__ = [
    "Cell",
    "Table",
    "case_table",
    "group_tables",
    "html_tables",
    "latex_tables",
    "markdown_tables",
    "missing_lines",
]

_SURE = 0.05
_LEGEND = (
    "Means over pictures, of each the best solution, with 95 % intervals (bootstrap over pictures; shares: Wilson). "
    "* differs from the first row (paired tests, Holm-corrected, p < 0.05). The best of a column is set in bold."
)
_GROUP_LEGEND = (
    "By groups of people, each of whom counts once, with means over all kinds of inputs (feasible: all of them are). "
    "† where groups differ (Kruskal-Wallis, not corrected for the many columns, p < 0.05)."
)


class Cell(NamedTuple):
    """A number, its interval as text, whether it is the best of its column, and a mark after it."""

    mean: str
    interval: str = ""
    is_best: bool = False
    mark: str = ""


class Table(NamedTuple):
    """A table: its title, headings, and rows of a name and cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    legend: str


def case_table(case: CaseResult) -> Table:
    """Return the table of a case: a row for each preset, a column for each number that any of them has."""
    presets = case["presets"]
    columns = [column for column in COLUMNS if any(column.name in one["numbers"] for one in presets.values())]
    rows: list[tuple[str, Sequence[Cell]]] = []
    for name, one in presets.items():
        cells = []
        for column in columns:
            sure = one["tests"].get(column.name, 1.0) < _SURE
            best = _is_best(column, one["numbers"].get(column.name), [p["numbers"] for p in presets.values()])
            cells.append(_cell(column, one["numbers"].get(column.name), is_best=best, mark="*" if sure else ""))
        rows.append((name, cells))
    counts = sorted({one["inputs"] for one in presets.values()})
    told = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    title = f"{case['factor']}×, {case['degradation']}: {told} picture{'s' * (counts != [1])}"
    return Table(title, ["preset", *(column.label for column in columns)], rows, _LEGEND)


def group_tables(groups: Iterable[GroupResult]) -> list[Table]:
    """Return a table for each preset and attribute: a row for each group."""
    tables = []
    for one in groups:
        found = one["groups"]
        columns = [column for column in COLUMNS if any(column.name in numbers for numbers in found.values())]
        rows = [
            (
                f"{name} ({max((e['count'] for e in numbers.values()), default=0)})",
                [
                    _cell(column, numbers.get(column.name), mark="†" * (one["tests"].get(column.name, 1.0) < _SURE))
                    for column in columns
                ],
            )
            for name, numbers in found.items()
        ]
        title = f"{one['preset']} by {one['attribute']}"
        tables.append(Table(title, [one["attribute"], *(column.label for column in columns)], rows, _GROUP_LEGEND))
    return tables


def _is_best(column: Column, own: Estimate | None, all_numbers: Sequence[Mapping[str, Estimate]]) -> bool:
    if own is None or not column.better or len(all_numbers) < 2:
        return False
    means = [numbers[column.name]["mean"] for numbers in all_numbers if column.name in numbers]
    # Where all are the same, none is.
    return min(means) < max(means) and own["mean"] == (max(means) if column.better == "higher" else min(means))


def _cell(column: Column, estimate: Estimate | None, *, is_best: bool = False, mark: str = "") -> Cell:
    if estimate is None:
        return Cell("–")
    digits = 2 if column.name == FEASIBLE or "[dB]" in column.label else None
    low, high = estimate.get("low"), estimate.get("high")
    interval = "" if low is None or high is None else f"[{_number(low, digits)}, {_number(high, digits)}]"
    return Cell(_number(estimate["mean"], digits), interval, is_best, mark)


def _number(value: float, digits: int | None) -> str:
    if digits is not None:
        return f"{value:.{digits}f}"
    if value and (abs(value) < 0.01 or abs(value) >= 1e4):
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def missing_lines(missing: Mapping[str, str]) -> list[str]:
    """Return why measures are missing, those that lack the same in one line.

    Args:
        missing: Reasons by measures' names, "LABEL needs WHAT" or others.
    """
    needing: dict[str, list[str]] = {}
    for reason in dict.fromkeys(missing.values()):
        label, _, what = reason.partition(" needs ")
        needing.setdefault(what, []).append(label)
    return [
        f"{', '.join(labels)} need{'s' * (len(labels) == 1)} {what}" if what else label
        for what, labels in needing.items()
        for label in (labels if not what else labels[:1])
    ]


def _legends(tables: Sequence[Table]) -> Iterator[str]:
    yield from dict.fromkeys(table.legend for table in tables)


def markdown_tables(tables: Sequence[Table]) -> str:
    """Return tables in Markdown, under headings of the second level."""
    parts = [f"{legend}\n" for legend in _legends(tables)]
    for table in tables:
        rows = [[_plain(name), *map(_markdown_cell, cells)] for name, cells in table.rows]
        parts.append(f"## {_plain(table.title)}\n\n{markdown([_plain(c) for c in table.columns], rows)}")
    return "\n".join(parts)


def _plain(text: str) -> str:
    """A text in which Markdown sees nothing of its own."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#~" else c for c in text)


def _markdown_cell(cell: Cell) -> str:
    mean = f"**{cell.mean}**" if cell.is_best else cell.mean
    mark = cell.mark.replace("*", "\\*")
    return f"{mean}{mark} {cell.interval}".strip()


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}", "×": r"$\times$", "√": r"$\surd$",
    "°": r"$^\circ$", "†": r"$^\dagger$", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in text)


def latex_tables(tables: Sequence[Table]) -> str:
    """Return tables in LaTeX, for the packages booktabs and graphicx."""
    parts = ["% \\usepackage{booktabs,graphicx}\n"]
    for table in tables:
        lines = [" & ".join(map(_tex, table.columns)) + r" \\", r"\midrule"]
        for name, cells in table.rows:
            lines.append(" & ".join([_tex(name), *map(_tex_cell, cells)]) + r" \\")
        body = "\n".join(lines)
        parts.append(
            "\\begin{table}\n\\centering\n"
            f"\\caption{{{_tex(table.title)}. {_tex(table.legend)}}}\n"
            "\\resizebox{\\linewidth}{!}{%\n"
            f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}\n"
            f"\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}}}\n\\end{{table}}\n"
        )
    return "\n".join(parts)


def _tex_cell(cell: Cell) -> str:
    mean = rf"\textbf{{{_tex(cell.mean)}}}" if cell.is_best else _tex(cell.mean)
    mark = "$^*$" if cell.mark == "*" else _tex(cell.mark)
    return f"{mean}{mark}" + (rf" {{\scriptsize {_tex(cell.interval)}}}" if cell.interval else "")


def html_tables(tables: Sequence[Table]) -> str:
    """Return tables as HTML, texts escaped."""
    parts = []
    for number, table in enumerate(tables):
        head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in table.columns)
        rows = "".join(
            f'<tr><th scope="row">{html.escape(name)}</th>{"".join(map(_html_cell, cells))}</tr>'
            for name, cells in table.rows
        )
        # What is wider than a screen is scrolled, by keys too.
        parts.append(
            f'<h3 id="table-{number}">{html.escape(table.title)}</h3>'
            f'<div class="wide" tabindex="0" role="region" aria-labelledby="table-{number}">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    legends = "".join(f'<p class="small soft">{html.escape(legend)}</p>' for legend in _legends(tables))
    return "".join(parts) + legends


def _html_cell(cell: Cell) -> str:
    mean = html.escape(cell.mean + cell.mark)
    mean = f"<strong>{mean}</strong>" if cell.is_best else mean
    interval = f'<span class="interval">{html.escape(cell.interval)}</span>' if cell.interval else ""
    return f"<td>{mean}{interval}</td>"
