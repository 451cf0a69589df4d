"""Streams: mixed sizes, any order, any interruption and any number of devices change no bit."""

import dataclasses
import json
import os
import subprocess
import sys
import weakref
import zipfile

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulse_jax.engine.checkpoints import Checkpoint, CheckpointError
from pulse_jax.engine.lanes import Lanes
from pulse_jax.engine.stream import solve_stream
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search import presets
from pulse_jax.search.problems import Problem
from pulse_jax.system.devices import usable_cores
from tests.tiny_networks import tiny_generator

LANES = 3
# An error that some of these searches reach, after unequal numbers of steps.
CONFIG = presets.pulse(steps=40, eps=8e-4)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-4", contrast=0.1)


@pytest.fixture(scope="module")
def problems(generator):
    """Five images of two sizes, two restarts each."""
    pictures = np.clip(np.asarray(generator.sample(jax.random.key(5), 5)), 0, 1)
    small = [
        Bicubic(2).apply_float64(picture).astype(np.float32) if i % 2 else picture for i, picture in enumerate(pictures)
    ]
    return [Problem(low_res=image, index=i, restarts=2) for i, image in enumerate(small)]


def solve(problems, generator, **options):
    options = {"lanes": LANES, "config": CONFIG} | options
    return {(s.index, s.restart): s for s in solve_stream(problems, generator, **options)}


@pytest.fixture(scope="module")
def solved(problems, generator):
    solutions = solve(problems, generator)
    assert {s.feasible for s in solutions.values()} == {True, False}
    assert len({s.steps for s in solutions.values()}) > 3
    return solutions


