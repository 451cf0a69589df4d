"""Commands with a real generator and the real engine."""

import shlex
import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from pulse_jax.cli import main
from pulse_jax.cli.demo import verify
from pulse_jax.generators.generator import Generator
from tests.cli.fake_engine import run, summary_of


def test_a_real_run_verifies(real):
    _, out = real
    summary = summary_of(out)
    assert summary["solutions"] == 8 and summary["feasible"] > 0
    assert summary["generator"]["architecture"]["family"] == "stylegan2"
    assert all(not check.fault for of_input in verify(out) for check in of_input)


def test_the_command_in_the_summary_makes_a_solution_again(real, tmp_path, monkeypatch):
    _, out = real
    monkeypatch.chdir(tmp_path)
    wanted = next(s for s in summary_of(out)["inputs"][1]["solutions"] if s["restart"] == 2)
    assert main(shlex.split(wanted["command"])[1:]) == 0
    (entry,) = summary_of(tmp_path / "again")["inputs"]
    found = next(solution for solution in entry["solutions"] if solution["restart"] == 2)
    for name in ("loss", "downscaling_error", "search_error", "steps", "status", "feasible"):
        assert found[name] == wanted[name]
    assert (tmp_path / "again" / found["image"]).read_bytes() == (out / wanted["image"]).read_bytes()


def test_a_real_solution_is_drawn_again_and_gone_on_from(real, tmp_path, capsys):
    home, out = real
    words = ["--generator", home / "generator"]
    file = out / "head_0" / "solutions.npz"
    assert run("sample", "--output", tmp_path / "again", "--latents", file, *words) == 0
    said = capsys.readouterr().out
    assert "exactly the same" in said or "the same within 1 of 255 levels" in said
    words += ["--lanes", 2, "--steps", 60, "--eps", 0.03, "--init", file]
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "next", *words) == 0
    earlier, later = (summary_of(path)["inputs"][0]["solutions"] for path in (out, tmp_path / "next"))
    started_feasible = sum(solution["feasible"] for solution in earlier)
    assert [solution["steps"] for solution in later].count(1) >= started_feasible


def test_exact_solutions_downscale_to_their_input_but_for_rounding(real, tmp_path, capsys):
    home, out = real
    words = ["--generator", home / "generator", "--steps", 60, "--eps", 0.03]
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "exact", "--exact", *words) == 0
    assert "--exact moved them by up to" in capsys.readouterr().err
    (entry,) = summary_of(tmp_path / "exact")["inputs"]
    assert all(solution["downscaling_error"] < 2e-6 and solution["moved"] > 0 for solution in entry["solutions"])
    assert all("--exact" in solution["command"] for solution in entry["solutions"])
    assert all(not check.fault for of_input in verify(tmp_path / "exact") for check in of_input)
    assert all(solution["moved"] == 0 for solution in summary_of(out)["inputs"][0]["solutions"])
    words = ["--generator", home / "generator", "--latents", tmp_path / "exact" / "head_0" / "solutions.npz"]
    assert run("sample", "--output", tmp_path / "again", *words) == 0
    assert "--exact had moved the pictures beside the latents" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: next(f for f in (folder / "params").rglob("*") if f.is_file()).write_bytes(b"x"), "damaged"),
        (lambda folder: (folder / "config.json").write_text("{"), "not valid JSON"),
    ],
    ids=["foreign", "damaged", "no json"],
)
def test_a_generator_that_cannot_be_used(real, tmp_path, capsys, damage, text):
    home, _ = real
    shutil.copytree(home / "generator", tmp_path / "generator")
    damage(tmp_path / "generator")
    for words in (["upsample", home / "head_0.png", "--output", tmp_path / "out"], ["info"]):
        assert run(*words, "--generator", tmp_path / "generator") == 1
        err = capsys.readouterr().err
        assert text in err and str(tmp_path / "generator") in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nan_weights_are_refused(real, tmp_path, capsys):
    home, _ = real
    generator = Generator.load(home / "generator")
    spoiled = replace(generator, params=jax.tree.map(lambda a: a * jnp.nan, generator.params))
    spoiled.save(tmp_path / "nan")
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "out", "--generator", tmp_path / "nan") == 1
    assert "NaN" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_generator_without_a_gaussian_fit_says_how_to_add_it(real, tmp_path, capsys):
    home, out = real
    folder = tmp_path / "bare"
    replace(Generator.load(home / "generator"), gaussian_fit=None).save(folder)
    again = ["sample", "--latents", out / "head_0" / "solutions.npz"]
    for words in (["upsample", home / "head_0.png"], again):
        capsys.readouterr()
        assert run(*words, "--output", tmp_path / "out", "--generator", folder) == 1
        assert capsys.readouterr().err == (
            f"pulse-jax: {folder}: the search needs this generator's gaussian_fit; "
            f"pulse-jax fit-prior {folder} --kind gaussian makes it\n"
        )
    assert not (tmp_path / "out").exists()
