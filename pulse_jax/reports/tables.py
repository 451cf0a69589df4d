"""One table for the terminal and for a Markdown file."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["markdown", "print_table"]


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: int = 1,
    console: Console | None = None,
) -> None:
    """Print a table.

    Args:
        title: Line above it.
        columns: Headings.
        rows: Cells, one for each column.
        words: How many columns, from the first, hold words and stand to the left; the others hold numbers.
        console: Console to print on. By default standard output; what is no terminal gets a line for each row, however
            long.
    """
    table = Table(
        title=escape(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for i, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if i < words else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    if console is None:
        console = Console()
        # A file has no width; wide enough for one line per row.
        console = console if console.is_terminal else Console(width=200)
    if console.measure(table, options=console.options.update(max_width=10_000)).maximum > console.width:
        table.padding = 0
    console.print(table)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, ending with a newline; its first column holds words, the others numbers."""
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
