"""A worker keeps to the cores that it is given, and takes none of another's."""

import os
import subprocess
import sys

import pytest

from tests.layers import ROOT

PROGRAM = """
import os, sys
from pulse_jax.distributed.start import start_worker
start_worker(1)
import jax
from pulse_jax.system.devices import usable_cores
print(jax.default_backend(), usable_cores(), *sorted(os.sched_getaffinity(0)), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can be chosen on Linux only")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_workers_on_one_machine_share_no_core():
    both = sorted(os.sched_getaffinity(0))[:2]
    pipe = subprocess.PIPE

    def start():
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        words = ["taskset", "--cpu-list", ",".join(map(str, both)), sys.executable, "-c", PROGRAM]
        return subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe, text=True)

    running = [start(), start()]
    try:
        told = [process.stdout.readline().split() for process in running]
        assert [one[:2] for one in told] == [["cpu", "1"]] * 2
        assert sorted(int(one[2]) for one in told) == both
        # None is left: a third one shares all of them. A place is free as soon as its worker has ended.
        running.append(start())
        assert running[2].stdout.readline().split() == ["cpu", "2", *map(str, both)]
        running[0].kill()
        running[0].wait()
        running.append(start())
        assert running[3].stdout.readline().split() == ["cpu", "1", told[0][2]]
    finally:
        for process in running:
            process.kill()
            process.communicate()
