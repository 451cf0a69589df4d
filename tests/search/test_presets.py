"""Presets: the values that they document, and overrides."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

import pulse_jax
from pulse_jax.search import presets
from pulse_jax.search.config import InterpolationConfig, SearchConfig


def test_pulse_2020_is_the_original_program_with_its_default_flags():
    config = presets.pulse_2020()
    assert config == SearchConfig(
        eps=2e-3,
        steps=100,
        loss="100*L2+0.05*GEOCROSS",
        space="w+",
        start="gaussian",
        optimizer="projected_adam",
        learning_rate=0.4,
        schedule="linear1cycledrop",
        noise="trainable",
        trainable_noise_layers=5,
        zeroed_noise_layers=(17,),
        stop="never",
        clamp_loss=True,
        blur_at_factor_one=True,
        precision="float32",
    )


def test_the_default_is_pulses_problem_with_another_weight_start_and_method():
    assert (
        presets.named(presets.DEFAULT)
        == presets.fast()
        == presets.pulse(loss="100*L2+0.02*GEOCROSS", start="surrogate", method="riemannian_lbfgs", learning_rate=0.15)
    )


def test_pulse_is_the_papers_method_on_the_sphere():
    config = presets.pulse()
    assert (config.eps, config.steps, config.loss) == (1e-3, 100, "100*L2+0.05*GEOCROSS")
    assert (config.start, config.stop) == ("tiled", "feasible")
    assert config == SearchConfig()
    assert not config.optimizer.startswith("projected")
    assert not config.clamp_loss
    assert not config.blur_at_factor_one


@pytest.mark.parametrize(
    ("name", "pixels", "term"),
    [
        ("brgm", "65.025*L2+100*WPRIOR+3*COLINEAR", "LPIPS"),
        ("pn", "4*L2+0.001*PRINCIPAL_MEAN", "LPIPS"),
        ("ilo", "4*L2+0.01*GEOCROSS_LATENT", "LPIPS"),
        ("robust", "0.1*COARSE_MAE", "MULTISCALE_LPIPS"),
    ],
)
def test_methods_have_their_perceptual_term_where_there_is_a_network(name, pixels, term):
    preset = presets.PRESETS[name]
    plain, whole = preset(steps=7), preset(perceptual=True, steps=7)
    assert plain.loss == pixels
    assert whole == dataclasses.replace(plain, loss=f"1*{term}+{pixels}")


def test_brgms_second_program_has_features_where_there_is_a_network():
    second = presets.brgm_2()
    assert second.loss == "65.025*L2+100*WPRIOR+0.1*COLINEAR_SUM"
    assert presets.brgm_2(perceptual=True) == dataclasses.replace(second, loss=f"10000000*VGG+{second.loss}")


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_takes_overrides(name):
    preset = presets.PRESETS[name]
    assert preset is getattr(presets, name)
    assert name in presets.__all__
    changed = preset(eps=5e-3, steps=7)
    assert (changed.eps, changed.steps) == (5e-3, 7)
    assert preset(eps=preset().eps) == preset()
    if name in presets.SEARCHES:
        assert preset(precision="bfloat16").precision == "bfloat16"


@pytest.mark.parametrize("name", presets.PRESETS)
def test_unknown_and_impossible_overrides_are_named(name):
    with pytest.raises(TypeError, match="epsilon"):
        presets.PRESETS[name](epsilon=1e-3)
    with pytest.raises(ValueError, match="steps: expected 1 to 1000000, got 0"):
        presets.PRESETS[name](steps=0)


def test_searches_and_enlargements_are_told_apart():
    assert [*presets.SEARCHES, *presets.INTERPOLATIONS] == list(presets.PRESETS)
    for name, preset in presets.PRESETS.items():
        assert isinstance(preset(), SearchConfig if name in presets.SEARCHES else InterpolationConfig)


def test_a_new_preset_is_one_function_and_the_command_line_offers_it():
    """In a program of its own, because the choices are made when the options are first imported, and without JAX."""
    program = """
import sys
from typing import get_args, get_type_hints
from pulse_jax.search import presets
from pulse_jax.search.config import InterpolationConfig, SearchConfig

@presets.preset
def hasty(**overrides) -> SearchConfig:
    return SearchConfig(**{"steps": 3, **overrides})

@presets.preset
def squares(**overrides) -> "InterpolationConfig":
    return InterpolationConfig(method="nearest", **overrides)

from pulse_jax.cli.options.benchmark import Benchmark
from pulse_jax.cli.options.upsample import Upsample
choices = {kind: get_args(get_type_hints(kind)["preset"]) for kind in (Upsample, Benchmark)}
assert choices[Upsample][:3] == ("fast", "pulse", "pulse_2020")
assert choices[Upsample][-2:] == ("hasty", "squares")
assert choices[Benchmark][-1] == "hasty" and "nearest" not in choices[Benchmark]
assert "jax" not in sys.modules

from pulse_jax.cli.settings import given_config
from pathlib import Path
given = {"inputs": (Path("x"),), "output": Path("y")}
assert given_config(Upsample(**given, preset="hasty")) == SearchConfig(steps=3)
assert given_config(Upsample(**given, preset="squares", steps=2)) == squares(steps=2)
"""
    home = Path(pulse_jax.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], cwd=home, check=True)
