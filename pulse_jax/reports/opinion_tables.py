"""What raters think of methods as tables: for the terminal, as Markdown and as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pulse_jax.reports.opinions import MethodOpinion, Opinions, PairTest
from pulse_jax.reports.tables import markdown
from pulse_jax.system.text import printable

__all__ = ["OpinionTable", "methods_csv", "opinion_tables", "opinions_markdown", "ratings_csv"]

_METHODS = "Mean opinion scores, 1 to 5"
_PAIRS = "Mann–Whitney U tests, two-sided"
_DEPENDENT = (
    "An interval is of 10,000 resamples of raters and of inputs, both at once. U is the first method's; its share is "
    "the chance that a rating of the first is above one of the second, ties counting half. The tests take every rating "
    "for an independent one, which those of one rater, or of one input, are not: their p-values are too small."
)


class OpinionTable(NamedTuple):
    """A table.

    Attributes:
        title: What stands above it.
        columns: Headings.
        rows: Cells, one for each column.
        words: How many columns, from the first, hold words; the others hold numbers.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int


def opinion_tables(methods: Sequence[MethodOpinion], pairs: Sequence[PairTest]) -> list[OpinionTable]:
    """Return the table of methods and, where there are several, that of pairs."""
    rows = [
        (printable(one.method), _number(one.mos), f"{_number(one.low)} – {_number(one.high)}", f"{one.ratings:,}")
        for one in methods
    ]
    tables = [OpinionTable(_METHODS, ("method", "MOS", "95 % interval", "ratings"), rows, 1)]
    if pairs:
        rows = [
            (
                printable(one.first),
                printable(one.second),
                f"{one.u:,.1f}",
                f"{one.share:.3f}",
                _p(one.p),
                _p(one.p_holm),
            )
            for one in pairs
        ]
        columns = ("first", "second", "U", "share", "p", "p (Holm)")
        tables.append(OpinionTable(_PAIRS, columns, rows, 2))
    return tables


def opinions_markdown(tables: Iterable[OpinionTable]) -> str:
    """Return the tables as a Markdown file, with what is to be known of them."""
    parts = [f"{table.title}:\n\n{markdown(table.columns, table.rows)}" for table in tables]
    return "\n".join([*parts, f"{_DEPENDENT}\n"])


def methods_csv(methods: Iterable[MethodOpinion]) -> str:
    """Return the methods' scores as CSV, with all digits; what a method without ratings does not have is empty."""
    return _csv(
        [("method", "mos", "low", "high", "ratings"), *((m.method, m.mos, m.low, m.high, m.ratings) for m in methods)]
    )


def ratings_csv(opinions: Opinions) -> str:
    """Return every rating as CSV: the rater's number, from 1, the method, the input and the score."""
    rows = (
        (rater + 1, opinions.methods[method], opinions.inputs[place], int(opinions.scores[rater, place, method]))
        for rater, place, method in zip(*opinions.scores.nonzero(), strict=True)
    )
    return _csv([("rater", "method", "input", "score"), *rows])


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _p(value: float) -> str:
    return "< 1e-300" if value < 1e-300 else f"{value:.2g}"
