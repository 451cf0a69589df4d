"""Generators as other programs' checkpoints: the arrays that those programs' classes have, and none else."""

import dataclasses

import jax
import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.class_arguments import class_arguments
from convert.exporting import NAMINGS, export_file
from convert.networks import account
from convert.source import CheckpointError, read_source
from pulse_jax.cli import main
from pulse_jax.generators.architectures import StyleGAN2Config
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
# What their classes can have: a base over the side, or a table of 512 channels at 8x8, which BasicSR's narrows.
WIDTHS = {"ada": (6, 5), "genforce": (6, 5), "rosinality": (512, 512), "basicsr": (6, 6)}


def _written(naming):
    """The source that a program with all its buffers would have written, and the generator that it stands for."""
    (source, *_) = writers.STYLEGAN2[PLACES[naming][0]](writers.random_stylegan2(WIDTHS[naming]))
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
    config = dataclasses.replace(generator.config, conv_clamp=256.0, mapping_lr_multiplier=0.5)
    dataclasses.replace(generator, config=config).save(tmp_path / "g")
    words = ["export", str(tmp_path / "g"), str(tmp_path / "out.pt"), "--naming", "genforce"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "out.pt" in told.out and "mapping_layers=2, mapping_fmaps=7, mapping_lr_mul=0.5, fmaps_base=" in told.err
    assert "genforce knows no clamp: where activations exceed 256, its pictures differ" in told.err
    assert account([read_source(tmp_path / "out.pt")]).plan.family == "StyleGAN2 (GenForce)"
    before = (tmp_path / "out.pt").read_bytes()
    assert main(words) == 1
    assert "exists already; choose another file" in capsys.readouterr().err
    assert (tmp_path / "out.pt").read_bytes() == before
    assert main([*words, "--overwrite"]) == 0
    capsys.readouterr()
    assert main(["export", str(tmp_path / "g"), str(tmp_path / "ada.pt")]) == 0
    told = capsys.readouterr().err
    assert "lr_multiplier': 0.5" in told and "'conv_clamp': 256.0" in told and "knows no clamp" not in told


def test_a_generators_folder_is_not_written_into(tmp_path, capsys):
    _, generator = _written("ada")
    generator.save(tmp_path / "g")
    before = sorted(path.name for path in (tmp_path / "g").iterdir())
    assert main(["export", str(tmp_path / "g"), str(tmp_path / "g" / "out.pt")]) == 2
    assert "lies inside the generator's folder; choose another place" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "g").iterdir()) == before


def test_basicsr_needs_no_mean_of_w_and_has_no_place_for_one(tmp_path, capsys):
    _, generator = _written("basicsr")
    export_file(dataclasses.replace(generator, w_avg=None), tmp_path / "a.pt", "basicsr")
    generator.save(tmp_path / "g")
    assert main(["export", str(tmp_path / "g"), str(tmp_path / "b.pt"), "--naming", "basicsr"]) == 0
    assert "BasicSR has no place for the mean of w" in capsys.readouterr().err


# Official networks, of which these are the widths: FFHQ at 1024 (config-f), and half as wide (config-e).
FULL = (512, 512, 512, 512, 512, 256, 128, 64, 32)
HALF = (512, 512, 512, 512, 256, 128, 64, 32, 16)


@pytest.mark.parametrize(
    ("channels", "naming", "expected"),
    [
        (FULL, "rosinality", {"size": 1024, "channel_multiplier": 2, "n_mlp": 8, "style_dim": 512}),
        (HALF, "rosinality", {"size": 1024, "channel_multiplier": 1}),
        (FULL, "basicsr", {"out_size": 1024, "channel_multiplier": 2, "narrow": 1, "num_mlp": 8}),
        (tuple(width // 2 for width in FULL), "basicsr", {"channel_multiplier": 2, "narrow": 0.5}),
        (FULL, "ada", {"img_resolution": 1024, "synthesis_kwargs": {"channel_base": 32768, "channel_max": 512}}),
        (HALF, "ada", {"synthesis_kwargs": {"channel_base": 16384, "channel_max": 512}}),
        (FULL, "genforce", {"resolution": 1024, "fmaps_base": 32768, "fmaps_max": 512}),
        ((128, 128, 64, 32, 16), "ada", {"synthesis_kwargs": {"channel_base": 1024, "channel_max": 128}}),
    ],
)
def test_the_arguments_of_a_class_are_those_of_its_tables(channels, naming, expected):
    config = StyleGAN2Config(resolution=4 * 2 ** (len(channels) - 1), latent_dim=512, channels=channels)
    found = class_arguments(config, naming)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("naming", ["rosinality", "basicsr"])
def test_widths_that_a_class_cannot_have_are_refused(naming, tmp_path):
    _, generator = _written("ada")
    with pytest.raises(ValueError, match="no arguments of that program's class give the widths 6, 5; choose ada or"):
        export_file(generator, tmp_path / "file.pt", naming)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "file", "naming", "error", "told"),
    [
        ({}, "file.bin", "ada", CheckpointError, r"expected a name that ends with \.safetensors"),
        ({}, "none/file.pt", "ada", CheckpointError, "cannot be written"),
        ({}, "file.pt", "tensorflow", ValueError, "naming: expected one of ada, rosinality, genforce, basicsr"),
        ({"w_avg": None}, "file.pt", "ada", ValueError, "knows the mean of its w"),
        (
            {"w_avg": np.full(7, np.nan, np.float32)},
            "file.pt",
            "ada",
            ValueError,
            "hold NaN or infinity, in what becomes",
        ),
    ],
)
def test_what_cannot_be_written_is_told_and_leaves_nothing(change, file, naming, error, told, tmp_path):
    _, generator = _written("ada")
    with pytest.raises(error, match=told):
        export_file(dataclasses.replace(generator, **change), tmp_path / file, naming)
    assert list(tmp_path.iterdir()) == []


def test_a_synthesis_network_alone_is_not_written(tmp_path):
    _, generator = _written("ada")
    bare = dataclasses.replace(
        generator,
        config=dataclasses.replace(generator.config, mapping_layers=None),
        params={"mapping": {}, "synthesis": generator.params["synthesis"]},
    )
    with pytest.raises(ValueError, match="expected one with its mapping network"):
        export_file(bare, tmp_path / "file.pt", "ada")


def test_a_stylegan1_has_no_place_in_them(tmp_path):
    assert set(NAMINGS) == set(PLACES)
    with pytest.raises(ValueError, match="naming: ada is of stylegan2, this generator is stylegan1"):
        export_file(tiny_generator("stylegan1-4"), tmp_path / "file.pt", "ada")
