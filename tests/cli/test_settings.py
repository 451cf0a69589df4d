"""From options to a plan: searches and interpolations, what is repeated, and what a repeated command comes to."""

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pytest
import tyro

from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.settings import given_config, make_plan
from pulse_jax.images.files import save_png
from pulse_jax.runs.additions import Additions
from pulse_jax.runs.inputs import Quota
from pulse_jax.runs.plan import AutomaticLanes
from pulse_jax.runs.solution_files import StoredSolutions
from pulse_jax.search.presets import PRESETS
from pulse_jax.system.errors import UsageError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.screen import Screen
from tests.tiny_networks import tiny_generator


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a generator of pictures of 8x8, and an input."""
    home = tmp_path_factory.mktemp("settings")
    tiny_generator("stylegan2-8").save(home / "generator")
    save_png(home / "a.png", np.full((2, 2, 3), 0.5))
    return home


def planned(home, **given):
    options = Upsample(inputs=(home / "a.png",), output=home / "out", generator=home / "generator", **given)
    options.check()
    return make_plan(options, given_config(options), list(options.inputs), [], Screen())


def test_a_plan_to_search(home):
    plan = planned(home, solutions=2, max_restarts=5, diverse=True, lanes="auto", save_intermediate=True, steps=9)
    assert plan.config == PRESETS["fast"](steps=9) and plan.size == 8
    assert plan.quota == Quota(2, 5, stops=False, diverse=True)
    assert isinstance(plan.lanes, AutomaticLanes) and plan.compiles
    assert plan.additions.animations is not None and plan.additions.variations is None
    assert "preset fast, at most 9 steps, seed 0, generator generator. The people" in plan.footer
    assert planned(home, solutions=2).quota == Quota(2, 8, stops=True)
    assert planned(home, lanes=3).lanes == 3


@pytest.mark.parametrize("preset", ["bicubic", "lanczos", "nearest"])
def test_a_plan_to_interpolate_has_one_solution_and_nothing_of_a_search(home, preset):
    for lanes in (8, "auto"):
        plan = planned(home, preset=preset, lanes=lanes, seed=3)
        assert (plan.quota, plan.lanes, plan.additions) == (Quota(1, 1, stops=False), 1, Additions())
        assert plan.start is None and not plan.compiles
        assert plan.footer.endswith(f"enlarged by {preset} interpolation, without a search.")


@pytest.mark.parametrize("preset", ["fast", "pulse_2020", "bicubic"])
def test_searches_are_in_tf32_on_gpus_unless_told_otherwise(home, monkeypatch, preset):
    assert getattr(planned(home, preset=preset).config, "precision", None) in ("float32", None)
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    plan = planned(home, preset=preset)
    if preset == "bicubic":
        assert plan.config == PRESETS[preset]()
        return
    assert plan.config == PRESETS[preset](precision="tf32")
    words = list(plan.repeated)
    assert words[words.index("--precision") + 1] == "tf32"
    assert planned(home, preset=preset, precision="float32").config == PRESETS[preset]()


def test_noise_that_is_searched_is_not_left_out(home):
    assert planned(home, no_noise=True).keeps_noise is False and planned(home).keeps_noise is True
    with pytest.raises(UsageError, match="--no-noise: --preset pulse_2020 searches noise inputs, which no key draws"):
        planned(home, no_noise=True, preset="pulse_2020")


def test_noise_that_nothing_is_left_of_is_not_drawn(home, capsys):
    assert planned(home, noise_samples=3).additions.variations.draws == 3
    assert capsys.readouterr().err == ""
    # All three noise inputs are among the first five, which this preset searches.
    assert planned(home, noise_samples=3, preset="pulse_2020").additions.variations is None
    assert "there is nothing to draw anew" in capsys.readouterr().err


GIVEN = [
    {},
    {"steps": 7, "eps": 0.25, "precision": "bfloat16", "output_size": 4, "seed": 11, "lanes": 4},
    {"preset": "pulse_2020", "noise_samples": 2, "solutions": 2, "fit": "crop"},
    {"preset": "lanczos", "eps": 0.5, "output_size": 4},
]


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_a_repeated_command_decides_what_the_run_decided(home, given):
    """Parsed again, it has the same config, seed, generator and lanes, and so many restarts that it makes this one."""
    plan = dataclasses.replace(planned(home, **given), device={"platform": "gpu"})
    (one,) = plan.read(plan.inputs)
    restart = plan.quota.searches - 1
    words = shlex.split(plan.repeating(one, restart, 4))
    assert words[:2] == ["pulse-jax", "upsample"]
    again = tyro.cli(Upsample, args=words[2:], config=(tyro.conf.FlagCreatePairsOff,))
    again.check()
    assert given_config(again) == plan.config
    assert (again.seed, again.lanes, again.restarts) == (plan.seed, 4, restart + 1)
    assert again.generator == home / "generator" and again.inputs == (home / "out" / "a" / "input.png",)
    assert again.noise_samples == given.get("noise_samples", 0)
    # What is not given is not said, but for what a preset decides.
    assert ("--output-size" in words, "--noise-samples" in words) == ("output_size" in given, "noise_samples" in given)
    assert "--init" not in words and "--label" not in words


def test_files_are_told_by_their_contents_and_repeated_by_their_paths(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pulse_jax.cli.settings.read_latents", lambda path, generator: stored)
    Path("x.npz").write_bytes(b"something")
    stored = StoredSolutions(
        np.zeros((2, 1, 8), np.float32), (), np.zeros((2, 2), np.uint32), None, {}, PRESETS["pulse"](), ""
    )
    plan = planned(home, init=Path("x.npz"), restarts=2)
    assert plan.deciding["init"] == sha256_of(tmp_path / "x.npz")
    assert plan.reported["init"] == str(tmp_path / "x.npz")
    assert list(plan.repeated)[-2:] == ["--init", str(tmp_path / "x.npz")]
    assert plan.start is not None and len(plan.start.latents) == 2
