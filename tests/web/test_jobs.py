"""The queue: order, places, stopping, faults of one request, what a restarted server goes on with, whose folder it is.

What solves is made up here, so that a test decides when it ends.
"""

import json
import threading

import pytest

from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.screen import Screen
from pulse_jax.web.job import Job
from pulse_jax.web.jobs import MAX_WAITING, Jobs
from pulse_jax.web.request import Request
from tests.cli.fake_engine import draw


class Solver:
    """Solves nothing: says that it has begun, and waits until it may end."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.began = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.pictures = []

    def __call__(self, request, picture, output, screen, watch):
        self.pictures.append(picture)
        screen.progress("1/4 searches", 1, 4)
        self.began.release()
        while not self.may_end.acquire(timeout=0.01):
            if watch.wants_end():
                return 130
        outcome = self.outcomes.pop(0) if self.outcomes else 0
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome:
            screen.error("1 of 1 inputs failed:")
            screen.error(f"  {picture}: no picture")
        return outcome

    def end_one(self):
        self.may_end.release()


@pytest.fixture
def opened(tmp_path):
    servers = []

    def open_jobs(solve, home=tmp_path / "home"):
        servers.append(Jobs(home, solve, Screen()))
        return servers[-1]

    yield open_jobs
    for server in servers:
        server.close()


@pytest.fixture
def picture(tmp_path):
    draw(tmp_path / "a.png")
    return tmp_path / "a.png"


def submit(jobs, picture, name="a.png"):
    return jobs.submit(Request(preset="fast"), name, picture)


def until(condition):
    done = threading.Event()
    for _ in range(1000):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("never")


def test_requests_wait_for_their_turn_and_know_their_place(opened, picture):
    solver = Solver()
    jobs = opened(solver)
    first, second, third = (submit(jobs, picture) for _ in range(3))
    solver.began.acquire()
    assert (first.state, first.words, first.done) == ("running", "1/4 searches", 1)
    assert [jobs.before(job) for job in (second, third)] == [1, 2]
    jobs.stop(second)
    assert second.state == "stopped" and jobs.before(third) == 1
    solver.end_one()
    solver.began.acquire()
    assert first.state == "finished" and third.state == "running"
    jobs.go_on(second)
    jobs.go_on(third)  # which is under way: nothing changes
    solver.end_one()
    solver.began.acquire()
    solver.end_one()
    until(lambda: second.state == "finished")
    assert [path.parents[1].name for path in solver.pictures] == [first.id, third.id, second.id]


def test_what_is_under_way_can_be_stopped(opened, picture):
    solver = Solver()
    jobs = opened(solver)
    job, other = submit(jobs, picture), submit(jobs, picture)
    solver.began.acquire()
    jobs.stop(job)
    solver.began.acquire()
    assert job.state == "stopped" and job.words.startswith("Stopped: 0 of 4 searches had ended")
    jobs.stop(job)  # again: nothing changes, nor does the other one
    assert other.state == "running" and not other.is_ending
    solver.end_one()
    until(lambda: other.state == "finished")


def test_a_request_that_fails_is_told_without_the_servers_paths_and_the_next_one_comes(opened, picture, capsys):
    solver = Solver(1, RunError("no generator"), ZeroDivisionError("secret"))
    jobs = opened(solver)
    failing = [submit(jobs, picture) for _ in range(3)]
    last = submit(jobs, picture)
    for _ in range(4):
        solver.end_one()
    until(lambda: last.state == "finished")
    assert [job.state for job in failing] == ["failed"] * 3
    assert [job.words for job in failing[:2]] == ["a.png: no picture", "no generator"]
    assert "secret" not in failing[2].words and "ZeroDivisionError: secret" in capsys.readouterr().err


def test_a_restarted_server_goes_on_in_the_order_of_the_requests(opened, picture):
    solver = Solver()
    jobs = opened(solver)
    known = [submit(jobs, picture) for _ in range(4)]
    solver.began.acquire()
    jobs.stop(known[2])
    jobs.close()
    assert json.loads((known[0].folder / "request.json").read_text())["state"] == "running"
    again = Solver()
    later = opened(again)
    for _ in range(3):
        again.end_one()
    until(lambda: later.find(known[3].id).state == "finished")
    assert [path.parents[1].name for path in again.pictures] == [known[k].id for k in (0, 1, 3)]
    assert later.find(known[2].id).state == "stopped"


def test_a_request_is_found_by_its_name_alone(opened, picture):
    jobs = opened(Solver())
    job = submit(jobs, picture)
    assert jobs.find(job.id) is job
    for name in ("", "..", "uploads", f"../home/{job.id}", "0" * 32, job.id.upper() + "g"):
        with pytest.raises(UsageError, match="there is no such request"):
            jobs.find(name)
    (jobs.home / ("1" * 32)).mkdir()
    (jobs.home / ("1" * 32) / "request.json").write_text('{"name": 3}')
    with pytest.raises(UsageError, match="there is no such request"):
        jobs.find("1" * 32)


def test_too_many_requests_are_turned_away(opened, picture):
    jobs = opened(Solver())
    jobs._waiting = [Job(jobs.home / str(k), "a.png", Request(preset="fast"), 0.0) for k in range(MAX_WAITING)]
    with pytest.raises(UsageError, match="20 requests wait already; try again later"):
        submit(jobs, picture)
    jobs._waiting = []


def test_the_folder_is_one_servers_alone(opened, picture, tmp_path):
    jobs = opened(Solver())
    with pytest.raises(UsageError, match="another process is writing there"):
        opened(Solver(), jobs.home)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty, and no server's; choose another"):
        opened(Solver(), tmp_path / "mine")
    with pytest.raises(RunError, match="cannot be used"):
        opened(Solver(), picture / "below")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
