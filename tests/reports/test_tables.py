"""Tables: every cell is there, as it is, on a terminal, in a file and in Markdown."""

import io

import pytest
from rich.console import Console

from pulse_jax.reports.tables import markdown, print_table


def printed(width, *arguments, **settings):
    console = Console(file=io.StringIO(), width=width)
    print_table(*arguments, **settings, console=console)
    return console.file.getvalue().splitlines()


def test_words_stand_to_the_left_and_numbers_to_the_right():
    title, heads, _, one, two = printed(
        80, "Title", ["preset", "kind", "error"], [["a", "b", "1.5"], ["longer", "bb", "1234.5"]], words=2
    )
    assert title.strip() == "Title"
    assert heads.split() == ["preset", "kind", "error"]
    assert one.split() == ["a", "b", "1.5"]
    assert one.index("a") == two.index("longer") == heads.index("preset")
    assert one.index("b") == two.index("bb") == heads.index("kind")
    assert len(one) == len(two) and one.endswith("1.5") and two.endswith("1234.5")


@pytest.mark.parametrize("width", [30, 27])
def test_columns_stand_closer_where_there_is_no_room(width):
    cells = ["1234567890"] * 2 + ["12345"]
    lines = printed(width, "t", ["a", "b", "c"], [cells])
    assert lines[-1].split() == cells and len(lines) == 4


def test_markup_is_no_markup():
    lines = printed(80, "[bold]t[/bold]", ["[red]a"], [["[/]"], ["[link=x]y[/link]"]])
    assert [line.strip() for line in lines if "─" not in line] == [
        "[bold]t[/bold]",
        "[red]a",
        "[/]",
        "[link=x]y[/link]",
    ]


def test_a_file_has_one_line_for_each_row(capsys):
    print_table("t", ["a name", *(f"heading {i}" for i in range(12))], [["x", *("1.2345678" for _ in range(12))]] * 2)
    assert (
        sum(line.startswith("x") and line.count("1.2345678") == 12 for line in capsys.readouterr().out.splitlines())
        == 2
    )


def test_a_markdown_table_has_a_row_per_line():
    assert markdown(["", "a|b"], [["x", "1"]]) == "|  | a\\|b |\n| --- | ---: |\n| x | 1 |\n"


@pytest.mark.parametrize("rows", [[], [["1"]]])
def test_a_table_of_no_rows_is_its_headings(rows):
    assert markdown(["a"], rows).count("\n") == 2 + len(rows)
