"""Settings of other types or sizes, as a stranger's file may hold them, are one line."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.architectures import StyleGAN2Config, architecture_from_dict, architecture_to_dict
from pulse_jax.generators.generator import Generator
from pulse_jax.runs.solution_files import read_solutions
from pulse_jax.search.config import InterpolationConfig, SearchConfig
from pulse_jax.search.presets import pulse
from pulse_jax.search.problems import Problem
from pulse_jax.system.errors import RunError
from tests.tiny_networks import tiny_generator

_HUGE = 10**400
_IMAGE = np.full((2, 2, 3), 0.5, np.float32)


@pytest.mark.parametrize(
    "value",
    [_HUGE, 10**5000, [1], "x", None, True, float("nan"), {}],
    ids=["huge", "digits", "list", "text", "none", "truth", "nan", "dict"],
)
@pytest.mark.parametrize("name", ["eps", "steps", "learning_rate", "latent_noise", "noise_scale", "patience"])
def test_numbers_of_other_kinds_are_told(name, value, unchecked):
    with pytest.raises(ValueError, match=f"^{name}: expected") as caught:
        SearchConfig(**{name: value})
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "settings",
    [
        {"clamp_loss": [1]},
        {"rematerialize": "yes"},
        {"blur_at_factor_one": 1},
        {"loss": 3},
        {"method": []},
        {"optimizer": []},
        {"schedule": {}},
        {"degradation": None},
        {"zeroed_noise_layers": 3},
        {"zeroed_noise_layers": ("a",)},
        {"trainable_noise_layers": _HUGE},
        {"phases": 3},
        {"phases": ({},)},
        {"output_size": [1]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_of_other_types_are_told(settings, unchecked):
    (name,) = settings
    with pytest.raises(ValueError, match=f"^{name}: expected") as caught:
        SearchConfig(**settings)
    assert len(str(caught.value)) < 300


def test_an_interpolation_is_checked_alike(unchecked):
    with pytest.raises(ValueError, match=r"^eps: expected"):
        InterpolationConfig(method="bicubic", eps=_HUGE)


@pytest.mark.parametrize("changes", [{"eps": _HUGE}, {"clamp_loss": [1]}, {"phases": [3]}, {"phases": 3}], ids=str)
def test_solutions_with_such_settings_are_one_line(tmp_path, changes):
    text = json.dumps(dataclasses.asdict(SearchConfig()) | changes)
    np.savez(tmp_path / "a.npz", latents=np.zeros((1, 1, 3), np.float32), config=np.array(text), generator=np.array(""))
    with pytest.raises(RunError) as caught:
        read_solutions(tmp_path / "a.npz")
    assert str(caught.value).isprintable() and "name o" in str(caught.value)


def test_a_large_whole_clamp_is_a_number_like_any_other(unchecked):
    generator = tiny_generator("stylegan2-8")
    fields = architecture_to_dict(generator.config) | {"conv_clamp": 10**29}
    config = architecture_from_dict(fields)
    assert isinstance(config, StyleGAN2Config) and config.conv_clamp == 1e29
    other = Generator(config=config, params=generator.params)
    assert np.isfinite(_synthesized(other)).all()


def _synthesized(generator):
    w = jnp.zeros((1, generator.num_layers, generator.latent_dim))
    return np.asarray(generator.synthesize(w, tuple(jnp.zeros((1, *s)) for s in generator.noise_shapes)))


@pytest.mark.parametrize("changes", [{"seed": 0.5}, {"index": 0.5}, {"index": "a"}, {"index": True}], ids=str)
def test_numbers_of_a_problem_are_whole(changes, unchecked):
    (name,) = changes
    with pytest.raises(ValueError, match=f"^{name}: expected a whole number"):
        Problem(low_res=_IMAGE, **changes)


@pytest.mark.parametrize("indices", [(0, 0), (0, 1, 2, 1), (7, 3, 7), (-1, -1), (1, 0, 2, 0)], ids=str)
def test_two_problems_of_one_index_are_refused(indices):
    problems = [Problem(low_res=_IMAGE, index=index) for index in indices]
    with pytest.raises(ValueError, match=f"^index: expected another one for each problem, got {indices[-1]} twice"):
        list(solve_stream(problems, tiny_generator("stylegan2-4", contrast=0.1), config=pulse(steps=1), lanes=1))
