"""`.npz` files that claim more than they hold cost nothing."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from pulse_jax.engine.checkpoints import CheckpointError
from pulse_jax.engine.stream import solve_stream
from pulse_jax.objectives.language import parse_loss
from pulse_jax.runs.solution_files import read_solutions
from pulse_jax.search import presets
from pulse_jax.search.problems import Problem
from pulse_jax.system.arrays import opened_arrays
from pulse_jax.system.errors import RunError
from tests.tiny_networks import tiny_generator


def header(shape, dtype="<f4"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def bomb(path, data, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("latents.npy", data)


HOSTILE = {
    "inflates": (header((2**28,)) + bytes(2**30), "bytes that would grow to"),
    "claims": (header((2**40, 2**10)) + bytes(64), "claims the shape"),
    "objects": (header((1,), "|O") + bytes(64), "claims the shape"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_would_grow_is_refused_before_it_does(tmp_path, kind):
    data, told = HOSTILE[kind]
    bomb(tmp_path / "a.npz", data)
    del data
    tracemalloc.start()
    with pytest.raises(ValueError, match=told), opened_arrays(tmp_path / "a.npz"):
        pass
    with pytest.raises(RunError, match=r"solutions\.npz"):
        read_solutions(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_flipped_bit_is_noticed(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(1000))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(zipfile.BadZipFile, match="CRC"), opened_arrays(tmp_path / "a.npz") as stored:
        stored["a"]


def test_many_loss_terms_are_told_at_once():
    with pytest.raises(ValueError, match="loss"):
        parse_loss("+".join(["1*L2"] * 40_000))


def test_a_billion_restarts_wait_in_no_queue():
    generator = tiny_generator("stylegan2-4", contrast=0.1)
    problem = Problem(low_res=np.full((2, 2, 3), 0.5, np.float32), restarts=10**9)
    tracemalloc.start()
    stream = solve_stream([problem], generator, config=presets.pulse(steps=1), lanes=1)
    assert [next(stream).restart for _ in range(3)] == [0, 1, 2]
    stream.close()
    assert tracemalloc.get_traced_memory()[1] < 2**28
    tracemalloc.stop()


def test_searches_under_way_are_kept_in_no_folder_of_other_things(tmp_path):
    for name in ("lanes_0.npz", ".mine.tmp", "notes.txt"):
        (tmp_path / name).write_text("mine")
    generator = tiny_generator("stylegan2-4", contrast=0.1)
    with pytest.raises(CheckpointError, match="expected an empty folder for searches under way"):
        solve_stream([], generator, config=presets.pulse(steps=1), lanes=1, checkpoint_dir=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp", "lanes_0.npz", "notes.txt"]
