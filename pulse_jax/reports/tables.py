"""One table for the terminal and for a Markdown file."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["markdown", "print_table"]


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    table = Table(title=escape(title), title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(escape(column), justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    # A file has no width; wide enough for one line per row.
    (console if console.is_terminal else Console(width=200)).print(table)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table in Markdown, ending with a newline."""
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
