"""Files as each program writes them, read, recognised and converted: the same arrays as without the file."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.detect import account
from convert.safetensors_file import save_safetensors
from convert.source import CheckpointError, read_source
from pulse_jax.generator import load_generator
from tests.convert import hostile, writers

W_AVG = np.linspace(-1, 1, 7, dtype=np.float32)
SOURCES = {name: write(writers.random_stylegan1(), W_AVG) for name, write in writers.STYLEGAN1.items()} | {
    name: write(writers.random_stylegan2()) for name, write in writers.STYLEGAN2.items()
}
SOURCES["ada"] = writers.ada(writers.random_stylegan2(), 256)


def _modules(arrays, values, name):
    """The nested modules of a dotted state: those of `persistence` hold plain values as attributes."""
    parameters, buffers, attributes, inner = {}, {}, {}, {}
    for key, value in {**arrays, **values}.items():
        head, dot, tail = key.partition(".")
        if dot:
            inner.setdefault(head, ({}, {}))[key in values][tail] = value
        elif key in values:
            attributes[key] = value
        elif head in ("weight", "bias", "const", "noise_strength"):
            parameters[head] = hostile.parameter(hostile.nested(value))
        else:
            buffers[head] = hostile.nested(value)
    modules = {head: _modules(*parts, f"Layer_{head}") for head, parts in inner.items()}
    return hostile.module(name, parameters, buffers, modules, **attributes)


def _pickle(naming, source, protocol):
    if naming == "ada":
        networks = {
            name: _modules(arrays, source.values.get(name, {}), "Generator") for name, arrays in source.networks.items()
        }
        networks["training_set_kwargs"] = hostile.Call(hostile.G("dnnlib.util", "EasyDict"), (), {}, {"path": "x"})
        networks["augment_pipe"] = None
        return hostile.pickled(networks, protocol)
    networks = []
    for name, arrays in source.networks.items():
        said = source.values.get(name, {})
        kwargs = {key.removeprefix("static_kwargs."): v for key, v in said.items() if key.startswith("static_kwargs.")}
        parts = {
            part: hostile.network(
                f"G_{part}",
                {key.removeprefix(f"{part}/"): array for key, array in arrays.items() if key.startswith(f"{part}/")},
                **kwargs,
            )
            for part in ("mapping", "synthesis")
        }
        own = {key: array for key, array in arrays.items() if "/" not in key}
        networks.append(hostile.network(name, own, parts, func_name="G_main", **kwargs))
    return hostile.pickled(tuple(networks), protocol)


def _torch(source, legacy):
    file = hostile.Torch()
    value = {}
    for name, arrays in source.networks.items():
        tensors = {key: file.tensor(array, legacy=legacy) for key, array in arrays.items()}
        value |= {name: tensors} if name else tensors
    if "g_ema" in value:
        value["args"] = hostile.Call(hostile.G("argparse", "Namespace"), (), {"size": 8, "n_mlp": 2}, new=True)
    return file.legacy(value) if legacy else file.zip(value)


def _files(naming, container, folder):
    """The files of a naming in a container, written below `folder`."""
    paths = []
    for source in SOURCES[naming]:
        path = folder / source.path.name
        paths.append(path)
        if container == "safetensors":
            flat = {
                f"{name}.{key}" if name else key: array
                for name, arrays in source.networks.items()
                if name in ("", "Gs", "G_ema", "g_ema", "params_ema", "generator_smooth")
                for key, array in arrays.items()
            }
            save_safetensors(path, flat)
        elif isinstance(container, int):
            path.write_bytes(_pickle(naming, source, container))
        else:
            path.write_bytes(_torch(source, container == "legacy"))
    return paths


CASES = [
    *((naming, protocol) for naming in ("ada", "tensorflow1", "tensorflow2") for protocol in (2, 3, 4)),
    *((naming, kind) for naming in ("pulse", "lernapparat", "huangzh13", "rosinality") for kind in ("zip", "legacy")),
    *((naming, "zip") for naming in ("genforce1", "genforce2", "basicsr")),
    *((naming, "safetensors") for naming in SOURCES),
]


@pytest.mark.parametrize(("naming", "container"), CASES, ids=lambda case: str(case))
def test_a_file_converts_as_what_it_was_written_from(naming, container, tmp_path):
    paths = _files(naming, container, tmp_path)
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
    (path,) = _files("ada", 4, tmp_path)
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
    program = "import convert, convert.detect, sys; print({'jax', 'jaxlib', 'flax', 'torch'} & set(sys.modules))"
    root = pathlib.Path(convert.__file__).parent.parent
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert run.stdout.strip() == "set()"


def test_many_names_take_little_time():
    one = np.ones(1, np.float32)
    many = {f"{head}.{i}": one for i in range(20_000) for head in ("G", "synthesis", "module")}
    with pytest.raises(CheckpointError, match=r"of no known naming|looks like"):
        account([writers.source({"": many})])
