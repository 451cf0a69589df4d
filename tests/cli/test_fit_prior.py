"""The command fit-prior: the folder gets the prior and its reports, and a fit that was interrupted goes on."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from pulse_jax.cli import interrupts, main
from pulse_jax.cli.interrupts import Stopped
from pulse_jax.generators.generator import Generator
from tests.tiny_networks import tiny_generator

FLOW = [
    "--hidden",
    "8",
    "--blocks",
    "2",
    "--samples",
    "20000",
    "--batch",
    "200",
    "--learning-rate",
    "1e-3",
    "--epochs",
    "2",
]


@pytest.fixture
def folder(tmp_path):
    tiny_generator().save(tmp_path / "generator", dtype="float16", source="a test")
    return tmp_path / "generator"


def _same(one, other):
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in leaves)


@pytest.mark.slow
def test_an_interrupted_flow_goes_on_to_the_same_flow(folder, tmp_path, monkeypatch, capsys):
    before = Generator.load(folder)
    whole = tmp_path / "whole"
    before.save(whole, dtype="float16", source="a test")
    assert main(["fit-prior", str(whole), *FLOW]) == 0

    calls = []

    def check(interrupt):
        calls.append(interrupt)
        if len(calls) == 125:  # the principal components take 123, 50 steps of the flow one
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(interrupts.Interrupt, "check", check)
        assert main(["fit-prior", str(folder), *FLOW]) == 130
    assert "The same command goes on" in capsys.readouterr().err
    place = tmp_path / ".generator.fit-prior"
    assert (place / "lanes_0.npz").exists()
    assert _same(Generator.load(folder), before)
    assert main(["fit-prior", str(folder), *FLOW[:-1], "3"]) == 2
    assert "epochs was 2, is 3" in capsys.readouterr().err
    assert main(["fit-prior", str(folder), *FLOW]) == 0
    assert "going on" in capsys.readouterr().err
    assert not place.exists()

    after = Generator.load(folder)
    assert after.flow is not None and after.principal is not None
    assert _same(after, Generator.load(whole))
    assert _same((after.params, after.gaussian_fit, after.w_avg), (before.params, before.gaussian_fit, before.w_avg))
    description = json.loads((folder / "config.json").read_text())
    assert (description["dtype"], description["source"]) == ("float16", "a test")
    numbers = json.loads((folder / "reports" / "prior.json").read_text())
    assert set(numbers["vectors"]) == {"z", "w", "whitening", "principal", "flow"}
    assert set(numbers["log_likelihood"]) == {"whitening", "principal", "flow", "gaussian_of_w"}
    for name in ("norms.png", "coordinates.png"):
        with Image.open(folder / "reports" / name) as picture:
            assert min(picture.size) > 300
    assert main(["info", "--generator", str(folder)]) == 0
    assert "Gaussian fit, principal components, flow, average w" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "field"), [("pca", "principal"), ("gaussian", "gaussian_fit")])
def test_the_other_kinds(folder, kind, field, capsys):
    before = Generator.load(folder)
    command = ["fit-prior", str(folder), "--kind", kind, "--samples", "5000"]
    if kind == "gaussian":
        assert main(command) == 2
        assert "holds a Gaussian fit already; --overwrite replaces it" in capsys.readouterr().err
        command.append("--overwrite")
    assert main(command) == 0
    after = Generator.load(folder)
    assert getattr(after, field) is not None
    assert getattr(before, field) is None or not _same(getattr(after, field), getattr(before, field))
    assert _same(after.params, before.params) and after.flow is None
    if kind == "gaussian":
        assert after.w_std is not None and after.w_std > 0


def test_the_flow_of_srls(folder, capsys):
    assert main(["fit-prior", str(folder), "--kind", "srls", "--noise", "0.1", *FLOW]) == 2
    assert "--noise: has no meaning with --kind srls" in capsys.readouterr().err
    assert main(["fit-prior", str(folder), "--kind", "srls", *FLOW]) == 0
    after = Generator.load(folder)
    assert after.flow is not None and after.flow.is_srls and after.principal is None
    assert set(after.flow.blocks) > {"degrees", "limit"}
    assert main(["fit-prior", str(folder), *FLOW]) == 2
    assert "holds a flow already" in capsys.readouterr().err


def test_a_second_prior_of_a_kind_and_a_missing_folder_are_refused(folder, tmp_path, capsys):
    assert main(["fit-prior", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["fit-prior", str(folder), "--batch", "0"]) == 2
    assert "--batch: expected 1 to" in capsys.readouterr().err
