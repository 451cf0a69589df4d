"""Plausibility at the command line: fitted by fit-prior, told at a run's end, ranked by, and missed in one line."""

import json

import jax
import numpy as np
import pytest

from pulse_jax.cli import interrupts, main
from pulse_jax.cli.interrupts import Stopped
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import save_png
from tests.cli.fake_engine import draw, run, summary_of
from tests.tiny_networks import searchable_generator, tiny_generator

FIT = ["--kind", "plausibility", "--samples", "200"]


def test_a_fit_that_was_interrupted_goes_on_to_the_same(tmp_path, monkeypatch, capsys):
    for name in ("whole", "killed"):
        tiny_generator(contrast=0.1).save(tmp_path / name, dtype="float16")
    assert run("fit-prior", tmp_path / "whole", *FIT) == 0
    assert "plausibility fit" in capsys.readouterr().out
    calls = []

    def check(interrupt):
        calls.append(interrupt)
        if len(calls) == 20:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(interrupts.Interrupt, "check", check)
        assert run("fit-prior", tmp_path / "killed", *FIT) == 130
    assert Generator.load(tmp_path / "killed").plausibility is None
    assert run("fit-prior", tmp_path / "killed", *FIT) == 0
    assert "going on" in capsys.readouterr().err
    whole, again = (Generator.load(tmp_path / name) for name in ("whole", "killed"))
    assert whole.plausibility is not None
    jax.tree.map(np.testing.assert_array_equal, again.plausibility, whole.plausibility)
    assert run("fit-prior", tmp_path / "whole", *FIT) == 2
    assert "holds a plausibility fit already; --overwrite replaces it" in capsys.readouterr().err
    assert run("info", "--generator", tmp_path / "whole") == 0
    assert "plausibility" in capsys.readouterr().out


def test_too_few_samples_are_refused(tmp_path, capsys):
    tiny_generator().save(tmp_path / "generator")
    assert main(["fit-prior", str(tmp_path / "generator"), "--kind", "plausibility", "--samples", "199"]) == 2
    assert "--samples: expected 200 to" in capsys.readouterr().err


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A tiny generator that knows what its samples are like, and an input that no sample is like."""
    home = tmp_path_factory.mktemp("plausible")
    searchable_generator().save(home / "generator")
    assert run("fit-prior", home / "generator", *FIT) == 0
    save_png(home / "in.png", np.indices((4, 4)).sum(0)[..., None].repeat(3, 2) % 2 * 1.0)
    return home


@pytest.mark.parametrize("rank", ["loss", "plausible"])
def test_a_run_counts_what_is_hardly_plausible(home, tmp_path, capsys, rank):
    words = ["--generator", home / "generator", "--lanes", 2, "--steps", 20, "--eps", 1, "--preset", "pulse"]
    out = tmp_path / "out"
    assert run("upsample", home / "in.png", "--output", out, *words, "--restarts", 3, "--rank", rank) == 0
    said = capsys.readouterr()
    summary = summary_of(out)
    entries = summary["inputs"][0]["solutions"]
    shares = [entry["plausibility"] for entry in entries]
    assert summary["unusual"] == sum(share < 1 for share in shares) and summary["settings"]["rank"] == rank
    line = f"{summary['unusual']} of 3 solutions are less plausible than 99 % of the generator's own samples."
    assert (line in said.out) == (summary["unusual"] > 0)
    assert "how plausible" not in said.err
    key = "loss" if rank == "loss" else "plausibility"
    values = [entry[key] for entry in entries]
    assert values == sorted(values, reverse=rank == "plausible")
    # Interpolations have no samples to be compared with.
    assert run("upsample", home / "in.png", "--output", tmp_path / "plain", *words[:2], "--preset", "bicubic") == 0
    plain = json.loads((tmp_path / "plain" / "in" / "solutions.json").read_text())
    assert "plausibility" not in plain["solutions"][0] and "unusual" not in summary_of(tmp_path / "plain")


def test_a_generator_without_the_fit_says_once_how_to_get_it(fake, inputs, tmp_path, capsys):
    for name in ("a", "b"):
        draw(inputs / f"{name}.png")
    assert run("upsample", inputs, "--output", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert said.count("how plausible solutions are is not said") == 1
    assert said.count("--kind plausibility finds out") == 1
    assert "unusual" not in summary_of(tmp_path / "out")
    assert run("upsample", inputs, "--output", tmp_path / "other", "--rank", "plausible") == 2
    assert "--rank plausible: needs" in capsys.readouterr().err and not (tmp_path / "other").exists()
    assert run("upsample", inputs, "--output", tmp_path / "other", "--preset", "bicubic", "--rank", "plausible") == 2
