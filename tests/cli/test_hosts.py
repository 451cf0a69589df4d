"""Two hosts share a folder of inputs, one of them is killed and begins again, and what they found is joined."""

import collections
import importlib.resources
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_kills import assert_same_results, listing
from tests.layers import ROOT

DEMO = Path(str(importlib.resources.files("pulse_jax") / "data" / "demo"))
# Searches that cannot succeed, and take as long as each other.
COMMAND = ["upsample", DEMO, "--eps", "1e-9", "--steps", "40", "--restarts", "2"]
PROGRAM = "import sys; from pulse_jax.cli import main; sys.exit(main())"


def start(home, *words):
    """A command, as a process of its own."""
    words = [sys.executable, "-c", PROGRAM, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=home, env=environment, stderr=pipe, stdout=pipe, text=True)


def ended(process, code=0):
    """What it has told on the way, once it has ended."""
    told = process.communicate(timeout=600)[1]
    assert process.returncode == code, told
    return told


@pytest.mark.slow
def test_two_processes_one_of_them_killed_find_what_one_finds(tmp_path):
    shards = [[*COMMAND, "--shard", f"{number}/2", "--output", f"host{number}"] for number in (1, 2)]
    first, second = (start(tmp_path, *words) for words in shards)
    killed = tmp_path / "host2"
    while not [*killed.glob("*/solutions.json")]:
        assert second.poll() is None, second.stderr.read()
        time.sleep(0.002)
    second.send_signal(signal.SIGKILL)
    told = [ended(second, -signal.SIGKILL), ended(first)]
    kept = [*killed.glob("*/solutions.json"), *killed.glob(".pulse-jax-state/inputs/*/*.npz")]
    assert not json.loads((killed / "summary.json").read_text())["finished"]
    written = {path: path.stat().st_mtime_ns for path in kept if path.parent.parent == killed}

    # Joined as they are, the inputs that are missing are told; what host 2 has stays there.
    missing = ended(start(tmp_path, "merge", "host1", "host2", "--output", "early"), 1)
    assert re.search(r"^\d missing: head_", missing, re.MULTILINE)

    told.append(ended(start(tmp_path, *shards[1])))
    assert "going on with the unfinished run" in told[-1]
    assert {path: path.stat().st_mtime_ns for path in written} == written
    ended(start(tmp_path, "merge", "host1", "host2", "--output", "joined"))

    # One process alone, and what the early join lacked.
    ended(start(tmp_path, *COMMAND, "--output", "whole"))
    assert_same_results(tmp_path / "joined", tmp_path / "whole")
    last = ended(start(tmp_path, *COMMAND, "--output", "early"))
    assert_same_results(tmp_path / "early", tmp_path / "whole")

    # Nothing was solved twice: every input was told by one process, and after the early join only those that lacked.
    count = collections.Counter(name for text in told for name in re.findall(r"^(head_\d)\.png: 0 of 2", text, re.M))
    assert set(count) == {path.stem for path in DEMO.glob("*.png")} and set(count.values()) == {1}
    again = re.findall(r"^(head_\d)\.png: 0 of 2", last, re.MULTILINE)
    assert sorted(again) == sorted(re.search(r"missing: (.*)$", missing, re.MULTILINE)[1].split(", "))
    assert len([file for file in listing(tmp_path / "joined") if file.endswith("solution_02.png")]) == len(count)
