"""Generator folders that were made in order to do harm cost no memory and end in one line."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import tensorstore

from pulse_jax.generators import folder as storage
from pulse_jax.generators.array_store import inflated_bytes
from pulse_jax.generators.folder import GeneratorError, read_folder
from pulse_jax.generators.generator import load_generator
from pulse_jax.system.files import sha256_of
from tests.tiny_networks import tiny_generator

_KEY = "gaussian_fit.mean"  # of shape (8,)
_HUGE = 3 * 2**30


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "generator"
    tiny_generator().save(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return pathlib.Path(shutil.copytree(saved, tmp_path / "copy"))


def _zeros(size):
    """A zstd frame of zeros, 4 bytes for every 128 KiB."""
    blocks = size // 2**17
    frame = b"\x28\xb5\x2f\xfd\xa0" + size.to_bytes(4, "little")
    return frame + b"".join((2**17 << 3 | 2 | (k == blocks - 1)).to_bytes(3, "little") + b"\0" for k in range(blocks))


def _rehash(folder):
    """Let `config.json` say the hashes of the files as they are."""
    path = folder / "config.json"
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p != path]
    description = json.loads(path.read_text())
    description["sha256"] = {p.relative_to(folder).as_posix(): sha256_of(p) for p in files}
    description["description_sha256"] = storage._description_hash(description)
    path.write_text(json.dumps(description))


def _rewrite(folder, change, config=None):
    """Write the params again, after `change` was given their values by name."""

    def opened(**more):
        return tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{folder}/params/", **more}).result()

    store = opened()
    values = {key.decode(): store.read(key).result().value for key in store.list().result()}
    change(values)
    for path in (folder / "params").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.endswith("METADATA"):  # which orbax itself would want
            path.unlink()
    with tensorstore.Transaction() as transaction:
        store = opened(config=config or {}).with_transaction(transaction)
        for key, value in values.items():
            store[key] = value
    _rehash(folder)


def _described(values, **changes):
    values[f"{_KEY}/.zarray"] = json.dumps(json.loads(values[f"{_KEY}/.zarray"]) | changes).encode()


def _large_chunk(values):
    _described(values, chunks=[_HUGE // 4])
    values[f"{_KEY}/0"] = _zeros(_HUGE)


def _large_frame(values):
    values[f"{_KEY}/0"] = _zeros(_HUGE)


def _two_frames(values):
    values[f"{_KEY}/0"] += b"\x5a\x2a\x4d\x18\x02\0\0\0ab" + _zeros(_HUGE)


def _large_nodes(values):
    for k in range(64):
        values[f"networks.{k}"] = bytes(2**20)


_INLINE = {"max_inline_value_bytes": 2**20, "max_decoded_node_bytes": 2**30}
HOSTILE = {
    "chunk": (_large_chunk, None, r"array 'gaussian_fit/mean' of shape \[8\] has chunks of \[805306368\], larger"),
    "frame": (_large_frame, None, r"array 'gaussian_fit/mean' may inflate to 3221225472 bytes, expected at most"),
    "frames": (_two_frames, None, r"array 'gaussian_fit/mean' may inflate to \d+ bytes, expected at most"),
    "nodes": (_large_nodes, _INLINE, r"its nodes may inflate to \d+ bytes, expected at most 8388608"),
    "missing": (lambda values: values.pop(f"{_KEY}/0"), None, "a chunk of array 'gaussian_fit/mean' is missing"),
    "damaged": (lambda values: values.update({f"{_KEY}/0": b"x"}), None, "params cannot be read"),
    "no array": (
        lambda values: values.pop(f"{_KEY}/.zarray"),
        None,
        r"array 'gaussian_fit/mean' of shape \(8,\) is mis",
    ),
    "many chunks": (lambda values: _described(values, chunks=[0]), None, "what is said of array 'gaussian_fit/mean'"),
    "other codec": (lambda values: _described(values, compressor={"id": "blosc"}), None, "what is said of array"),
    "filters": (lambda values: _described(values, filters=[{"id": "zlib"}]), None, "what is said of array"),
    "ranks": (lambda values: _described(values, chunks=[1, 1]), None, "larger than it"),
    "truth": (lambda values: _described(values, shape=[True]), None, "what is said of array"),
    "other shape": (lambda values: _described(values, shape=[9]), None, r"expected shape \(8,\), got \(9,\)"),
    "not JSON": (lambda values: values.update({f"{_KEY}/.zarray": b"[" * 60_000}), None, "what is said of array"),
    "long": (lambda values: values.update({f"{_KEY}/.zarray": b" " * 70_000}), None, "has 70000 bytes"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_folder_is_refused_in_one_line(copy, kind):
    change, config, match = HOSTILE[kind]
    _rewrite(copy, change, config)
    with pytest.raises(GeneratorError, match=match) as caught:
        read_folder(copy)
    text = str(caught.value)
    assert text.startswith(f"{copy}: ") and text.isprintable() and len(text) < len(str(copy)) + 400
    assert "again" in text


_CHILD = """
import resource, sys
from pulse_jax.generators.generator import load_generator
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_generator(sys.argv[1])
before = peak()
for folder in sys.argv[2:]:
    try:
        load_generator(folder)
    except ValueError as error:
        print(error)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is counted in other units")
