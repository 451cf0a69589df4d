"""`upsample` from given files: solutions to start from, a perceptual network."""

import hashlib
import json
from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convert.safetensors_file import save_safetensors
from pulse_jax.cli import generators
from pulse_jax.generators.priors.flow import Flow, init_blocks
from pulse_jax.generators.priors.principal import PrincipalFit
from pulse_jax.objectives.language import parse_loss
from pulse_jax.objectives.terms import TERMS
from pulse_jax.search.presets import PERCEPTUAL, PRESETS, SEARCHES
from tests.cli.fake_engine import DIM, NOISE, ROWS, draw, run, summary_of
from tests.tiny_networks import perceptual_arrays, tiny_perceptual


def test_init_starts_from_the_solutions_of_a_file(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    draw(inputs / "b.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 3)
    file = tmp_path / "out" / "b" / "solutions.npz"
    assert run("upsample", inputs, "--output", tmp_path / "next", "--restarts", 2, "--init", file) == 0
    for problem in fake.calls[-1]:
        assert problem.start.latents.shape == (2, ROWS, DIM) and problem.start.latents[:, 0, 0].tolist() == [2, 1]
        assert [noise.shape for noise in problem.start.noise] == [(2, *shape) for shape in NOISE]
        assert all((noise == 1).all() for noise in problem.start.noise)
    assert summary_of(tmp_path / "next")["init"] == str(file)
    assert f"--init {file}" in summary_of(tmp_path / "next")["inputs"][0]["solutions"][0]["command"]


@pytest.mark.parametrize(
    ("change", "words", "text", "code"),
    [
        (None, "--restarts 4", "holds 3 solutions to start from, expected one for each of the 4 restarts", 2),
        (None, "--preset pulse_2020 --restarts 2", "searched with start 'surrogate', expected 'gaussian'", 1),
        ({"latents": np.zeros((3, 1, DIM), np.float32)}, "", "do not suit this generator", 1),
        ({"noise_00": np.zeros((3, 4, 4, 2), np.float32)}, "", "do not suit this generator", 1),
        ({"noise_00": np.zeros((2, 4, 4, 1), np.float32)}, "", "not those of solutions", 1),
        ({"latents": np.full((3, ROWS, DIM), np.nan, np.float32)}, "", "holds NaN or infinite latents", 1),
        ({"latents": np.zeros((0, ROWS, DIM), np.float32)}, "", "not those of solutions", 1),
        ({"config": np.array("[]")}, "", "not a solutions.npz that pulse-jax upsample wrote", 1),
        ({"config": np.array("{")}, "", "not a solutions.npz", 1),
        ({"latents": None}, "", "not a solutions.npz that pulse-jax upsample wrote", 1),
        ({"latents": np.array([{}])}, "", "not a solutions.npz", 1),
        (b"", "", "not a solutions.npz", 1),
        (b"PK\x03\x04 and nonsense", "", "not a solutions.npz", 1),
        ("missing", "", "no such file", 1),
        ("folder", "", "expected a solutions.npz", 1),
        ("array", "", "not a solutions.npz", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unsuitable_files_to_start_from(fake, inputs, tmp_path, capsys, change, words, text, code):
    draw(inputs / "a.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 3)
    file = tmp_path / "out" / "a" / "solutions.npz"
    if isinstance(change, dict):
        with np.load(file) as stored:
            arrays = dict(stored) | change
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    elif isinstance(change, bytes):
        file.write_bytes(change)
    elif change == "array":
        with open(file, "wb") as opened:
            np.save(opened, np.zeros(3))
    elif change:
        file = tmp_path / change
        if change == "folder":
            file.mkdir()
    capsys.readouterr()
    words = words.split() or ["--restarts", "3"]
    assert run("upsample", inputs, "--output", tmp_path / "next", "--init", file, *words) == code
    err = capsys.readouterr().err
    assert text in err and file.name in err and err.count("\n") == 1
    assert not (tmp_path / "next").exists()


@pytest.fixture
def perceptual(fake, monkeypatch, tmp_path):
    """A file of a perceptual network of few channels, and a generator that has all else that LPIPS presets take."""
    principal = PrincipalFit(jnp.zeros(DIM), jnp.eye(DIM), jnp.ones(DIM))
    fitted = replace(generators.open_generator(None), w_avg=jnp.zeros(DIM), w_std=jnp.ones(()), principal=principal)
    monkeypatch.setattr("pulse_jax.generators.generator.load_generator", lambda folder: fitted)
    monkeypatch.setattr("convert.perceptual._WIDTHS", (4, 5, 6, 6, 4))
    network, heads = perceptual_arrays()
    save_safetensors(tmp_path / "perceptual.safetensors", network | heads)
    return tmp_path / "perceptual.safetensors"


def preset_loss(out):
    return summary_of(out)["config"]["loss"]


def test_a_perceptual_network_gives_brgm_its_whole_loss(fake, inputs, tmp_path, capsys, perceptual):
    draw(inputs / "a.png", side=16)
    draw(inputs / "small.png")
    words = ["--preset", "brgm", "--perceptual", perceptual]
    assert run("upsample", inputs, "--output", tmp_path / "out", *words) == 1
    assert "the picture is 4x4; expected a square of 16x16" in capsys.readouterr().err
    for found, expected in zip(*map(jax.tree.leaves, (fake.generator.perceptual, tiny_perceptual())), strict=True):
        np.testing.assert_array_equal(found, expected)
    summary = summary_of(tmp_path / "out")
    assert summary["config"] == json.loads(json.dumps(asdict(PRESETS["brgm"](perceptual=True))))
    assert summary["perceptual"] == str(perceptual)
    assert summary["settings"]["perceptual"] == hashlib.sha256(perceptual.read_bytes()).hexdigest()
    assert f"--perceptual {perceptual}" in summary["inputs"][0]["solutions"][0]["command"]
    # Drawing takes no loss.
    assert run("sample", "--latents", tmp_path / "out" / "a" / "solutions.npz", "--output", tmp_path / "again") == 0
    assert run("upsample", inputs, "--output", tmp_path / "without", "--preset", "brgm") == 0
    assert fake.generator.perceptual is None
    summary = summary_of(tmp_path / "without")
    assert summary["settings"]["perceptual"] is summary["perceptual"] is None and "LPIPS" not in str(summary["config"])


@pytest.mark.parametrize("kind", [{}, {"basis": jnp.eye(DIM)}, {"radial": jnp.ones(2)}])
def test_a_flow_of_another_kind_than_the_programs_is_told_of(fake, inputs, tmp_path, capsys, monkeypatch, kind):
    blocks = init_blocks(jax.random.key(0), 1, 4, DIM)
    flow = Flow(jnp.zeros(DIM), jnp.ones(DIM), None, blocks, jnp.ones((1, DIM)), jnp.zeros((1, DIM)))
    fitted = replace(generators.open_generator(None), w_avg=jnp.zeros(DIM), flow=flow._replace(**kind))
    monkeypatch.setattr("pulse_jax.generators.generator.load_generator", lambda folder: fitted)
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--preset", "srls", "--restarts", 1) == 0
    told = "--preset srls: this generator's flow is another one than that of its program"
    assert (told in capsys.readouterr().err) == bool(kind)


@pytest.mark.parametrize("name", [name for name in SEARCHES if name in PERCEPTUAL or name == "csgm"])
def test_what_is_left_out_without_it_is_told(fake, inputs, tmp_path, capsys, perceptual, name):
    draw(inputs / "a.png", side=16)
    told = f"--preset {name}: without --perceptual, the LPIPS of its program's loss is left out."
    words = ["--preset", name, "--restarts", 1, "--output"]
    assert run("upsample", inputs, *words, tmp_path / "without") == 0
    assert (told in capsys.readouterr().err) == (name in PERCEPTUAL)
    if name in PERCEPTUAL:
        assert run("upsample", inputs, *words, tmp_path / "out", "--perceptual", perceptual) == 0
        assert told not in capsys.readouterr().err
        without, whole = (parse_loss(preset_loss(tmp_path / out)) for out in ("without", "out"))
        assert ["perceptual" in TERMS[terms[0].name].needs for terms in (without, whole)] == [False, True]


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        ("--perceptual FILE", "--perceptual: has a meaning with --preset brgm, ", 2),
        ("--perceptual FILE --preset bicubic", "--perceptual: has a meaning with --preset brgm, ", 2),
        (
            "--perceptual FILE --preset brgm --output-size 8",
            "--output-size: expected 16 at least for the loss LPIPS",
            2,
        ),
        ("--perceptual missing.pth --preset brgm", "missing.pth: cannot be read", 1),
        ("--perceptual PICTURE --preset brgm", "a.png: not a checkpoint", 1),
    ],
)
def test_a_perceptual_network_that_cannot_be_used(fake, inputs, tmp_path, capsys, perceptual, words, text, code):
    draw(inputs / "a.png", side=16)
    words = words.replace("FILE", str(perceptual)).replace("PICTURE", str(inputs / "a.png")).split()
    assert run("upsample", inputs, "--output", tmp_path / "out", *words) == code
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists() and not fake.calls
