"""Latents as other programs keep them: what is read, what is written, and what is refused."""

import io
import zipfile

import numpy as np
import pytest

import convert
from convert.latents import Latents, latent_file_names, read_latents, save_latents
from convert.source import CheckpointError, read_source
from tests.convert.hostile import Torch, pickled

LAYERS, WIDTH = 5, 3
SIDES = (4, 8, 8)


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


W = _random(2, LAYERS, WIDTH)
NOISE = tuple(_random(2, side, side, 1, seed=side + place) for place, side in enumerate(SIDES))
PICTURES = {"solution_01.png": _random(8, 8, 3).clip(0, 1), "solution_02.png": None}


def _same(found, w, noise=()):
    np.testing.assert_array_equal(found.w, w)
    assert found.w.dtype == np.float32 and len(found.noise) == len(noise)
    for one, other in zip(found.noise, noise, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("array", "w"),
    [
        (W[0], W[:1]),
        (W, W),
        (W[:, :1], W[:, :1]),
        (W[:, 0], W[:, :1]),  # W of two pictures, for 2 is not the number of layers
        (W[0, 0], W[:1, :1]),
        (W.astype(np.float64), W),
        (W.astype(np.float16), W.astype(np.float16).astype(np.float32)),
    ],
    ids=["W+", "W+ of several", "W of several", "vectors", "vector", "float64", "float16"],
)
@pytest.mark.parametrize("kind", ["npy", "npz", "torch", "safetensors"])
def test_w_of_any_shape_is_read(array, w, kind, tmp_path):
    path = tmp_path / {"npy": "a.npy", "npz": "a.npz", "torch": "a.pt", "safetensors": "a.safetensors"}[kind]
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":  # as StyleGAN2-ADA's projector
        np.savez(path, w=array)
    elif kind == "torch":  # as encoders save what they found
        torch = Torch()
        path.write_bytes(torch.zip(torch.tensor(array)))
    else:
        convert.safetensors_file.save_safetensors(path, {"latents": array.astype(np.float32)})
        w = array.astype(np.float32).reshape(w.shape)
    _same(read_latents(path, LAYERS), w)


def test_a_projection_of_rosinalitys_is_read(tmp_path):
    """Its projector saves by pictures' names `img`, `latent` (L, d) or (d,), and `noise`, a list of (1, 1, r, r)."""
    for w in (W, W[:, :1]):
        torch = Torch()
        files = {
            name: {
                "img": torch.tensor(_random(3, 8, 8)),
                "latent": torch.tensor(w[k] if w.shape[1] > 1 else w[k, 0]),
                "noise": [torch.tensor(noise[k : k + 1].transpose(0, 3, 1, 2)) for noise in NOISE],
            }
            for k, name in enumerate(("faces/a.png", "b.png"))
        }
        (tmp_path / "a.pt").write_bytes(torch.zip(files))
        _same(read_latents(tmp_path / "a.pt", LAYERS), w, NOISE)


@pytest.mark.parametrize("kind", ["ada", "npy", "rosinality"])
def test_what_is_written_is_read_again(kind, tmp_path):
    save_latents(tmp_path, Latents(W, NOISE), kind, PICTURES)
    names = latent_file_names(kind, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for k, name in enumerate(names):
        part = slice(k, k + 1) if kind == "ada" else slice(None)
        _same(read_latents(tmp_path / name, LAYERS), W[part], () if kind == "npy" else tuple(n[part] for n in NOISE))


def test_files_are_what_the_programs_write(tmp_path):
    for kind in ("ada", "npy", "rosinality"):
        save_latents(tmp_path, Latents(W, NOISE), kind, PICTURES)
    # StyleGAN2-ADA's generate.py reads `w` and holds ws.shape[1:] against (num_ws, w_dim).
    with np.load(tmp_path / "projected_w_02.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["w"], W[1:])
        assert file["w"].shape == (1, LAYERS, WIDTH)
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), W)
    first, second = read_source(tmp_path / "projected.pt", lists=True).networks.values()
    assert {key: array.shape for key, array in first.items()} == {
        "img": (3, 8, 8),
        "latent": (LAYERS, WIDTH),
        **{f"noise.{i}": (1, 1, side, side) for i, side in enumerate(SIDES)},
    }
    np.testing.assert_allclose((first["img"].transpose(1, 2, 0) + 1) / 2, PICTURES["solution_01.png"], atol=1e-6)
    assert "img" not in second


def test_torch_reads_it(tmp_path):
    torch = pytest.importorskip("torch")
    save_latents(tmp_path, Latents(W, NOISE), "rosinality", PICTURES)
    found = torch.load(tmp_path / "projected.pt", weights_only=True)
    np.testing.assert_array_equal(found["solution_02.png"]["latent"].numpy(), W[1])
    for k, noise in enumerate(found["solution_01.png"]["noise"]):
        np.testing.assert_array_equal(noise.numpy()[0, 0], NOISE[k][0, :, :, 0])


def _npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _npy(array, cut=None):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()[:cut]


def _claiming():
    """A small file whose header claims a terabyte."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (2**38,)})
    return buffer.getvalue() + bytes(64)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"", "cannot be read"),
        ("a.npy", b"x" * 100, "cannot be read"),
        ("a.npy", _npy(W, -8), "cannot be read"),
        ("a.npy", _claiming(), "claims the shape"),
        ("a.npy", _npy(np.arange(3)), r"its latents are \(3,\) int64"),
        ("a.npy", _npy(np.zeros((2, 2, 5, 3))), r"its latents are \(2, 2, 5, 3\)"),
        ("a.npy", _npy(np.zeros((0, 3))), r"its latents are \(0, 3\)"),
        ("a.npy", _npy(np.full((5, 3), np.nan)), "holds NaN or infinite latents"),
        ("a.npz", b"PK", "cannot be read"),
        ("a.npz", _npz(arr_0=W), "holds no latents; expected w as projected_w.npz"),
        ("a.npz", _npz(w=W, noise_00=np.zeros((3, 4, 4, 1))), r"its noise is \(3, 4, 4, 1\)"),
        ("a.npz", _npz(w=W, noise_00=np.zeros((2, 4, 5, 1))), r"its noise is \(2, 4, 5, 1\)"),
        ("a.pt", b"\x80\x02.", "a.pt"),
        ("a.pt", pickled({"a": 1}, 2), "a.pt"),
    ],
)
def test_other_files_are_refused_in_one_line(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as raised:
        read_latents(tmp_path / name, LAYERS)
    assert name in str(raised.value) and "\n" not in str(raised.value) and len(str(raised.value)) < 400


def test_latents_of_different_shapes_are_refused(tmp_path):
    torch = Torch()
    (tmp_path / "a.pt").write_bytes(
        torch.zip({"a": {"latent": torch.tensor(W[0])}, "b": {"latent": torch.tensor(W[0, 0])}})
    )
    with pytest.raises(CheckpointError, match="its latents are of different shapes"):
        read_latents(tmp_path / "a.pt", LAYERS)


def test_arrays_in_lists_are_no_network(tmp_path):
    """Checkpoints are read as before: what trainers keep in lists is passed over."""
    torch = Torch()
    (tmp_path / "a.pt").write_bytes(torch.zip({"w": torch.tensor(W), "shadow": [torch.tensor(W[0])]}))
    assert set(read_source(tmp_path / "a.pt").networks[""]) == {"w"}
    assert set(read_source(tmp_path / "a.pt", lists=True).networks[""]) == {"w", "shadow.0"}
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert archive.testzip() is None
