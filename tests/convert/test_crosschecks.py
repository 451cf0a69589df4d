"""Files that torch and safetensors themselves write and read, where they are installed: the same arrays bit for bit."""

import pathlib
import pickle

import numpy as np
import pytest

from convert.safetensors_file import save_safetensors
from convert.source import CheckpointError, read_source
from tests.convert import hostile, writers

W_AVG = np.linspace(-1, 1, 7, dtype=np.float32)
# As their programs keep them, but for what lies at the top level.
FAMILIES = {name: writers.STYLEGAN1[name] for name in ("pulse", "lernapparat", "huangzh13", "genforce1")} | {
    name: writers.STYLEGAN2[name] for name in ("rosinality", "genforce2", "basicsr")
}
CONTAINERS = [*(("zip", protocol) for protocol in (2, 3, 4, 5)), *(("legacy", protocol) for protocol in (2, 3, 4, 5))]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def _save(torch, value, path: pathlib.Path, kind: str, protocol: int) -> None:
    if kind == "plain":
        path.write_bytes(pickle.dumps(value, protocol))
    else:
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=kind == "zip")


def _assert_bits(found, expected) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].dtype == array.dtype and found[key].shape == array.shape, key
        assert found[key].tobytes() == np.ascontiguousarray(array).tobytes(), key


@pytest.mark.parametrize(("kind", "protocol"), [*CONTAINERS, ("plain", 2), ("plain", 4)])
def test_tensors_of_every_dtype_and_layout(torch, kind, protocol, tmp_path):
    torch.manual_seed(0)
    base = torch.randn(2, 3, 4, 5)
    bits = torch.randint(-(2**15), 2**15, (64,), dtype=torch.int16)
    shared = torch.arange(40, dtype=torch.float32)
    bias = torch.randn(7)
    tensors = {
        "half": base.half(),
        "bfloat16": bits.view(torch.bfloat16),  # every kind of number, NaN too
        "double": base.double(),
        **{str(dtype).rpartition(".")[2]: base.to(dtype) for dtype in (torch.int64, torch.int32, torch.int16)},
        "int8": bits.to(torch.int8),
        "uint8": bits.to(torch.uint8),
        "bool": base > 0,
        "scalar": torch.tensor(0.25),
        "empty": torch.zeros(0, 3),
        "transposed": torch.randn(3, 5).T,
        "permuted": base.permute(2, 0, 3, 1),
        "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "part": shared[3:17],
        "rows": shared[20:36].view(4, 4),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "tied": bias,
        "tied again": bias,
        "large and tied": (large := torch.randn(32, 32)),
        "large and tied again": large,
    }
    assert not tensors["permuted"].is_contiguous()
    path = tmp_path / "file"
    _save(torch, {"g_ema": {"deep": {"deeper": tensors}, "step": 3}, "lr": 0.5}, path, kind, protocol)
    found = read_source(path)
    assert found.container == {"zip": "torch-zip", "legacy": "torch-legacy", "plain": "pickle"}[kind]
    assert found.inert == {} and found.values == {"g_ema": {"step": 3}, "": {"lr": 0.5}}
    expected = {}
    for key, tensor in tensors.items():
        tensor = tensor.detach()
        expected[f"deep.deeper.{key}"] = (tensor.float() if key == "bfloat16" else tensor).numpy()
    if kind == "plain":
        # Every tensor brings its storage along, whole.
        assert list(found.networks["g_ema"]) == list(expected)
    _assert_bits(found.networks["g_ema"], expected)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_windows_with_gaps_or_repeats_are_refused_by_name(torch, kind, tmp_path):
    base = torch.randn(6, 6)
    for name, tensor in (("gaps", base[:, ::2]), ("repeats", base[0].expand(3, 6)), ("diagonal", base.diagonal())):
        _save(torch, {name: tensor}, tmp_path / name, kind, 2)
        with pytest.raises(CheckpointError, match=rf"'{name}': .* is not dense"):
            read_source(tmp_path / name)
    _save(torch, {"a": base[:4], "b": base[2:]}, tmp_path / "overlap", kind, 2)
    with pytest.raises(CheckpointError, match="'a' and 'b' overlap in memory"):
        read_source(tmp_path / "overlap")


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_state_dicts_and_whole_modules(torch, kind, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Conv2d(2, 3, 3))
    expected = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    for name, value in (("state", model.state_dict()), ("module", {"g_ema": model})):
        _save(torch, value, tmp_path / name, kind, 2)
        (network,) = read_source(tmp_path / name).networks.values()
        assert sorted(network) == sorted(expected)
        _assert_bits({key: network[key] for key in expected}, expected)


@pytest.mark.parametrize("naming", FAMILIES)
@pytest.mark.parametrize(("kind", "protocol"), CONTAINERS)
def test_files_of_the_programs_that_use_torch(torch, naming, kind, protocol, tmp_path):
    if naming in writers.STYLEGAN1:
        sources = writers.STYLEGAN1[naming](writers.random_stylegan1(), W_AVG)
    else:
        sources = writers.STYLEGAN2[naming](writers.random_stylegan2())
    for source in sources:
        value = {}
        for name, arrays in source.networks.items():
            tensors = {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}
            value |= {name: tensors} if name else tensors
        _save(torch, value, tmp_path / "file", kind, protocol)
        networks = read_source(tmp_path / "file").networks
        assert set(networks) == set(source.networks)
        for name, arrays in source.networks.items():
            _assert_bits(networks[name], arrays)


def test_safetensors_of_torch(torch, tmp_path):
    library = pytest.importorskip("safetensors.torch")
    tensors = {"w": torch.randn(3, 4), "half": torch.randn(5).half(), "wide": torch.randn(6).bfloat16()}
    library.save_file(tensors, tmp_path / "file", {"clamp": "256"})
    found = read_source(tmp_path / "file")
    assert found.values[""] == {"clamp": "256"}
    expected = {key: (tensor.float() if key == "wide" else tensor).numpy() for key, tensor in tensors.items()}
    _assert_bits({key: found.networks[""][key] for key in expected}, expected)


def test_safetensors_as_its_own_library_reads_and_writes_them(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    save_safetensors(tmp_path / "ours", hostile.arrays())
    _assert_bits(dict(sorted(library.load_file(tmp_path / "ours").items())), dict(sorted(hostile.arrays().items())))
    library.save_file(hostile.arrays(), tmp_path / "theirs")
    (network,) = read_source(tmp_path / "theirs").networks.values()
    _assert_bits(dict(sorted(network.items())), dict(sorted(hostile.arrays().items())))