def test_hostile_folders_cost_no_memory_and_nothing_else_is_told(saved, tmp_path):
    folders = []
    for kind in ("chunk", "frame", "frames", "nodes"):
        folders.append(shutil.copytree(saved, tmp_path / kind))
        _rewrite(folders[-1], *HOSTILE[kind][:2])
        assert sum(path.stat().st_size for path in folders[-1].rglob("*")) < 2**19
    result = subprocess.run(
        [sys.executable, "-c", _CHILD, saved, *folders], capture_output=True, text=True, check=True, timeout=300
    )
    *told, grown = result.stdout.splitlines()
    assert len(told) == len(folders) and not result.stderr
    assert int(grown) < 2**17  # in KiB


def test_what_is_loaded_is_what_was_hashed(copy, monkeypatch):
    expected = read_folder(copy)[1]
    contents = storage._contents

    def swapped(*args):
        result = contents(*args)
        shutil.rmtree(copy / "params")
        tiny_generator(seed=1).save(copy.parent / "other")
        shutil.move(copy.parent / "other" / "params", copy / "params")
        return result

    monkeypatch.setattr(storage, "_contents", swapped)
    jax.tree.map(np.testing.assert_array_equal, read_folder(copy)[1], expected)


def test_a_rewritten_folder_that_does_no_harm_is_read(copy):
    expected = read_folder(copy)[1]
    _rewrite(copy, lambda values: None)
    jax.tree.map(np.testing.assert_array_equal, read_folder(copy)[1], expected)
    # In the smallest chunks that there are.
    values = np.asarray(expected["gaussian_fit"]["mean"])

    def split(stored):
        _described(stored, chunks=[1], compressor=None)
        stored.update({f"{_KEY}/{k}": value.tobytes() for k, value in enumerate(values)})

    _rewrite(copy, split)
    jax.tree.map(np.testing.assert_array_equal, read_folder(copy)[1], expected)


@pytest.mark.parametrize("shape", [(2**18 + 1,), (3, 7), (1,)], ids=str)
@pytest.mark.parametrize("kind", ["noise", "zeros", "half"])
def test_frames_of_honest_arrays_are_bounded_closely(tmp_path, shape, kind):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    array[: {"noise": 0, "zeros": len(array), "half": len(array) // 2}[kind]] = 1
    spec = {
        "driver": "zarr",
        "kvstore": f"file://{tmp_path}/a/",
        "metadata": {"compressor": {"id": "zstd", "level": 1}},
    }
    tensorstore.open(spec, create=True, dtype=array.dtype, shape=array.shape).result()[...] = array
    (chunk,) = (path.read_bytes() for path in (tmp_path / "a").iterdir() if path.name != ".zarray")
    assert array.nbytes <= inflated_bytes(chunk) <= 2 * array.nbytes + 2**17


def test_the_embedded_generator_needs_no_more_than_is_allowed():
    assert load_generator().latent_dim
