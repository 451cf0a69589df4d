"""The command `fit-niqe`: a model that evaluations read, and what is wrong in one line."""

import numpy as np
from PIL import Image

from pulse_jax.reports.niqe import fit_niqe_model, read_niqe_model
from tests.cli.fake_engine import draw, run


def _photographs(folder, count):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 60, 3), np.uint8)).resize(
            (480, 480), Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 20, (480, 480, 3))
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")


def test_a_model_is_that_of_the_function_and_is_read(tmp_path, capsys):
    _photographs(tmp_path / "photos", 3)
    file = tmp_path / "model.npz"
    assert run("fit-niqe", tmp_path / "photos", file) == 0
    expected, left_out = fit_niqe_model(tmp_path / "photos")
    found = read_niqe_model(file)
    np.testing.assert_array_equal(found.covariance, expected.covariance)
    np.testing.assert_array_equal(found.mean, expected.mean)
    assert not left_out and "not with other models'" in capsys.readouterr().out
    assert run("fit-niqe", tmp_path / "photos", file) == 2 and "--overwrite" in capsys.readouterr().err
    draw(tmp_path / "photos" / "small.png", 100)
    assert run("fit-niqe", tmp_path / "photos", file, "--overwrite") == 1
    assert "left out: " in (told := capsys.readouterr().err) and "small.png" in told


def test_too_few_photographs_and_other_names_are_refused(tmp_path, capsys):
    draw(tmp_path / "photos" / "one.png", 200)
    assert run("fit-niqe", tmp_path / "photos", tmp_path / "model.npz") == 1
    assert "add photographs" in capsys.readouterr().err and not (tmp_path / "model.npz").exists()
    assert run("fit-niqe", tmp_path / "photos", tmp_path / "model.txt") == 2
    assert "ends with .npz" in capsys.readouterr().err
