"""`sample`: pictures of a generator, and solutions drawn again."""

import numpy as np

from pulse_jax.images.files import read_image
from tests.cli.fake_engine import draw, listing, run


def test_sample(fake, tmp_path, capsys):
    assert run("sample", "--output", tmp_path / "out", "--count", 3, "--seed", 5) == 0
    assert listing(tmp_path / "out") == [*(f"sample_000{i}.png" for i in (1, 2, 3)), "sheet.png", "summary.json"]
    first = read_image(tmp_path / "out" / "sample_0001.png").pixels
    assert run("sample", "--output", tmp_path / "one", "--count", 1, "--seed", 5) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "one" / "sample_0001.png").pixels, first)
    assert "3 pictures; look at" in capsys.readouterr().out
    assert run("sample", "--output", tmp_path / "none", "--truncation", 0.5) == 2
    assert "this generator knows no average" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_solutions_of_another_generator_are_told(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 2)
    (tmp_path / "package" / "data" / "heads64" / "config.json").write_text("{ }")
    file = tmp_path / "out" / "a" / "solutions.npz"
    assert run("sample", "--output", tmp_path / "again", "--latents", file) == 0
    screen = capsys.readouterr()
    assert "made with another generator" in screen.err
    # The fake engine's pictures are not what its latents would give.
    assert "different, by up to" in screen.out
    assert run("upsample", inputs, "--output", tmp_path / "next", "--restarts", 2, "--init", file) == 0
    assert "made with another generator" in capsys.readouterr().err
