"""Solutions on disk: the same again, bit for bit, and any number of them in the memory of a few."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from pulse_jax.runs import solution_files
from pulse_jax.runs.solution_files import KeptSolution, keep_solution, read_solutions, write_solutions
from pulse_jax.search.presets import pulse
from pulse_jax.search.problems import Solution, Status, rank
from pulse_jax.system.errors import RunError

SIDE = 128


def solution(restart):
    rng = np.random.default_rng(restart)
    return Solution(
        index=3,
        restart=restart,
        image=(rng.integers(0, 256, (8, 8, 3)) / 255).astype(np.float32),
        downscaled=rng.random((2, 2, 3), np.float32),
        loss=float("nan") if restart == 1 else rng.random(),
        downscaling_error=rng.random(),
        search_error=rng.random(),
        feasible=bool(restart % 2),
        status=Status(1 + restart % 4),
        steps=restart + 5,
        latent=rng.random((3, 4), np.float32),
        w=rng.random((3, 4), np.float32),
        offsets={2: rng.random((8, 8, 3), np.float32), 11: rng.random((4, 4, 1), np.float32)},
        noise=tuple(rng.random((side, side, 1), np.float32) for side in (4, SIDE, SIDE)),
        key=rng.integers(0, 2**32, 2, np.uint32),
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Thirty solutions in their files."""
    home = tmp_path_factory.mktemp("kept")
    for restart in range(30):
        keep_solution(home / f"{restart}.npz", solution(restart))
    return [KeptSolution.find(home / f"{restart}.npz") for restart in range(30)]


def test_what_was_kept_is_what_comes_back(kept):
    for one in kept:
        before, after = solution(one.restart), one.read()
        for field in dataclasses.fields(Solution):
            np.testing.assert_equal(getattr(after, field.name), getattr(before, field.name))
        for field in dataclasses.fields(KeptSolution):
            if field.name != "path":
                np.testing.assert_equal(getattr(one, field.name), getattr(before, field.name))
    assert [one.restart for one in rank(kept)] == [one.restart for one in rank([one.read() for one in kept])]


@pytest.mark.parametrize("damage", ["missing", "cut", "bit", "foreign"])
def test_damage_is_told(kept, tmp_path, damage):
    path = tmp_path / "x.npz"
    content = bytearray(kept[0].path.read_bytes())
    content[len(content) // 2] ^= damage == "bit"
    if damage != "missing":
        path.write_bytes({"cut": content[:500], "bit": content, "foreign": b"x"}[damage])
    with pytest.raises(RunError, match=r"x\.npz: cannot be read \(.*\); give the same command again"):
        KeptSolution.find(path).read()


@pytest.mark.parametrize("at_once", [0, 10_000, 2**26])
def test_a_solutions_npz_is_the_same_whatever_is_read_at_once(kept, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(solution_files, "_AT_ONCE", at_once)
    ranked = rank(kept)
    write_solutions(tmp_path, np.zeros((2, 2, 3), np.float32), ranked, pulse(), "abc")
    stored = read_solutions(tmp_path / "solutions.npz")
    assert stored.config == pulse() and stored.generator == "abc"
    whole = [one.read() for one in ranked]
    np.testing.assert_array_equal(stored.latents, np.stack([one.latent for one in whole]))
    for layer in range(3):
        np.testing.assert_array_equal(stored.noise[layer], np.stack([one.noise[layer] for one in whole]))
    with np.load(tmp_path / "solutions.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["keys"], np.stack([one.key for one in whole]))
        assert file["status"].tolist() == [one.status.name for one in whole]
        for name in ("restart", "loss", "downscaling_error", "search_error", "feasible", "steps"):
            np.testing.assert_array_equal(file[name], [getattr(one, name) for one in whole])


@pytest.mark.usefixtures("usual_collections")
def test_large_noise_is_never_in_memory_together(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(solution_files, "_AT_ONCE", 10_000)
    low_res = np.zeros((2, 2, 3), np.float32)
    write_solutions(tmp_path, low_res, kept[:2], pulse(), "")
    tracemalloc.start()
    write_solutions(tmp_path, low_res, kept, pulse(), "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Those of all thirty take thirty times as much, and were stacked besides.
    assert peak < 12 * 4 * SIDE**2
