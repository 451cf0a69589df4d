import io

import pytest
from rich.console import Console

from pulse_jax.cli.live import Live
from pulse_jax.engine.progress import Progress
from pulse_jax.system.screen import Count, Screen


def at(done, steps, seconds, compile_seconds=2.0, feasible=0):
    return Progress(done, feasible, steps, 2 * steps, seconds, compile_seconds, 0.0)


def test_speed_leaves_compiling_out_and_time_left_learns_from_early_stops():
    live = Live(Screen(), total=8, steps=100)
    assert live.standing.steps_per_second is None and live.seconds_left is None
    live.update(at(0, 80, 3.0))
    assert live.standing.steps_per_second == 80
    assert live.seconds_left == (800 - 80) / 80
    live.update(at(4, 200, 4.0, feasible=3))
    assert live.standing.steps_per_second == 100
    assert live.seconds_left == (8 * 50 - 200) / 100


def test_searches_of_an_earlier_process_count_but_took_no_time():
    live = Live(Screen(), total=8, steps=100, earlier=(6, 5))
    live.update(at(1, 50, 3.0, feasible=1))
    assert live.done == 7
    assert live.seconds_left == (2 * 50 - 50) / 50
    assert live._words() == "7/8 searches, 6 feasible, 50 steps/s, 1 s left"


def test_elsewhere_than_on_a_terminal_there_are_few_plain_lines(capsys):
    with Live(Screen(), total=8, steps=100) as live:
        live.announce("compiling ...")
        for i in range(1000):
            live.update(at(0, i, 2.0 + i))
        live.update(at(8, 1000, 1002.0, feasible=3))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "compiling ..."
    assert lines[-1] == "8/8 searches, 3 feasible, 1.0 steps/s"
    assert len(lines) == 3


def test_on_a_terminal_there_is_a_bar():
    screen = Screen()
    screen.err = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Live(screen, total=8, steps=100) as live:
        live.announce("compiling ...")
        live.update(at(0, 80, 2.0))
        live.update(at(4, 200, 3.0, feasible=3))
        live._bar.refresh()
    shown = screen.err.file.getvalue()
    assert "━" in shown and "4/8 searches, 3 feasible, 200 steps/s, 1 s left" in shown


@pytest.mark.parametrize("name", ["[bold]x[/bold].png", ":smile:.png", "https://a.b/c.png", "x" * 300])
def test_texts_are_printed_as_they_are(capsys, name):
    screen = Screen()
    screen.result(name)
    screen.error(name)
    assert capsys.readouterr() == (f"{name}\n", f"{name}\n")


def test_a_count_says_what_is_left_in_few_lines(capsys, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    with Count(Screen(), "fitting") as count:
        for done in range(10, 1001, 10):
            count.update(done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fitting: 10 of 1,000"
    assert lines[1] == "fitting: 30 of 1,000, 1 min 37 s left"
    assert lines[-1] == "fitting: 1,000 of 1,000"
    assert len(lines) < 20


def test_a_count_on_a_terminal_is_a_bar_that_goes_away():
    screen = Screen()
    screen.err = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Count(screen, "fitting") as count:
        count.update(1, 2)
        count.update(2, 2)
    assert "fitting: 2 of 2" in screen.err.file.getvalue()
