"""Runs of the embedded generator that are killed, with more searches than run at once, end as undisturbed ones do."""

import json
import random

import numpy as np
import pytest

from examples.benchmarks.disturbed_runs import Runs, Tally, killed


@pytest.fixture
def runs(monkeypatch, tmp_path):
    # With the compiler's settings that users have, and programs kept from one process to the next.
    for name in ("XLA_FLAGS", "JAX_ENABLE_COMPILATION_CACHE"):
        monkeypatch.delenv(name)
    return Runs(tmp_path, random.Random(0))


@pytest.mark.slow
def test_killed_runs_of_the_embedded_generator(runs):
    ((name, tally),) = killed(runs, 4, ["refilled lanes"])
    assert name == "killed, refilled lanes"
    # 6 inputs of 3 searches: solutions and what they downscale to, the input, a sheet; and the run's sheet.
    assert tally.faults == 4 and tally.runs >= 1 and tally.pictures == tally.runs * (6 * (3 * 2 + 2) + 1)
    assert tally.clean, tally


def test_what_is_lost_or_differs_is_counted(monkeypatch, runs, tmp_path):
    whole, other = tmp_path / "whole", tmp_path / "other"
    for folder in (whole, other):
        folder.mkdir()
        for name in ("same.png", "another.png"):
            (folder / name).write_bytes(name.encode())
        (folder / "summary.json").write_text(json.dumps({"speed": folder.name, "at": f"{folder}/a.png"}))
        np.savez(folder / "solutions.npz", a=np.arange(3))
    monkeypatch.setattr(Runs, "whole", lambda self, variant: whole)
    tally = Tally()
    runs.compare(other, "", tally)
    assert tally == Tally(pictures=2) and tally.clean
    (other / "same.png").unlink()
    (other / "another.png").write_bytes(b"")
    np.savez(other / "solutions.npz", a=np.arange(3.0))
    (other / "left.tmp").write_text("")
    tally = Tally()
    runs.compare(other, "", tally)
    assert tally == Tally(pictures=2, lost=1, differ=1, others=2) and not tally.clean
