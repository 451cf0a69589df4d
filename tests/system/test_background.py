"""Bounded queues: what is read ahead and written behind, and what happens to errors."""

import itertools
import signal
import threading
import time

import pytest

from pulse_jax.system import background
from pulse_jax.system.background import WriteBehind, read_ahead


def test_everything_comes_in_order():
    assert list(read_ahead(range(100), 3)) == list(range(100))


def test_only_so_far_ahead():
    made = []
    ahead = read_ahead((made.append(i) or i for i in itertools.count()), 3)
    assert next(ahead) == 0
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    # One taken, three queued, one in the making.
    assert len(made) == 5
    ahead.close()
    assert not any(thread.name == "pulse-jax-reader" for thread in threading.enumerate())


def test_an_error_comes_after_what_was_made_before_it():
    def items():
        yield 1
        raise KeyError("x")

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 1
    with pytest.raises(KeyError):
        next(ahead)


def test_writing_waits_at_the_end_and_tells_what_failed():
    done = []

    def write(number):
        time.sleep(0.01)
        if number == 3:
            raise OSError("full")
        done.append(number)

    with WriteBehind(2) as writer:
        for number in range(3):
            writer.submit(write, number)
    assert sorted(done) == [0, 1, 2]
    with pytest.raises(OSError, match="full"), WriteBehind(2) as writer:
        for number in range(100):
            writer.submit(write, number)
    assert len(done) < 60


def test_after_an_error_elsewhere_what_was_begun_is_ended():
    done = []
    with pytest.raises(ValueError), WriteBehind(1) as writer:
        for number in range(3):
            writer.submit(done.append, number)
        raise ValueError
    assert done == [0, 1, 2]


def test_a_user_who_does_not_wait_leaves_out_what_has_not_begun(monkeypatch):
    done, waiting, real = [], threading.Event(), background.wait

    def wait(calls):
        waiting.set()
        return real(calls)

    def interrupt():
        waiting.wait(10)
        time.sleep(0.5)  # until it really waits: a signal just before that is seen only afterwards
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        deadline = time.monotonic() + 10
        while not writer._waiting[1].cancelled() and time.monotonic() < deadline:
            time.sleep(0.01)
        done.append("begun")

    monkeypatch.setattr(background, "wait", wait)
    # A test runner's worker may have another handler, or none.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), WriteBehind(1) as writer:
            writer.submit(interrupt)
            writer.submit(done.append, "not begun")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["begun"]
