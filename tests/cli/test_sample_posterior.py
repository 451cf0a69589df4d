"""`sample-posterior` on a small generator: its files agree, it goes on where it was killed, and faults are one line."""

import json

import numpy as np
import pytest
from PIL import Image

from pulse_jax.cli import main
from pulse_jax.cli.fitting import UnderWay
from pulse_jax.images.files import read_image
from pulse_jax.reports.posterior import WHITE
from tests.tiny_networks import searchable_generator

DRAWS = 12


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("posterior")
    searchable_generator().save(home / "generator")
    pixels = np.random.default_rng(0).integers(90, 160, (2, 2, 3), np.uint8)
    Image.fromarray(pixels).save(home / "input.png")
    return home


def run(home, *words):
    given = ["sample-posterior", home / "input.png", "--generator", home / "generator", "--samples", DRAWS]
    given += ["--chains", 3, "--warm-up", 60, "--sampler", "geodesic_slice", "--thinning", 1, *words]
    return main([str(word) for word in given])


@pytest.fixture(scope="module")
def undisturbed(home):
    assert run(home, "--output", home / "out") == 0
    return home / "out"


def test_files_agree(home, undisturbed, capsys):
    pictures = np.stack([read_image(undisturbed / f"draw_{n:04}.png").pixels for n in range(1, DRAWS + 1)])
    with np.load(undisturbed / "posterior.npz") as stored:
        assert stored["latents"].shape[0] == DRAWS and stored["chain"].tolist() == sorted([0, 1, 2] * 4)
        np.testing.assert_allclose(stored["mean"], pictures.mean(axis=0), atol=1e-6)
        deviation = np.sqrt(pictures.var(axis=0).mean(axis=-1))
        np.testing.assert_allclose(stored["deviation"], deviation, atol=1e-6)
        assert len(np.unique(stored["latents"].reshape(DRAWS, -1), axis=0)) == DRAWS
        told = json.loads((undisturbed / "summary.json").read_text())
        assert told["posterior"]["mean_error"] == pytest.approx(stored["error"].mean())
        assert told["posterior"]["sigma"] == stored["sigma"] and told["finished"]
    np.testing.assert_allclose(read_image(undisturbed / "mean.png").pixels, pictures.mean(axis=0), atol=0.51 / 255)
    grey = read_image(undisturbed / "deviation.png").pixels[..., 0]
    np.testing.assert_allclose(grey, np.clip(deviation / WHITE, 0, 1), atol=0.51 / 255)
    assert len(told["posterior"]["r_hat"]) == 10 and (undisturbed / "posterior.png").is_file()


def test_a_killed_run_goes_on(home, undisturbed, monkeypatch, capsys):
    kept = []

    def keep(self, state):
        kept.append(state)
        self.interrupt.number = 2 if len(kept) == 4 else 0
        real(self, state)

    real = UnderWay.keep
    with monkeypatch.context() as patched:
        patched.setattr(UnderWay, "keep", keep)
        assert run(home, "--output", home / "killed") == 130
    assert "The same command goes on from here" in capsys.readouterr().err
    assert not (home / "killed").exists()
    assert run(home, "--output", home / "killed", "--sigma", 0.1) == 2  # other settings
    assert "sampling.sigma was null, is 0.1" in capsys.readouterr().err
    assert run(home, "--output", home / "killed") == 0
    assert "going on with an earlier run" in capsys.readouterr().err
    with np.load(undisturbed / "posterior.npz") as one, np.load(home / "killed" / "posterior.npz") as other:
        assert np.array_equal(one["latents"], other["latents"])
    assert [path.name for path in home.glob(".*")] == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--sigma", 0], "--sigma: expected a number in (0, 1], got 0"),
        (["--eps", "nan"], "--eps: expected a number in (0, 1], got nan"),
        (["--samples", 0], "--samples: expected 1 to 4000, got 0"),
        (["--chains", 1], "--chains: expected 2 to 256"),
        (["--thinning", 0], "--thinning: expected 1"),
        (["--degradation", "nonsense"], "--degradation: "),
        (["--label", 1], "--label: this generator takes no labels"),
    ],
)
def test_what_cannot_be_is_one_line(home, tmp_path, capsys, words, text):
    assert run(home, "--output", tmp_path / "out", *words) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"pulse-jax: {text}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_does_not_fit_is_one_line(home, tmp_path, capsys):
    Image.fromarray(np.zeros((3, 5, 3), np.uint8)).save(tmp_path / "odd.png")
    command = [
        "sample-posterior",
        tmp_path / "odd.png",
        "--generator",
        home / "generator",
        "--output",
        tmp_path / "out",
    ]
    assert main([str(word) for word in command]) == 1
    err = capsys.readouterr().err
    assert "the picture is 5x3; expected a square of" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_finished_run_is_not_replaced_by_chance(home, undisturbed, capsys):
    assert run(home, "--output", undisturbed) == 2
    assert "holds the results of an earlier run" in capsys.readouterr().err
