"""Which searches are made, and in which order, by their outcomes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_jax.engine.tasks import TaskQueue
from pulse_jax.search.problems import Problem

IMAGE = np.zeros((2, 2, 3), np.float32)


def problem(**settings):
    return Problem(low_res=IMAGE, **settings)


def run(problems, outcome, order, ahead=4):
    """Makes every search, ending them in an order that `order` draws; the names of those made."""
    queue = TaskQueue(iter(problems), ahead)
    running, made = [], []
    while True:
        queue.pull()
        running += queue.take(2, 3 - len(running))
        if not running:
            assert not queue.waiting()
            return made
        task = running.pop(order(len(running)))
        made.append((task.problem.index, task.restart))
        queue.ended(task, feasible=outcome(*made[-1]))


def first(count):
    return 0


@given(
    feasible=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4),
    wanted=st.integers(1, 7),
    most=st.integers(1, 6),
    orders=st.lists(st.integers(0, 5), min_size=40, max_size=40),
)
def test_restarts_follow_from_outcomes_and_not_from_timing(feasible, wanted, most, orders):
    problems = [problem(index=i, restarts=most, solutions=wanted) for i in range(len(feasible))]
    drawn = itertools.cycle(orders)
    made = run(problems, lambda i, k: feasible[i][k], lambda count: next(drawn) % count)
    assert len(made) == len(set(made))
    for index, row in enumerate(feasible):
        # The fewest restarts, from the first on, among which are as many feasible ones as wanted.
        needed = next((n for n in range(most + 1) if sum(row[:n]) >= wanted), most)
        assert sorted(k for i, k in made if i == index) == list(range(needed))


@given(
    feasible=st.lists(st.booleans(), min_size=6, max_size=6),
    wanted=st.one_of(st.none(), st.integers(1, 4)),
    known=st.sets(st.integers(0, 5)),
)
def test_what_is_known_from_before_is_not_made_again(feasible, wanted, known):
    settings = {"restarts": 6, "solutions": wanted}
    whole = run([problem(**settings)], lambda i, k: feasible[k], first)
    ended = {k: feasible[k] for k in known if (0, k) in whole}
    rest = run([problem(**settings, ended=ended)], lambda i, k: feasible[k], first)
    assert sorted(rest) == sorted(search for search in whole if search[1] not in ended)


def test_problems_are_read_only_as_far_ahead_as_asked():
    read = []

    def stream():
        for index in range(100):
            read.append(index)
            yield problem(index=index, restarts=2)

    queue = TaskQueue(stream(), 10)
    assert not read
    queue.pull()
    assert len(read) == 5 and queue.waiting() == {2: 10}
    queue.take(2, 4)
    queue.pull()
    assert len(read) == 7


def test_another_restart_goes_before_new_images():
    queue = TaskQueue(iter([problem(index=i, restarts=3, solutions=1) for i in range(3)]), 3)
    queue.pull()
    (task,) = queue.take(2, 1)
    queue.ended(task, feasible=False)
    assert [(t.problem.index, t.restart) for t in queue.take(2, 3)] == [(0, 1), (1, 0), (2, 0)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"restarts": 0}, "restarts: expected a whole number, 1 or more, got 0"),
        ({"solutions": 0}, "solutions: expected a whole number, 1 or more, got 0"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"low_res": np.zeros((2, 3, 3))}, "low_res: expected square RGB images"),
        ({"low_res": np.zeros((2, 2, 3), np.uint8)}, "low_res: expected floating-point images"),
    ],
)
def test_bad_problems_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Problem(**({"low_res": IMAGE} | settings))
