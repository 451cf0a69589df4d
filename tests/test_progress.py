import io

import pytest
from rich.console import Console

from pulse_jax.engine import Progress
from pulse_jax.progress import Live, Screen, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (65.0, "1 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7800.0, "2 h 10 min"),
    ],
)
def test_durations_as_a_person_says_them(seconds, words):
    assert duration(seconds) == words


def at(done, steps, seconds, compile_seconds=2.0, feasible=0):
    return Progress(done, 8, steps, seconds, compile_seconds, feasible)


def test_speed_leaves_compiling_out_and_time_left_learns_from_early_stops():
    live = Live(Screen(), total=8, steps=100)
    live.begin("8x8 inputs")
    live.update(at(0, 80, 2.0))
    assert live.steps_per_second is None and live.seconds_left is None
    live.update(at(0, 160, 3.0))
    assert live.steps_per_second == 80
    assert live.seconds_left == (800 - 160) / 80
    live.update(at(4, 200, 3.5, feasible=3))
    assert live.seconds_left == (8 * 50 - 200) / 80
    assert (live.done, live.feasible, live.compile_seconds) == (4, 3, 2.0)


def test_only_the_engines_seconds_count(monkeypatch):
    """Time that goes by between two reports, in writing results, is no search time unless the engine says so."""
    clock = iter(range(0, 10**6, 1000))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    live = Live(Screen(), total=8, steps=100)
    live.begin("8x8 inputs")
    live.update(at(0, 80, 2.0))
    live.update(at(4, 160, 3.0))
    live.update(at(8, 320, 5.0))
    assert live.steps_per_second == 80 and live.seconds == 5.0


def test_several_searches_add_up():
    live = Live(Screen(), total=16, steps=100)
    for _ in range(2):
        live.begin("8x8 inputs")
        live.update(at(0, 80, 2.0))
        live.update(at(8, 400, 4.0, feasible=5))
    assert (live.done, live.feasible, live.steps) == (16, 10, 800)
    assert (live.seconds, live.compile_seconds) == (8.0, 4.0)
    assert live.steps_per_second == 160


def test_elsewhere_than_on_a_terminal_there_are_few_plain_lines(capsys):
    with Live(Screen(), total=8, steps=100) as live:
        live.begin("8x8 inputs")
        for i in range(1000):
            live.update(at(0, i, 2.0 + i))
        live.update(at(8, 1000, 1002.0, feasible=3))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "compiling for 8x8 inputs ..."
    assert lines[-1] == "8/8 solutions, 3 feasible, 1 steps/s"
    assert len(lines) == 3


def test_on_a_terminal_there_is_a_bar():
    screen = Screen()
    screen.err = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Live(screen, total=8, steps=100) as live:
        live.begin("8x8 inputs")
        live.update(at(0, 80, 2.0))
        live.update(at(4, 200, 3.0, feasible=3))
        live._bar.refresh()
    shown = screen.err.file.getvalue()
    assert "━" in shown and "4/8 solutions, 3 feasible, 120 steps/s, 2 s left" in shown


@pytest.mark.parametrize("name", ["[bold]x[/bold].png", ":smile:.png", "https://a.b/c.png", "x" * 300])
def test_texts_are_printed_as_they_are(capsys, name):
    screen = Screen()
    screen.result(name)
    screen.error(name)
    assert capsys.readouterr() == (f"{name}\n", f"{name}\n")
