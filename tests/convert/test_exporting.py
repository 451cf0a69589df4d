"""Generators as other programs' checkpoints: the arrays that those programs' classes have, and none else."""

import dataclasses

import jax
import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.exporting import NAMINGS, export_file
from convert.networks import account
from convert.source import CheckpointError, read_source
from pulse_jax.cli import main
from tests.convert import writers
from tests.tiny_networks import tiny_generator

W_AVG = np.linspace(-1, 1, 7, dtype=np.float32)
# What our writers call them, and under which name the programs' files hold the network.
PLACES = {
    "ada": ("ada", ""),
    "rosinality": ("rosinality", "g_ema"),
    "basicsr": ("basicsr", "params_ema"),
    "genforce": ("genforce2", "generator_smooth"),
}
SUFFIXES = (".safetensors", ".pt", ".pth")


def _written(naming):
    """The source that a program with all its buffers would have written, and the generator that it stands for."""
    (source, *_) = writers.STYLEGAN2[PLACES[naming][0]](writers.random_stylegan2())
    found = account([source])
    generator = convert._generator(found.plan, fill(found.plan, found.state))
    return source, generator if generator.w_avg is not None else dataclasses.replace(generator, w_avg=W_AVG)


def _parts(path, place):
    """What a file holds: the network's arrays, and what stands beside them."""
    source = read_source(path)
    flat = {
        f"{name}.{key}" if name else key: a for name, arrays in source.networks.items() for key, a in arrays.items()
    }
    start = f"{place}." if place else ""
    network = {key.removeprefix(start): array for key, array in flat.items() if key.startswith(start)}
    return network, {key: array for key, array in flat.items() if not key.startswith(start)}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("naming", PLACES)
def test_a_file_holds_what_the_programs_class_has(naming, suffix, tmp_path):
    source, generator = _written(naming)
    export_file(generator, tmp_path / f"file{suffix}", naming)
    network, beside = _parts(tmp_path / f"file{suffix}", PLACES[naming][1])
    name = next(name for name in ("G_ema", "g_ema", "params_ema", "generator_smooth", "") if name in source.networks)
    expected = source.networks[name]
    assert {key: array.shape for key, array in network.items()} == {k: a.shape for k, a in expected.items()}
    for key, array in expected.items():
        if "noise" not in key or "strength" in key or ".noise.weight" in key:
            np.testing.assert_allclose(network[key], array, rtol=1e-6, atol=1e-6, err_msg=key)
    noise = [array for key, array in network.items() if "noise" in key and array.size > 1]
    assert noise and all(abs(array.std() - 1) < 0.5 for array in noise)
    assert set(beside) == ({"latent_avg"} if naming == "rosinality" else set())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("naming", PLACES)
def test_a_file_comes_back_as_the_generator(naming, suffix, tmp_path):
    _, generator = _written(naming)
    export_file(generator, tmp_path / f"file{suffix}", naming)
    found = account([read_source(tmp_path / f"file{suffix}")])
    back = convert._generator(found.plan, fill(found.plan, found.state))
    assert jax.tree.structure(back.params) == jax.tree.structure(generator.params)
    for ours, theirs in zip(jax.tree.leaves(generator.params), jax.tree.leaves(back.params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    if naming != "basicsr":  # which has no place for it
        np.testing.assert_array_equal(back.w_avg, generator.w_avg)


def test_torch_itself_reads_the_file(tmp_path):
    torch = pytest.importorskip("torch")
    _, generator = _written("rosinality")
    export_file(generator, tmp_path / "file.pt", "rosinality")
    stored = torch.load(tmp_path / "file.pt", weights_only=True)
    network, _ = _parts(tmp_path / "file.pt", "g_ema")
    assert set(stored) == {"g_ema", "latent_avg"} and list(stored["g_ema"]) == list(network)
    for key, tensor in stored["g_ema"].items():
        assert tensor.dtype == torch.float32
        np.testing.assert_array_equal(tensor.numpy(), network[key])


def test_the_command_writes_a_file_and_no_two_are_mixed_up(tmp_path, capsys):
    _, generator = _written("ada")
    dataclasses.replace(generator, config=dataclasses.replace(generator.config, conv_clamp=256.0)).save(tmp_path / "g")
    words = ["export", str(tmp_path / "g"), str(tmp_path / "out.pt"), "--naming", "rosinality"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "out.pt" in told.out and "The clamp of 256 is a setting of the program's class" in told.err
    assert account([read_source(tmp_path / "out.pt")]).plan.family == "StyleGAN2 (rosinality)"
    before = (tmp_path / "out.pt").read_bytes()
    assert main(words) == 1
    assert "exists already; choose another file" in capsys.readouterr().err
    assert (tmp_path / "out.pt").read_bytes() == before
    assert main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("change", "file", "naming", "error", "told"),
    [
        ({}, "file.bin", "ada", CheckpointError, r"expected a name that ends with \.safetensors"),
        ({}, "none/file.pt", "ada", CheckpointError, "cannot be written"),
        ({}, "file.pt", "tensorflow", ValueError, "naming: expected one of ada, rosinality, genforce, basicsr"),
        ({"w_avg": None}, "file.pt", "ada", ValueError, "knows the mean of its w"),
    ],
)
def test_what_cannot_be_written_is_told_and_leaves_nothing(change, file, naming, error, told, tmp_path):
    _, generator = _written("ada")
    with pytest.raises(error, match=told):
        export_file(dataclasses.replace(generator, **change), tmp_path / file, naming)
    assert list(tmp_path.iterdir()) == []


def test_a_stylegan1_has_no_place_in_them(tmp_path):
    assert set(NAMINGS) == set(PLACES)
    with pytest.raises(ValueError, match="naming: ada is of stylegan2, this generator is stylegan1"):
        export_file(tiny_generator("stylegan1-4"), tmp_path / "file.pt", "ada")