def assert_same(one, two):
    assert (one.status, one.steps, one.loss, one.downscaling_error) == (
        two.status,
        two.steps,
        two.loss,
        two.downscaling_error,
    )
    for name in ("image", "latent", "key"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for a, b in zip(one.noise, two.noise, strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_order_company_and_chunks_change_no_bit(problems, generator, solved, data):
    chosen = data.draw(st.permutations(range(5)))[: data.draw(st.integers(1, 5))]
    poisoned = Problem(low_res=np.full((2, 2, 3), np.nan), index=9)
    stream = [problems[i] for i in chosen]
    stream.insert(data.draw(st.integers(0, len(stream))), poisoned)
    result = solve(stream, generator, chunk_steps=data.draw(st.integers(1, 50)))
    assert set(result) == {(i, k) for i in chosen for k in range(2)} | {(9, 0)}
    assert not result.pop((9, 0)).feasible
    for name, solution in result.items():
        assert_same(solution, solved[name])


@pytest.mark.parametrize("taken", [1, 2, 5])
def test_a_closed_stream_goes_on_where_it_was(problems, generator, solved, tmp_path, taken):
    """Each time a few solutions are taken, then the stream is closed; searches under way are not begun again."""
    found, looks, calls = {}, 0, 0
    while len(found) < len(solved):
        ended = [{k: s.feasible for (i, k), s in found.items() if i == p.index} for p in problems]
        left = [
            Problem(low_res=p.low_res, index=p.index, restarts=2, ended=e) for p, e in zip(problems, ended, strict=True)
        ]
        reports = []
        stream = solve_stream(
            left,
            generator,
            lanes=LANES,
            config=CONFIG,
            chunk_steps=4,
            checkpoint_dir=tmp_path / "state",
            on_chunk=reports.append,
        )
        for solution in stream:
            assert (solution.index, solution.restart) not in found
            found[solution.index, solution.restart] = solution
            if len(found) % taken == 0:
                break
        stream.close()
        calls += 1
        looks += max((report.lane_steps for report in reports), default=0)
    assert calls > 1
    for name, solution in found.items():
        assert_same(solution, solved[name])
    # Had every call begun its searches anew, it would have taken many more steps than one stream does.
    assert looks <= LANES * (sum(s.steps for s in solved.values()) + 8 * calls)


def test_a_finished_stream_leaves_nothing(problems, generator, tmp_path):
    solve(problems, generator, checkpoint_dir=tmp_path / "state")
    assert not list(tmp_path.iterdir())


def saved_searches(folder):
    """How many searches all groups of lanes have saved."""
    count = 0
    for path in folder.glob("lanes_*.npz"):
        with np.load(path) as saved:
            count += len(saved["names"])
    return count


def test_what_on_chunk_raises_ends_the_stream_with_its_state_saved(problems, generator, solved, tmp_path):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(problems, generator, checkpoint_dir=tmp_path, on_chunk=stop, chunk_steps=3)
    assert saved_searches(tmp_path) == min(LANES, usable_cores())
    for name, solution in solve(problems, generator, checkpoint_dir=tmp_path).items():
        assert_same(solution, solved[name])


def test_searches_are_saved_while_the_device_computes(problems, generator, tmp_path, monkeypatch, together):
    order = []

    def noting(kind, name):
        def call(self, *arguments, **settings):
            order.append(name)
            return real(self, *arguments, **settings)

        real = getattr(kind, name)
        monkeypatch.setattr(kind, name, call)

    noting(Lanes, "dispatch"), noting(Lanes, "collect"), noting(Checkpoint, "save")
    monkeypatch.setattr(Checkpoint, "due", lambda self, device: True)
    solve(problems, generator, checkpoint_dir=tmp_path, chunk_steps=5)
    assert order.count("save") > 3
    assert all(order[i - 1] == "dispatch" for i, name in enumerate(order[:-1]) if name == "save")


def test_saving_after_every_chunk_changes_no_bit(problems, generator, solved, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoint, "due", lambda self, group: True)
    for name, solution in solve(problems, generator, checkpoint_dir=tmp_path, chunk_steps=5).items():
        assert_same(solution, solved[name])


def interrupted(problems, generator, folder):
    stream = solve_stream(problems, generator, lanes=LANES, config=CONFIG, chunk_steps=3, checkpoint_dir=folder)
    next(stream)
    stream.close()


@pytest.mark.parametrize("lanes", [1, 2, 7])
def test_on_a_cpu_the_number_of_lanes_changes_no_bit(problems, generator, solved, tmp_path, lanes):
    for name, solution in solve(problems, generator, lanes=lanes).items():
        assert_same(solution, solved[name])
    interrupted(problems, generator, tmp_path)
    for name, solution in solve(problems, generator, lanes=lanes, checkpoint_dir=tmp_path).items():
        assert_same(solution, solved[name])


def test_steps_made_before_are_not_counted_again(problems, generator, solved, tmp_path):
    before, after = [], []
    stream = solve_stream(
        problems, generator, lanes=LANES, config=CONFIG, chunk_steps=3, checkpoint_dir=tmp_path, on_chunk=before.append
    )
    taken = [next(stream)]
    while len(before) < 12:
        taken.append(next(stream))
    stream.close()
    solve(problems, generator, checkpoint_dir=tmp_path, on_chunk=after.append)
    # Those that were taken are made again; of the others, what had been looked at when the stream was closed is not.
    again = sum(solution.steps for solution in taken)
    assert before[-1].steps > again
    assert after[-1].steps <= sum(s.steps for s in solved.values()) - (before[-1].steps - again)


def test_another_runs_searches_are_refused_where_lanes_share_a_program(problems, generator, tmp_path, together):
    interrupted(problems, generator, tmp_path)
    with pytest.raises(CheckpointError, match=r"other settings: lanes was 3, is 4"):
        solve(problems, generator, lanes=4, checkpoint_dir=tmp_path)


def test_another_runs_searches_are_refused(problems, generator, solved, tmp_path):
    interrupted(problems, generator, tmp_path)
    with pytest.raises(CheckpointError, match=r"config\.eps was 0\.0008, is 0\.001"):
        solve(problems, generator, config=presets.pulse(steps=40), checkpoint_dir=tmp_path)
    other = tiny_generator("stylegan2-4", contrast=0.2)
    with pytest.raises(CheckpointError, match=r"generator was"):
        solve(problems, other, checkpoint_dir=tmp_path)
    fingerprint = json.loads((tmp_path / "run.json").read_text())
    other = {"versions": fingerprint["versions"] | {"jax": "0.1"}, "device": "tpu v9"}
    (tmp_path / "run.json").write_text(json.dumps(fingerprint | other))
    with pytest.raises(CheckpointError, match=r"versions\.jax was \"0\.1\", is .*; device was \"tpu v9\", is \"cpu"):
        solve(problems, generator, checkpoint_dir=tmp_path)
    with pytest.raises(CheckpointError, match=r"settings: versions\.jax was \"0\.1\", is [^;]*$"):
        solve(problems, generator, checkpoint_dir=tmp_path, other_device=True)
    (tmp_path / "run.json").write_text(json.dumps(fingerprint | {"device": "tpu v9"}))
    for name, solution in solve(problems, generator, checkpoint_dir=tmp_path, other_device=True).items():
        assert_same(solution, solved[name])


@pytest.mark.parametrize("damage", ["cut", "bit", "run.json"])
def test_damaged_searches_are_told(problems, generator, tmp_path, damage):
    interrupted(problems, generator, tmp_path)
    path = tmp_path / ("run.json" if damage == "run.json" else "lanes_0.npz")
    content = bytearray(path.read_bytes())
    if damage == "bit":
        # In the middle of the largest array, not between two.
        with zipfile.ZipFile(path) as archive:
            largest = max(archive.infolist(), key=lambda member: member.file_size)
        content[largest.header_offset + largest.file_size // 2] ^= 1
    path.write_bytes(content if damage == "bit" else content[:40])
    with pytest.raises(CheckpointError, match="damaged; remove"):
        solve(problems, generator, checkpoint_dir=tmp_path)


def test_searches_of_all_devices_are_kept_until_the_stream_has_ended(tmp_path):
    """Whichever device takes a search up again, what was saved of it stays, and the newest state counts."""

    def at(**steps):
        return {name: [np.full(3, step), np.asarray(step)] for name, step in steps.items()}

    first = Checkpoint(tmp_path, {"lanes": 1})
    first.save(0, at(a=1))
    first.save(1, at(b=1, c=1))
    first.close(finished=False)
    second = Checkpoint(tmp_path, {"lanes": 1})
    assert {name: int(leaves[1]) for name, leaves in second.saved.items()} == {"a": 1, "b": 1, "c": 1}
    second.saved.clear()
    second.save(0, at(b=7))
    second.close(finished=False)
    third = Checkpoint(tmp_path, {"lanes": 1})
    assert {name: int(leaves[1]) for name, leaves in third.saved.items()} == {"a": 1, "b": 7, "c": 1}
    third.close(finished=True)
    assert not tmp_path.exists()


def test_a_folder_is_one_streams_at_a_time(problems, generator, tmp_path):
    first = solve_stream(problems, generator, lanes=LANES, config=CONFIG, checkpoint_dir=tmp_path)
    next(first)
    with pytest.raises(CheckpointError, match="another process is working here"):
        solve(problems, generator, checkpoint_dir=tmp_path)
    first.close()
    solve(problems, generator, checkpoint_dir=tmp_path)


def test_restarts_go_on_until_enough_are_feasible(problems, generator):
    everything = solve([Problem(low_res=p.low_res, index=p.index, restarts=6) for p in problems], generator)
    wanted = [Problem(low_res=p.low_res, index=p.index, restarts=6, solutions=2) for p in problems]
    found = solve(wanted, generator)
    for problem in problems:
        row = [everything[problem.index, k].feasible for k in range(6)]
        needed = next((n for n in range(7) if sum(row[:n]) >= 2), 6)
        assert sorted(k for i, k in found if i == problem.index) == list(range(needed))
    for name, solution in found.items():
        assert_same(solution, everything[name])


def test_lanes_are_busy_until_the_end(generator, problems):
    """Searches of unequal length: an ended lane waits for its next search no longer than a step."""
    reports = []
    many = [Problem(low_res=problems[0].low_res, index=i, seed=i) for i in range(40)]
    ends = []
    for solution in solve_stream(many, generator, lanes=LANES, config=CONFIG, on_chunk=reports.append):
        ends.append(solution.steps)
    assert len(set(ends)) > 5
    away_from_the_tail = [report for report in reports if report.done <= len(many) - LANES][-1]
    assert away_from_the_tail.steps / away_from_the_tail.lane_steps >= 0.95


def test_memory_does_not_grow_with_the_number_of_problems(problems, generator):
    made, most = [], 0

    def stream():
        for index in range(300):
            problem = dataclasses.replace(problems[index % 2], index=index, solutions=1)
            made.append(weakref.ref(problem))
            yield problem

    for _ in solve_stream(stream(), generator, lanes=LANES, config=CONFIG):
        most = max(most, sum(problem() is not None for problem in made))
    # Those read ahead, those in the lanes of two sizes, and those that have just ended.
    assert 64 <= most <= 64 + 4 * LANES


def test_an_image_alone_is_a_problem(problems, generator, solved):
    found = solve((problem.low_res for problem in problems), generator)
    assert set(found) == {(i, 0) for i in range(5)}
    for name, solution in found.items():
        assert_same(solution, solved[name])


def test_arguments_out_of_range_are_named(problems, generator):
    for options, message in (
        ({"lanes": 0}, "lanes: expected a whole number, 1 or more, got 0"),
        ({"chunk_steps": 0}, "chunk_steps: expected a whole number, 1 or more, got 0"),
        ({"devices": []}, "devices: expected one or more of one kind"),
    ):
        with pytest.raises(ValueError, match=message):
            solve_stream(problems, generator, **options)


DEVICES = """
import jax, numpy as np
from tests.tiny_networks import tiny_generator
from pulse_jax import presets
from pulse_jax.engine.stream import solve_stream
from pulse_jax.engine.lanes import Lanes
from pulse_jax.search.problems import Problem

assert len(jax.devices()) == 8
generator = tiny_generator("stylegan2-4", contrast=0.1)
rng = np.random.default_rng(0)
problems = [Problem(low_res=rng.uniform(0.3, 0.7, (2, 2, 3)), index=i, restarts=2) for i in range(12)]
config = presets.pulse(steps=30, eps=8e-4)

def solve(devices):
    stream = solve_stream(problems, generator, lanes=2, config=config, chunk_steps=4, devices=devices)
    return {(s.index, s.restart): s for s in stream}

one, all_of_them = solve(jax.devices()[3:4]), solve(None)
assert set(one) == set(all_of_them) and len(one) == 24
for name, solution in one.items():
    other = all_of_them[name]
    assert np.array_equal(solution.image, other.image) and np.array_equal(solution.latent, other.latent)
    assert (solution.steps, solution.loss, solution.feasible) == (other.steps, other.loss, other.feasible)
print("SAME")
"""


@pytest.mark.slow
def test_eight_devices_give_the_bits_of_one():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", DEVICES], env=environment, capture_output=True, text=True)
    assert "SAME" in done.stdout, done.stderr[-3000:]
