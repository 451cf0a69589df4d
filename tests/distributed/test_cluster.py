"""Joining a cluster, where workers can be, and what is told where there is none."""

import contextlib
import importlib.util
import socket
import types

import numpy as np
import pytest

from pulse_jax.distributed import stream, upsample_dataset
from pulse_jax.distributed.cluster import Place, connected, import_ray, places
from pulse_jax.search.presets import PRESETS
from pulse_jax.search.problems import Problem
from pulse_jax.system.errors import RunError
from tests.tiny_networks import searchable_generator

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")


def node(number, alive=True, **resources):
    return {"NodeID": f"{number:056x}", "NodeManagerHostname": f"host{number}", "Alive": alive, "Resources": resources}


NODES = [node(1, CPU=2.0), node(2, CPU=16.0, GPU=2.0), node(3, alive=False, CPU=4.0, GPU=1.0), node(4, memory=1.0)]


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (import_ray, lambda: upsample_dataset(None)):
        with pytest.raises(RunError, match=r'^distributed searches need Ray: pip install "pulse-jax\[ray\]"$'):
            call()


def test_every_gpu_has_a_place_or_every_machine():
    ray = types.SimpleNamespace(nodes=lambda: NODES)
    first, second = NODES[0]["NodeID"], NODES[1]["NodeID"]
    assert places(ray, "cpu") == [Place(first, "host1", 0, 2), Place(second, "host2", 0, 16)]
    assert places(ray, "gpu") == [Place(second, "host2", 0, None), Place(second, "host2", 1, None)]
    assert places(ray, "tpu") == []


@needs_ray
def test_an_address_where_nobody_listens_is_told_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    told = rf"^--ray {address}: cannot be reached \(Connection refused\); see whether it runs$"
    with pytest.raises(RunError, match=told), connected(address):
        pass


class Lost(Exception):
    """What Ray raises for a worker that has died."""


class BrokenRay:
    """A cluster of one machine, whose every worker dies as it starts."""

    def __init__(self, nodes):
        self.exceptions = types.SimpleNamespace(RayTaskError=RuntimeError, RayError=Lost)
        self.nodes = lambda: nodes
        self.hired = 0

    def put(self, value):
        return value

    def remote(self, kind):
        self.hired += 1
        made = types.SimpleNamespace(check=types.SimpleNamespace(remote=lambda expected: object()))
        return types.SimpleNamespace(options=lambda **_: types.SimpleNamespace(remote=lambda *_: made))

    def wait(self, references, **_):
        return references, []

    def get(self, reference):
        raise Lost("It has died.\nRunError: host1: no such device. Ray tells far more")

    def kill(self, actor):
        pass


def employed(crew, place):
    """A worker of the crew's at a place, that is starting."""
    actor = types.SimpleNamespace(check=types.SimpleNamespace(remote=lambda expected: object()))
    crew._workers[place] = stream._Worker(actor, {})
    return crew._workers[place]


def solve(monkeypatch, ray):
    monkeypatch.setattr(stream, "connected", lambda address: contextlib.nullcontext(ray))
    told = []
    problems = [Problem(low_res=np.full((4, 4, 3), 0.5, np.float32))]
    settings = {"config": PRESETS["pulse"](), "lanes": 1, "on_chunk": told.append, "on_compiling": told.append}
    found = stream.solve_on_workers(
        problems, searchable_generator(), address="auto", count=1, on_lost=told.append, **settings
    )
    return found, told


@needs_ray
def test_tasks_are_of_as_many_searches_as_are_begun_and_fill_a_gpu():
    """Of a quota of 2 of 32 searches, 2 are begun; toward the end a CPU's tasks shrink, a GPU's lanes stay full."""
    ray = types.SimpleNamespace(put=lambda value: value)
    for cores, solutions, left, expected in ((1, None, 100, 1), (1, 2, 100, 16), (1, 2, 2, 1), (None, 2, 2, 2)):
        crew = stream._Crew(ray, searchable_generator(), PRESETS["pulse"](), 4, False, left, print)
        worker = employed(crew, Place("0", "host", 0, cores))
        picture = np.full((4, 4, 3), 0.5, np.float32)
        problems = [Problem(low_res=picture, index=n, restarts=32, solutions=solutions) for n in range(left)]
        assert len(crew.task(worker, iter(problems)).left) == expected


@needs_ray
def test_a_place_that_loses_every_worker_is_given_up_in_a_line(monkeypatch):
    ray = BrokenRay(NODES[:1])
    found, told = solve(monkeypatch, ray)
    with pytest.raises(RunError) as error:
        list(found)
    cause = "RunError: host1: no such device"
    assert str(error.value) == f"every worker was lost 3 times without a solution; the last: {cause}"
    lost = [line for line in told if isinstance(line, str)]
    assert ray.hired == 3 and lost == [f"host1: a worker was lost ({cause}); what it was searching is begun again"] * 3


def test_a_cluster_without_a_place_is_told(monkeypatch):
    found, _ = solve(monkeypatch, BrokenRay(NODES[3:]))
    with pytest.raises(RunError, match="the Ray cluster has no CPU that is free for searches; --device says what"):
        list(found)


def test_where_nothing_is_left_no_cluster_is_needed(monkeypatch):
    def refuse(address):
        raise AssertionError("joined")

    monkeypatch.setattr(stream, "connected", refuse)
    told = []
    settings = {"config": PRESETS["pulse"](), "lanes": 1, "on_chunk": told.append, "on_compiling": told.append}
    found = stream.solve_on_workers(
        [], searchable_generator(), address="auto", count=0, on_lost=told.append, **settings
    )
    assert list(found) == [] and [one.done for one in told] == [0]


@needs_ray
@pytest.mark.parametrize("started", [True, False])
def test_a_worker_that_would_find_other_bits_takes_no_part_or_where_it_is_the_only_one_ends_the_run(started):
    """Alone, or before another has started, it tells what is wrong with the whole; later it is one of many."""
    told, killed = [], []
    ray = types.SimpleNamespace(put=lambda value: value, kill=killed.append)
    crew = stream._Crew(ray, searchable_generator(), PRESETS["pulse"](), 1, False, 2, told.append)
    first, second = (Place(str(n), f"host{n}", 0, 1) for n in range(2))
    for place in (first, second):
        employed(crew, place)
    crew._workers[first].starting = None if started else object()
    error = RuntimeError()
    error.cause = RunError("host1: other last bits")
    if started:
        crew._fail(second, error)
        assert told == ["host1: takes no part: host1: other last bits"] and len(killed) == 1
        assert list(crew._workers) == [first]
    else:
        with pytest.raises(RunError, match="other last bits"):
            crew._fail(second, error)
        assert told == [] and killed == []


@needs_ray
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"restarts": 0}, "restarts: expected a whole number from 1, got 0"),
        ({"batch_size": True}, "batch_size: expected a whole number from 1, got True"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"config": "fats"}, "fats"),
        ({"config": PRESETS["pulse"](repulsion=0.3)}, "repulsion: expected 2 restarts or more"),
    ],
)
def test_arguments_are_checked_before_anything_starts(settings, told):
    with pytest.raises(ValueError, match=told):
        upsample_dataset(None, **settings)
