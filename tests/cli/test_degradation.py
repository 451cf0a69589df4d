"""`--degradation`: what is solved, and what is repeated of it."""

import shlex

import numpy as np

from pulse_jax.images.files import read_image
from tests.cli.fake_engine import RESOLUTION, draw, run, summary_of


def test_the_input_is_what_the_chain_leaves_and_the_command_says_it(fake, inputs, tmp_path):
    pixels = draw(inputs / "a.png", side=RESOLUTION)
    words = ["--degradation", "mask(0.5,0,1,0.5)", "--restarts", 1, "--preset", "pulse"]
    assert run("upsample", inputs, "--output", tmp_path / "out", *words) == 0
    expected = pixels.copy()
    expected[: RESOLUTION // 2, RESOLUTION // 2 :] = 0
    solved = 255 * read_image(tmp_path / "out" / "a" / "input.png").pixels
    np.testing.assert_allclose(solved, expected, atol=0.01)
    summary = summary_of(tmp_path / "out")
    command = shlex.split(summary["inputs"][0]["solutions"][0]["command"])
    assert command[command.index("--degradation") + 1] == "mask(0.5,0,1,0.5)"
    assert summary["config"]["degradation"] == "mask(0.5,0,1,0.5)"


def test_sides_are_those_that_the_chain_leaves(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png", side=4)
    words = ["upsample", inputs, "--output", tmp_path / "out", "--preset", "pulse"]
    assert run(*words, "--degradation", "gray") == 1
    assert "expected a square of 16x16" in capsys.readouterr().err
    assert run(*words, "--degradation", "blur(1)|area", "--restarts", 1) == 0


def test_a_chain_that_is_none_is_one_line(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--degradation", "blurr(2)|bicubic") == 2
    err = capsys.readouterr().err
    assert err.startswith("pulse-jax: --degradation: expected one of bicubic(factor)") and err.count("\n") == 1
    assert "got 'blurr(2)' in place 1" in err and not (tmp_path / "out").exists()
