"""Files as each program writes them, read, recognised and converted: the same arrays as without the file."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.networks import account
from convert.source import CheckpointError, read_source
from pulse_jax.generators.generator import load_generator
from tests.convert import hostile, writers
from tests.convert.files import CASES, SOURCES, write_files


@pytest.mark.parametrize(("naming", "container"), CASES, ids=lambda case: str(case))
def test_a_file_converts_as_what_it_was_written_from(naming, container, tmp_path):
    paths = write_files(naming, container, tmp_path)
    found = account([read_source(path) for path in paths])
    direct = account(SOURCES[naming], 256.0 if naming == "ada" else "file")
    said = found.plan.config if container != "safetensors" or naming != "ada" else None
    assert said in (direct.plan.config, None)
    assert found.plan.family == direct.plan.family
    arrays, expected = fill(found.plan, found.state), fill(direct.plan, direct.state)
    assert list(arrays) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_whole_conversion_of_a_pickle(tmp_path):
    (path,) = write_files("ada", 4, tmp_path)
    convert.convert(path, tmp_path / "generator", samples=16)
    loaded = load_generator(tmp_path / "generator")
    assert loaded.config.conv_clamp == 256.0
    np.testing.assert_array_equal(loaded.w_avg, SOURCES["ada"][0].networks["G_ema"]["mapping.w_avg"])


def test_an_evil_weight_is_named(tmp_path):
    evil = hostile.Call(hostile.G("os", "system"), ("touch canary",))
    arrays = SOURCES["basicsr"][0].networks["params_ema"]
    file = hostile.Torch()
    state = {key: file.tensor(array) for key, array in arrays.items()} | {"style_mlp.1.bias": evil}
    (tmp_path / "evil.pth").write_bytes(file.zip({"params_ema": state}))
    with pytest.raises(CheckpointError, match=r"'style_mlp\.1\.bias' is not an array but os\.system"):
        convert.convert(tmp_path / "evil.pth", tmp_path / "generator")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pth"]


def test_reading_and_naming_need_no_jax():
    program = "import convert, convert.networks, sys; print({'jax', 'jaxlib', 'flax', 'torch'} & set(sys.modules))"
    root = pathlib.Path(convert.__file__).parent.parent
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert run.stdout.strip() == "set()"


def test_many_names_take_little_time():
    one = np.ones(1, np.float32)
    many = {f"{head}.{i}": one for i in range(20_000) for head in ("G", "synthesis", "module")}
    with pytest.raises(CheckpointError, match=r"of no known naming|looks like"):
        account([writers.source({"": many})])
