"""A device's waiting between chunks, by a clock that goes only when told."""

from types import SimpleNamespace

import jax
import pytest

from pulse_jax.engine import workers
from pulse_jax.search.presets import pulse


class Clock:
    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


class FakeLanes:
    """Each chunk takes ten seconds, and filling lanes one; `compiling` takes what it says."""

    def __init__(self, clock):
        self.clock, self.running, self.step_seconds = clock, {}, None
        self.compile_seconds = self.compiling = self.ended = 0.0
        self.ends = None

    def __call__(self, *arguments):
        return self

    @property
    def busy(self):
        return self.ends is not None

    def is_ready(self):
        return self.busy and self.clock.now >= self.ends

    def fill(self, tasks, saved):
        self.clock.now += 1 + self.compiling
        self.compile_seconds += self.compiling

    def dispatch(self, limit, *, waiting):
        self.ends = self.clock.now + 10

    def collect(self):
        self.clock.now = max(self.clock.now, self.ends)
        self.ended, self.ends = self.clock.now, None
        self.clock.now += 0.5
        return [], 1


def test_what_passes_between_chunks_is_counted_and_compiling_is_not(unchecked, monkeypatch):
    clock = Clock()
    lanes = FakeLanes(clock)
    monkeypatch.setattr(workers, "time", clock)
    monkeypatch.setattr(workers, "Lanes", lanes)
    queue = SimpleNamespace(waiting=lambda: {2: 5}, take=lambda side, most: [])
    worker = workers.Worker(None, pulse(), 2, jax.devices()[0])
    lanes.compiling = 30
    worker.begin(queue, 10, {})
    assert worker.idle_seconds == 0 and worker.compile_seconds == 30
    # The host waits for the chunk: half a second to collect, two for something else, one to fill.
    worker.watch()
    worker.collect()
    clock.now += 2
    lanes.compiling = 0
    worker.begin(queue, 10, {})
    assert worker.idle_seconds == pytest.approx(3.5)
    # The host comes late: nobody knows when between the last two looks the chunk ended.
    clock.now += 7
    worker.watch()
    clock.now += 20
    worker.watch()
    worker.collect()
    lanes.compiling = 4
    worker.begin(queue, 10, {})
    assert worker.idle_seconds == pytest.approx(3.5 + 20 + 0.5 + 1)
