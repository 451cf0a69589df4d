"""VGG16 and the heads of LPIPS: read from torch's files as their programs write them, kept in one, refused by name."""

import numpy as np
import pytest

import convert
from convert import CheckpointError, convert_perceptual, perceptual, read_perceptual
from convert.safetensors_file import save_safetensors
from pulse_jax.cli import main
from pulse_jax.generators.networks.lpips import lpips
from tests.convert import hostile, writers
from tests.tiny_networks import perceptual_arrays, tiny_perceptual

WIDTHS = (4, 5, 6, 6, 4)
CLASSIFIER = {"classifier.0.weight": np.ones((3, 4), np.float32), "classifier.0.bias": np.ones(3, np.float32)}


@pytest.fixture
def tiny(monkeypatch):
    """Files of a few channels are taken for whole ones."""
    monkeypatch.setattr(perceptual, "_WIDTHS", WIDTHS)


def _write(path, arrays, legacy=False):
    file = hostile.Torch()
    tensors = {
        key: file.tensor(value, legacy=legacy) if isinstance(value, np.ndarray) else value
        for key, value in arrays.items()
    }
    path.write_bytes(file.legacy(tensors) if legacy else file.zip(tensors))
    return path


@pytest.fixture
def files(tiny, tmp_path):
    """torchvision's vgg16, legacy as the official one is, and the heads."""
    network, heads = perceptual_arrays(WIDTHS)
    return [_write(tmp_path / "vgg16.pth", network | CLASSIFIER, legacy=True), _write(tmp_path / "vgg.pth", heads)]


def _assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == np.float32
            np.testing.assert_array_equal(one, other)


def test_torchs_files_and_the_file_that_is_made_of_them_are_read_alike(files, tmp_path):
    for paths in (files, files[::-1]):
        _assert_same(read_perceptual(paths), tiny_perceptual(widths=WIDTHS))
    convert_perceptual(files, tmp_path / "perceptual.safetensors")
    _assert_same(read_perceptual(tmp_path / "perceptual.safetensors"), tiny_perceptual(widths=WIDTHS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["perceptual.safetensors", "vgg.pth", "vgg16.pth"]


def test_the_sizes_are_the_programs():
    shapes = perceptual._shapes()
    counts = {start: sum(np.prod(s) for key, s in shapes.items() if key.startswith(start)) for start in ("f", "lin")}
    # VGG16 has 138,357,544 parameters, of which its three dense layers have 123,642,856.
    assert counts == {"f": 138_357_544 - 123_642_856, "lin": 64 + 128 + 256 + 512 + 512}
    assert shapes["features.28.weight"] == (512, 512, 3, 3) and shapes["lin0.model.1.weight"] == (1, 64, 1, 1)
    assert len(shapes) == 2 * 13 + 5


def _changed(key, value):
    return lambda arrays: arrays | {key: value}


REFUSED = {
    "a missing kernel": (
        lambda a: {k: a[k] for k in a if k != "features.10.weight"},
        r"'features\.10\.weight' of .* is",
    ),
    "a missing head": (
        lambda a: {k: a[k] for k in a if not k.startswith("lin3")},
        r"'lin3\.model\.1\.weight' of .* is",
    ),
    "no heads": (lambda a: {k: a[k] for k in a if k[0] == "f"}, "looks like torchvision's vgg16 .*; give the heads"),
    "heads alone": (lambda a: {k: a[k] for k in a if k[0] == "l"}, "looks like the heads .*; give torchvision's vgg16"),
    "neither": (lambda a: {"w": np.ones(3, np.float32)}, "holds nothing of LPIPS; expected torchvision's vgg16"),
    "another width": (
        _changed("features.5.bias", np.ones(9, np.float32)),
        r"'features\.5\.bias': expected shape \(5,\)",
    ),
    "integers": (_changed("features.0.bias", np.ones(4, np.int64)), "expected floating point numbers, got int64"),
    "batch norm": (
        _changed("features.1.running_mean", np.ones(4, np.float32)),
        r"'features\.1\.running_mean' of .* unkn",
    ),
    "NaN": (_changed("features.2.bias", np.array([0, 1, np.nan, 2], np.float32)), r"'features\.2\.bias' holds NaN"),
    "huge values": (_changed("features.2.bias", np.full(4, 1e300)), r"'features\.2\.bias' holds NaN, infinite or huge"),
    "a negative head": (_changed("lin4.model.1.weight", -np.ones((1, 4, 1, 1), np.float32)), "holds negative weights"),
    "an object": (
        _changed("features.28.bias", hostile.Call(hostile.G("os", "system"), ("touch canary",))),
        r"'features\.28\.bias' is not an array but os\.system",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case, tiny, tmp_path):
    change, message = REFUSED[case]
    network, heads = perceptual_arrays(WIDTHS)
    path = _write(tmp_path / "both.pth", change(network | heads))
    with pytest.raises(CheckpointError, match=rf"both\.pth: .*{message}") as error:
        convert_perceptual(path, tmp_path / "out")
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    assert [path.name for path in tmp_path.iterdir()] == ["both.pth"]


def test_files_that_break_off_or_are_something_else(files, tmp_path):
    raw = files[0].read_bytes()
    for content, message in (
        (raw[:-100], "download the file again"),
        (b"<html>quota", "a web page"),
        (b"", "an empty file"),
    ):
        files[0].write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"vgg16\.pth: .*{message}"):
            read_perceptual(files)
    with pytest.raises(CheckpointError, match=r"missing\.pth"):
        read_perceptual(tmp_path / "missing.pth")


def test_only_a_file_of_its_kind_is_replaced(files, tmp_path):
    out = tmp_path / "out"
    convert_perceptual(files, out)
    with pytest.raises(CheckpointError, match="out: exists already; choose another file"):
        convert_perceptual(files, out)
    convert_perceptual(files, out, overwrite=True)
    for other in files:
        before = other.read_bytes()
        with pytest.raises(CheckpointError, match="exists already and is not a file that this command wrote"):
            convert_perceptual(files, other, overwrite=True)
        assert other.read_bytes() == before


def test_on_the_command_line(files, tmp_path, capsys):
    words = ["convert", "--perceptual", *map(str, files), str(tmp_path / "out")]
    assert main(words) == 0
    assert f"VGG16 and the heads of LPIPS in {tmp_path / 'out'}" in capsys.readouterr().out
    _assert_same(read_perceptual(tmp_path / "out"), tiny_perceptual(widths=WIDTHS))
    assert main(words) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--perceptual", "a"], "expected VGG16, the heads of LPIPS and the file to make"),
        (["--perceptual", "--inspect", "a", "b"], "--inspect: has no meaning with --perceptual"),
        (["--perceptual", "--clamp", "1", "a", "b"], "--clamp: has no meaning with --perceptual"),
        (["--perceptual", "--samples", "9", "a", "b"], "--samples: has no meaning with --perceptual"),
    ],
)
def test_wrong_usage_is_one_line(words, text, capsys):
    assert main(["convert", *words]) == 2
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1


