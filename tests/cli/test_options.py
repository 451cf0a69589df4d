"""The command line itself: help, ranges, usage."""

import subprocess
import sys
from typing import get_args, get_type_hints

import pytest

from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.search.presets import PRESETS
from tests.cli.fake_engine import draw, run


def test_help_answers_without_the_heavy_libraries():
    program = """
import sys
from pulse_jax.cli import main
for words in ("", "upsample", "downscale", "demo", "sample", "info", "serve", "study", "study make"):
    try:
        main([*words.split(), "--help"])
    except SystemExit as ended:
        assert ended.code == 0
heavy = ("jax", "jaxlib", "flax", "orbax", "optax", "numpy", "PIL", "gradio")
print("HEAVY", [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for word in ("usage: pulse-jax", "--restarts", "--factor", "--latents", "pulse-demo", "FILES_OR_FOLDERS"):
        assert word in done.stdout
    for default in ("(default: 16)", "(default: 0)", "(default: 1.0)"):
        assert default in done.stdout


def test_the_presets_on_offer_are_those_that_exist():
    assert set(get_args(get_type_hints(Upsample)["preset"])) == set(PRESETS)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--restarts 0", "--restarts: expected 1 to 10000, got 0"),
        ("--restarts 10001", "--restarts: expected 1 to 10000"),
        ("--seed -1", "--seed: expected 0 to 4294967295, got -1"),
        ("--seed 4294967296", "--seed: expected 0 to 4294967295"),
        ("--lanes 0", "--lanes: expected 1 to"),
        ("--steps 0", "--steps: expected 1 to"),
        ("--output-size 7", "--output-size: expected 16 or a part of it that D can make, 8 for instance, got 7"),
        ("--output-size 0", "--output-size: expected a positive integer, got 0"),
        ("--repulsion -1", "--repulsion: expected 0 or more, got -1.0"),
        ("--repulsion nan", "--repulsion: expected 0 or more, got nan"),
        ("--eps 0", "--eps: expected a mean squared error in (0, 1], got 0.0"),
        ("--eps nan", "--eps: expected a mean squared error in (0, 1], got nan"),
        ("--eps 1e400", "--eps: expected a mean squared error in (0, 1], got inf"),
    ],
)
def test_settings_out_of_range_are_one_line_and_nothing_written(fake, inputs, tmp_path, capsys, words, text):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", *words.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"pulse-jax: {text}") and err.count("\n") == 1 and out == ""
    assert not (tmp_path / "out").exists() and not fake.calls


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("upsample --output out", "no inputs: expected picture files"),
        ("downscale --output out --size 4", "no inputs"),
        ("upsample a.png --output out --repulsion 1 --restarts 1", "--repulsion: needs searches that repel each other"),
        ("upsample a.png --output out --repulsion 1 --solutions 2", "--repulsion: has no meaning with --solutions"),
        ("upsample a.png --output out --repulsion 1 --save-intermediate", "--save-intermediate: has no meaning with"),
        ("downscale a.png --output out", "expected --size or --factor, got neither"),
        ("downscale a.png --output out --size 4 --factor 4", "expected --size or --factor, got both"),
        ("downscale a.png --output out --size 1", "--size: expected 2 to"),
        ("downscale a.png --output out --factor 0", "--factor: expected 1 to"),
        ("sample --output out --count 0", "--count: expected 1 to 1000"),
        ("sample --output out --seed -1", "--seed: expected 0"),
        ("sample --output out --truncation nan", "--truncation: expected -2 to 2, got nan"),
        ("sample --output out --latents x.npz --count 16", "--count: has no meaning with --latents"),
        ("sample --output out --latents x.npz --seed 0", "--seed: has no meaning with --latents"),
        ("sample --output out --latents x.npz --truncation 1", "--truncation: has no meaning with --latents"),
        ("demo --restarts 0", "--restarts: expected 1"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, monkeypatch, capsys, words, text):
    monkeypatch.chdir(tmp_path)
    assert run(*words.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"pulse-jax: {text}") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["", "upsample a.png", "upsample a.png --output"])
def test_what_cannot_be_parsed_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run(*words.split())
    assert ended.value.code == 2 and capsys.readouterr().err
