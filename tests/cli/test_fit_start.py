"""The command fit-start: the folder gets the surrogate and its report, and a fit that was interrupted goes on."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from pulse_jax.cli import interrupts, main
from pulse_jax.cli.interrupts import Stopped
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import save_png
from tests.tiny_networks import searchable_generator

SMALL = ["--samples", "160", "--directions", "40", "--coordinates", "99", "--hidden", "6", "--steps", "40"]


@pytest.fixture
def folder(tmp_path):
    reports = {"prior.json": b"{}"}
    searchable_generator().save(tmp_path / "generator", dtype="float16", source="a test", reports=reports)
    return tmp_path / "generator"


def _same(one, other):
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in leaves)


@pytest.mark.slow  # that a fit goes on to the same bits is tested without the command too
def test_an_interrupted_fit_goes_on_to_the_same_surrogate(folder, tmp_path, monkeypatch, capsys):
    before = Generator.load(folder)
    whole = tmp_path / "whole"
    before.save(whole, dtype="float16", source="a test")
    assert main(["fit-start", str(whole), *SMALL]) == 0
    capsys.readouterr()

    calls = []

    def check(interrupt):
        calls.append(interrupt)
        if len(calls) == 8:  # of the samples
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(interrupts.Interrupt, "check", check)
        assert main(["fit-start", str(folder), *SMALL]) == 130
    assert "The same command goes on" in capsys.readouterr().err
    place = tmp_path / ".generator.fit-start"
    assert (place / "lanes_0.npz").exists()
    assert _same(Generator.load(folder), before)
    assert main(["fit-start", str(folder), *SMALL, "--factor", "4"]) == 2
    assert "factor was 2, is 4" in capsys.readouterr().err.replace("\n", " ")
    assert main(["fit-start", str(folder), *SMALL]) == 0
    told = capsys.readouterr()
    assert "going on" in told.err and "200 evaluations" in told.err
    assert "held-out values" in told.out and "held-out products" in told.out
    assert not place.exists()

    after = Generator.load(folder)
    assert after.surrogate is not None and _same(after, Generator.load(whole))
    assert _same(dataclasses.replace(after, surrogate=None), before)
    numbers = json.loads((folder / "reports" / "start.json").read_text())
    assert numbers["evaluations"] == 200 and numbers["product_share"] > 0 and numbers["value_error"] > 0
    assert (folder / "reports" / "prior.json").read_bytes() == b"{}"
    assert main(["info", "--generator", str(folder)]) == 0
    assert "surrogate" in capsys.readouterr().out
    assert main(["fit-start", str(folder), *SMALL]) == 2
    assert "holds a surrogate already; --overwrite replaces it" in capsys.readouterr().err


def test_what_cannot_be_fitted_is_refused_in_one_line(folder, tmp_path, capsys):
    for words, code, told in (
        ([str(tmp_path / "none")], 1, "no such folder"),
        ([str(folder), "--factor", "3"], 2, "--factor: expected one of 1, 2, 4"),
        ([str(folder), "--samples", "1"], 2, "--samples: expected 128 to"),
        ([str(folder), "--steps", "0"], 2, "--steps: expected 4 to"),
    ):
        assert main(["fit-start", *words]) == code
        assert told in capsys.readouterr().err
    bare = tmp_path / "bare"
    dataclasses.replace(searchable_generator(), gaussian_fit=None).save(bare)
    assert main(["fit-start", str(bare)]) == 1
    assert f"fit-prior {bare} --kind gaussian makes it" in capsys.readouterr().err.replace("\n", " ")


def test_a_search_without_a_surrogate_is_told_once_what_would_make_it_faster(folder, tmp_path, capsys):
    """And not where it cannot be had, or where nothing is searched."""
    save_png(tmp_path / "a.png", np.full((4, 4, 3), 0.5))
    words = ["upsample", str(tmp_path / "a.png"), "--generator", str(folder), "--steps", "1", "--restarts", "1"]
    for preset, count in (("fast", 1), ("pulse", 0), ("bicubic", 0)):
        assert main([*words, "--preset", preset, "--output", str(tmp_path / preset)]) == 0
        told = capsys.readouterr().err.replace("\n", " ")
        assert told.count("fit-start") == count
        assert (f"pulse-jax fit-start {folder} makes it" in told) == (count == 1)