def test_without_the_flag_it_is_told_of(tmp_path, files):
    with pytest.raises(CheckpointError, match=r"looks like VGG16 or the heads of LPIPS, no generator .convert --perc"):
        convert.convert(files, tmp_path / "out")


def test_a_generator_is_no_perceptual_network(tmp_path):
    (source,) = writers.basicsr(writers.random_stylegan2())
    save_safetensors(tmp_path / "weights.safetensors", source.networks["params_ema"])
    with pytest.raises(CheckpointError, match="holds nothing of LPIPS"):
        read_perceptual(tmp_path / "weights.safetensors")


def test_torch_computes_the_same(files, tmp_path):
    """torchvision's layers by hand, its file by torch itself, and LPIPS and its gradient as torch has them."""
    torch = pytest.importorskip("torch")
    import jax

    layers, before = [], 3
    for block, (width, count) in enumerate(zip(WIDTHS, (2, 2, 3, 3, 3), strict=True)):
        layers += [torch.nn.MaxPool2d(2, 2)] if block else []
        for _ in range(count):
            layers += [torch.nn.Conv2d(before, width, 3, padding=1), torch.nn.ReLU()]
            before = width
    model = torch.nn.Module()
    model.features = torch.nn.Sequential(*layers)
    network, heads = ({key: torch.from_numpy(a) for key, a in part.items()} for part in perceptual_arrays(WIDTHS))
    model.load_state_dict(network)
    for path, state in ((files[0], model.state_dict()), (files[1], heads)):
        torch.save(state, path)
    found = read_perceptual(files)
    pair = np.random.default_rng(1).random((2, 24, 24, 3), np.float32)
    x, y = (torch.from_numpy(picture).permute(2, 0, 1)[None].requires_grad_() for picture in pair)
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    taps = []
    for picture in (x, y):
        seen, value = [], (2 * picture - 1 - shift) / scale
        for place, layer in enumerate(model.features):
            value = layer(value)
            if place in (3, 8, 15, 22, 29):
                seen.append(value / (value.square().sum(1, keepdim=True).sqrt() + 1e-10))
        taps.append(seen)
    expected = sum(
        torch.nn.functional.conv2d((one - other).square(), head).mean()
        for one, other, head in zip(*taps, heads.values(), strict=True)
    )
    expected.backward()
    value, gradient = jax.jit(jax.value_and_grad(lpips, argnums=1))(found, *pair)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    theirs = x.grad[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(gradient, theirs, rtol=1e-3, atol=1e-5 * np.abs(theirs).max())
