"""`pulse-jax convert`: inspection, conversion, and one line for whatever is refused."""

import pathlib

import pytest

from convert.safetensors_file import save_safetensors
from pulse_jax.cli import main
from pulse_jax.generators.generator import load_generator
from tests.convert import writers


@pytest.fixture
def checkpoint(tmp_path: pathlib.Path) -> pathlib.Path:
    """A tiny StyleGAN2 under BasicSR's names."""
    (source,) = writers.basicsr(writers.random_stylegan2())
    save_safetensors(tmp_path / "weights.safetensors", source.networks["params_ema"])
    return tmp_path / "weights.safetensors"


def _run(*words: object) -> int:
    return main([str(word) for word in words])


def test_inspection_says_what_it_is_and_writes_nothing(checkpoint, capsys):
    assert _run("convert", "--inspect", checkpoint) == 0
    out = capsys.readouterr().out
    assert "BasicSR" in out and "style_mlp.1.weight" in out and "(7, 7) float32" in out
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_labels_are_counted_and_kept(tmp_path, capsys):
    (source,) = writers.write("huangzh13 labels")
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, source.networks[""])
    assert _run("convert", "--inspect", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "labels               3" in lines
    assert any(line.split()[0] == "class_embedding.weight" and "mapping/label_weight" in line for line in lines)
    assert _run("convert", path, tmp_path / "out", "--samples", 16) == 0
    assert load_generator(tmp_path / "out").label_dim == 3


def test_a_conversion_gives_a_generator_folder(checkpoint, tmp_path, capsys):
    assert _run("convert", checkpoint, tmp_path / "out", "--samples", 16, "--clamp", 256) == 0
    assert "parameters" in capsys.readouterr().out
    generator = load_generator(tmp_path / "out")
    assert generator.config.conv_clamp == 256
    assert generator.gaussian_fit is not None
    assert _run("convert", checkpoint, tmp_path / "out", "--samples", 16) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_smaller_size_is_converted_where_there_is_one(tmp_path, capsys):
    (source,) = writers.write("rosinality1")
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, source.networks["g_running"])
    for words, size, told in (
        ([], 8, "it is not said whether 8x8 was trained to its end: --resolution N takes a smaller one"),
        (["--resolution", 4], 4, "the colours of 4x4 are older than its blocks, which were trained on for 8x8"),
    ):
        assert _run("convert", "--inspect", path, *words) == 0
        assert f"note                 {told}" in capsys.readouterr().out.splitlines()
        assert _run("convert", path, tmp_path / str(size), "--samples", 16, *words) == 0
        assert told in " ".join(capsys.readouterr().err.split())
        assert load_generator(tmp_path / str(size)).resolution == size


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (["only_one"], "expected a checkpoint and the folder to make", 2),
        (["missing.pt", "out"], "missing.pt", 1),
        (["FILE", "out", "--clamp", "-1"], "--clamp: expected a positive number", 2),
        (["FILE", "out", "--samples", "1"], "samples", 2),
        (["FILE", "out", "--resolution", "6"], "--resolution: expected a power of two from 4 to 4096, got 6", 2),
        (["FILE", "out", "--resolution", "4"], "8x8, which makes no pictures of another size", 1),
    ],
)
def test_what_cannot_be_converted_is_told_in_one_line(checkpoint, tmp_path, capsys, words, text, code):
    words = [checkpoint if word == "FILE" else word for word in words]
    words = [tmp_path / "out" if word == "out" else word for word in words]
    assert _run("convert", *words) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) <= 2 and text in lines[-1]
    assert not (tmp_path / "out").exists()
