"""`.npz` files that claim more than they hold cost nothing, and many are read at once."""

import gc
import io
import sys
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pulse_jax.engine.checkpoints import CheckpointError
from pulse_jax.engine.stream import solve_stream
from pulse_jax.objectives.language import parse_loss
from pulse_jax.runs.solution_files import KeptSolution, read_solutions
from pulse_jax.search import presets
from pulse_jax.search.problems import Problem, Status
from pulse_jax.system.arrays import opened_arrays, read_array
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


@pytest.mark.usefixtures("usual_collections")
def test_files_are_read_in_threads(tmp_path):
    # NumPy evaluates headers as Python, at which CPython 3.11.7 fails where threads change places in it: collections of
    # garbage with callbacks, as JAX registers one, are such places.
    np.savez(tmp_path / "a.npz", **{f"a{k}": np.full(3, k) for k in range(20)})
    np.save(tmp_path / "a.npy", np.arange(3))

    def read(_):
        with opened_arrays(tmp_path / "a.npz") as stored:
            assert all((stored[f"a{k}"] == k).all() for k in range(20))
        assert read_array(tmp_path / "a.npy").tolist() == [0, 1, 2]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(10)
    gc.callbacks.append(callback := lambda phase, info: None)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(read, range(64)))
    finally:
        gc.callbacks.remove(callback)
        sys.setswitchinterval(interval)


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


def _raw_header(text):
    data = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data


def _described(dtype, sizes):
    return _raw_header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({sizes},)}}")


def _broken_stream(path, compression):
    """A member whose compressed bytes are none."""
    np_bytes = header((4,)) + bytes(4096)
    bomb(path, np_bytes, compression)
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[0]
    data = bytearray(path.read_bytes())
    start = 30 + len("latents.npy")
    data[start : start + info.compress_size] = b"\xff" * info.compress_size
    path.write_bytes(data)


def _encrypted(path):
    bomb(path, header((1,)) + bytes(4), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


DAMAGED = {
    "zlib": lambda path: _broken_stream(path, zipfile.ZIP_DEFLATED),
    "lzma": lambda path: _broken_stream(path, zipfile.ZIP_LZMA),
    "bz2": lambda path: _broken_stream(path, zipfile.ZIP_BZIP2),
    "encrypted": _encrypted,
    "tokens": lambda path: bomb(path, _raw_header("{'descr': '<f4', 'fortran_order': False, 'shape': (((1,")),
    "deep": lambda path: bomb(path, _raw_header("(" * 9000)),
    "negative": lambda path: bomb(path, _described("<f4", "-1")),
    "digits": lambda path: bomb(path, _described("<f4", f"0, {10**80}")),
    "empty items": lambda path: bomb(path, _described("|S0", str(2**40))),
    "no dtype": lambda path: bomb(path, _raw_header("{'descr': 7, 'fortran_order': False, 'shape': (1,)}")),
    "no archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_of_every_kind_is_told_in_one_line(tmp_path, kind):
    path = tmp_path / "a.npz"
    DAMAGED[kind](path)
    with pytest.raises((ValueError, OSError, zipfile.BadZipFile)), opened_arrays(path) as stored:
        dict(stored)
    for read in (read_solutions, KeptSolution.find, lambda path: KeptSolution.read(_kept(path))):
        with pytest.raises(RunError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ") and str(caught.value).isprintable()
        assert len(str(caught.value)) < len(str(path)) + 400


def _kept(path):
    numbers = {"restart": 0, "loss": 0.0, "downscaling_error": 0.0, "search_error": 0.0, "feasible": True, "steps": 1}
    return KeptSolution(path=path, status=Status.FEASIBLE, **numbers)


def test_a_directory_of_very_many_members_costs_nothing(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for k in range(5000):
            archive.writestr(f"{k}.npy", b"")
    tracemalloc.start()
    with pytest.raises(ValueError, match="a directory"), opened_arrays(tmp_path / "a.npz"):
        pass
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": np.array("x")},
        {"restart": np.array(0.5)},
        {"feasible": np.zeros(3, bool)},
        {"status": np.array(99)},
        {"curve": np.zeros(2, int)},
    ],
    ids=str,
)
def test_a_kept_solution_of_other_types_is_damaged(tmp_path, changes):
    arrays = {"restart": 0, "loss": 0.0, "downscaling_error": 0.0, "search_error": 0.0, "feasible": True, "status": 1}
    arrays |= {"steps": 1, "feasible_at": 0, "evaluations": 1, "moved": 0.0, "curve": np.zeros(1)}
    np.savez(tmp_path / "a.npz", **arrays)
    assert KeptSolution.find(tmp_path / "a.npz").status is Status.FEASIBLE
    np.savez(tmp_path / "a.npz", **(arrays | changes))
    with pytest.raises(RunError, match=r"cannot be read \(.*\); give the same command again"):
        KeptSolution.find(tmp_path / "a.npz")


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((2**16, 1, 3), np.uint8), np.zeros(3, np.uint8)])
def test_a_kept_picture_that_is_none_is_damaged(tmp_path, image):
    arrays = {"restart": 0, "loss": 0.0, "downscaling_error": 0.0, "search_error": 0.0, "feasible": True, "status": 1}
    np.savez(tmp_path / "a.npz", **arrays, steps=1, feasible_at=0, evaluations=1, moved=0.0, image=image)
    with pytest.raises(RunError, match=r"cannot be read \(.*\); give the same command again"):
        _kept(tmp_path / "a.npz").read()
