"""Settings: published widths, noise shapes, what is refused and how it is named."""

import dataclasses
import json
import math

import pytest

from pulse_jax.generators.architectures import (
    FunctionConfig,
    StyleGAN1Config,
    StyleGAN2Config,
    architecture_from_dict,
    architecture_to_dict,
)
from pulse_jax.search import presets
from pulse_jax.search.config import Phase, SearchConfig

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize(
    "config",
    [
        StyleGAN1Config(),
        StyleGAN1Config(resolution=64, latent_dim=33, channels=(9, 8, 7, 6, 5), instance_norm_eps=1e-8),
        StyleGAN2Config(resolution=4, mapping_layers=0),
        StyleGAN2Config(resolution=256, mapping_layers=2, mapping_lr_multiplier=1.0, conv_clamp=256.0),
        StyleGAN1Config(resolution=8, label_dim=10),
        StyleGAN1Config(resolution=8, bias_before_blur=True),
        StyleGAN1Config(resolution=8, shared_noise=True, bias_before_blur=True),
        StyleGAN2Config(resolution=8, label_dim=1, label_norm="joint"),
    ],
)
def test_an_architecture_survives_json(config):
    assert architecture_from_dict(json.loads(json.dumps(architecture_to_dict(config)))) == config


def test_default_widths_are_the_published_ones():
    assert StyleGAN1Config().channels == (512, 512, 512, 512, 256, 128, 64, 32, 16)
    assert StyleGAN2Config().channels == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert StyleGAN1Config(resolution=64).channels == (512, 512, 512, 512, 256)
    assert StyleGAN2Config(resolution=4).channels == (512,)


@pytest.mark.parametrize("resolution, layers", [(4, 2), (8, 4), (64, 10), (1024, 18)])
def test_layers_blocks_and_noise_follow_from_the_resolution(resolution, layers):
    first, second = StyleGAN1Config(resolution=resolution), StyleGAN2Config(resolution=resolution)
    assert first.num_layers == second.num_layers == layers
    assert first.blocks == second.blocks == tuple(4 * 2**i for i in range(layers // 2))
    assert first.noise_shapes == tuple((size, size, 1) for size in first.blocks for _ in range(2))
    assert second.noise_shapes == ((4, 4, 1), *((size, size, 1) for size in second.blocks[1:] for _ in range(2)))


@pytest.mark.parametrize("kind", [StyleGAN1Config, StyleGAN2Config])
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"resolution": 0}, "resolution: expected a power of two from 4 to 4096, got 0"),
        ({"resolution": 2}, "resolution: expected a power of two"),
        ({"resolution": 48}, "resolution: expected a power of two from 4 to 4096, got 48"),
        ({"resolution": 2**30}, "resolution: expected a power of two"),
        ({"mapping_layers": -1}, "mapping_layers: expected 0 to 64, got -1"),
        ({"mapping_layers": 10**6}, "mapping_layers: expected 0 to 64"),
        ({"latent_dim": 0}, "latent_dim: expected 1 to 16384, got 0"),
        ({"latent_dim": 10**9}, "latent_dim: expected 1 to 16384"),
        ({"mapping_lr_multiplier": 0.0}, "mapping_lr_multiplier: expected a positive number, got 0.0"),
        ({"mapping_lr_multiplier": math.nan}, "mapping_lr_multiplier: expected a positive number, got nan"),
        ({"label_dim": -1}, "label_dim: expected 0 to 65536, got -1"),
        ({"label_dim": 65_537}, "label_dim: expected 0 to 65536, got 65537"),
        ({"label_dim": 3, "mapping_layers": 0}, "label_dim: expected 0 where the mapping network has no layers"),
        ({"resolution": 8, "channels": (8,)}, r"channels: expected 2 widths from 1 to 16384 for 8x8, got \(8,\)"),
        ({"resolution": 8, "channels": (8, 0)}, "channels: expected 2 widths from 1 to 16384"),
        ({"resolution": 8, "channels": (8, 10**9)}, "channels: expected 2 widths from 1 to 16384"),
    ],
)
def test_architectures_out_of_range_are_named(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    "kind, settings, message",
    [
        (StyleGAN1Config, {"instance_norm_eps": 0.0}, "instance_norm_eps: expected a positive number, got 0.0"),
        (StyleGAN1Config, {"bias_before_blur": 1}, "bias_before_blur: expected true or false, got 1"),
        (StyleGAN1Config, {"shared_noise": "yes"}, "shared_noise: expected true or false, got 'yes'"),
        (StyleGAN2Config, {"conv_clamp": -1.0}, "conv_clamp: expected a positive number, got -1.0"),
        (StyleGAN2Config, {"conv_clamp": math.inf}, "conv_clamp: expected a positive number, got inf"),
        (StyleGAN2Config, {"label_norm": "none"}, "label_norm: expected separate or joint, got 'none'"),
        (FunctionConfig, {"resolution": 0, "latent_dim": 1}, "resolution: expected at least 1, got 0"),
        (FunctionConfig, {"resolution": 1, "latent_dim": 0}, "latent_dim: expected at least 1, got 0"),
    ],
)
def test_settings_of_one_family_out_of_range_are_named(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def _fields(**changes):
    return architecture_to_dict(StyleGAN2Config(resolution=8, channels=(8, 6))) | changes


@pytest.mark.parametrize(
    "fields, message",
    [
        ({}, "architecture family: expected one of stylegan1, stylegan2, got None"),
        (_fields(family="stylegan3"), "architecture family: expected one of stylegan1, stylegan2, got 'stylegan3'"),
        (_fields(family=["stylegan2"]), "architecture family: expected one of"),
        (_fields(depth=3), "stylegan2 settings: expected exactly .*; missing or unknown: 'depth'"),
        ({"family": "stylegan2"}, "missing or unknown: 'channels', 'conv_clamp', 'latent_dim'"),
        (_fields(resolution=8.0), "resolution: expected an integer, got 8.0"),
        (_fields(latent_dim=True), "latent_dim: expected an integer, got True"),
        (_fields(label_dim=3.0), "label_dim: expected an integer, got 3.0"),
        (_fields(label_norm=["joint"]), r"label_norm: expected separate or joint, got \['joint'\]"),
        (_fields(family="stylegan1"), "missing or unknown: 'conv_clamp', 'instance_norm_eps', 'label_norm'"),
        (_fields(channels="86"), "channels: expected a list of integers, got '86'"),
        (_fields(channels=[8.0, 6.0]), "channels: expected a list of integers"),
        (_fields(conv_clamp="256"), "conv_clamp: expected a positive number, got '256'"),
        (_fields(mapping_lr_multiplier=True), "mapping_lr_multiplier: expected a positive number, got True"),
        (_fields(family="x" * 10_000), "architecture family: .{1,200}$"),
        (_fields(channels=[10**9] * 10_000), "channels: .{1,200}$"),
    ],
)
def test_foreign_architectures_are_named_in_one_short_line(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        architecture_from_dict(fields)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("config", [StyleGAN1Config(resolution=8), StyleGAN2Config(resolution=8)])
def test_settings_from_before_there_were_labels_are_those_without(config):
    fields = architecture_to_dict(config)
    assert fields.pop("label_dim") == 0 and fields.pop("label_norm", "separate") == "separate"
    assert architecture_from_dict(fields) == config


@pytest.mark.parametrize("config", [StyleGAN1Config(resolution=8), StyleGAN2Config(resolution=8)])
def test_what_only_one_program_does_is_not_said_of_others(config):
    """So that folders, and the hashes of what describes them, are what they were."""
    assert not {"bias_before_blur", "shared_noise"} & set(architecture_to_dict(config))


def test_a_users_function_has_no_json():
    with pytest.raises(ValueError, match="only stylegan1, stylegan2 can be written to a folder, got FunctionConfig"):
        architecture_to_dict(FunctionConfig(resolution=4, latent_dim=2))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"eps": 0.0}, r"eps: expected a mean squared error in \(0, 1\], got 0.0"),
        ({"eps": 1.5}, "eps: expected"),
        ({"eps": math.nan}, "eps: expected"),
        ({"steps": 0}, "steps: expected 1 to 1000000, got 0"),
        ({"steps": 10**7}, "steps: expected 1 to 1000000"),
        ({"learning_rate": 0.0}, "learning_rate: expected a positive number, got 0.0"),
        ({"learning_rate": math.inf}, "learning_rate: expected a positive number, got inf"),
        ({"trainable_noise_layers": -1}, "trainable_noise_layers: expected 0 or more, got -1"),
        ({"zeroed_noise_layers": (3, -1)}, r"zeroed_noise_layers: expected indices of 0 or more, got \(3, -1\)"),
        ({"patience": 0}, "patience: expected 1 or more, got 0"),
        ({"loss": "100*L3"}, "L3"),
        ({"loss": "1e400*L2"}, "1e400"),
        ({"space": "x"}, r"space: expected one of z, w, w\+, w\+\+, got 'x'"),
        ({"start": "mean"}, "start: expected geometry euclidean or l1_ball and a space of w where it is mean"),
        ({"coordinates": "polar"}, "coordinates: expected one of whitened, plain, got 'polar'"),
        ({"geometry": "torus"}, "geometry: expected one of sphere, euclidean, l1_ball, got 'torus'"),
        ({"noise_scale": 0.0}, "noise_scale: expected a positive number, got 0.0"),
        ({"latent_noise": -1.0}, "latent_noise: expected 0 or more, got -1.0"),
        ({"latent_radius": 0}, "latent_radius: expected a positive number, got 0"),
        ({"start_ways": (0.4, 0.2)}, "start_ways: expected two ascending numbers of 0 or more"),
        ({"start_ways": 0.4}, "start_ways: expected two ascending numbers of 0 or more, got 0.4"),
        ({"start_ways": (0.1, math.nan)}, "start_ways: expected two ascending numbers"),
        ({"mean_offset": -0.1}, "mean_offset: expected 0 or more, got -0.1"),
        ({"repulsion": -1.0}, "repulsion: expected 0 or more, got -1.0"),
        ({"feature_radius": -1.0}, "feature_radius: expected a positive number, got -1.0"),
        ({"phases": (Phase(share=1.0, block=1),), "space": "w"}, "phases: expected space w. where a block is searched"),
        ({"start": "zero"}, "start: expected one of uniform, .*mean, surrogate, got 'zero'"),
        ({"optimizer": "adam"}, "optimizer: expected one of projected_adam, .*, normalized_gradient, got 'adam'"),
        (
            {"schedule": "cosine"},
            "schedule: expected one of fixed, linear1cycle, linear1cycledrop, ramps, long_ramps, got 'cosine'",
        ),
        (
            {"noise": "random"},
            "noise: expected one of zero, fixed, trainable, normalized, normalized_first, redrawn, got 'random'",
        ),
        ({"stop": "early"}, "stop: expected one of never, feasible, plateau, got 'early'"),
        ({"precision": "float16"}, "precision: expected one of float32, tf32, bfloat16, got 'float16'"),
        ({"precision": None}, "precision: expected one of float32, tf32, bfloat16, got None"),
    ],
)
def test_search_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        SearchConfig(**settings)


def test_settings_are_values():
    assert SearchConfig() == SearchConfig()
    assert len({SearchConfig(), SearchConfig(), SearchConfig(steps=3)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        SearchConfig().steps = 3
    with pytest.raises(ValueError, match="steps: expected"):
        dataclasses.replace(SearchConfig(), steps=0)


def test_a_configs_structure_and_numbers_are_all_of_it():
    """What is data in compiled programs: one structure for all values of it, and nothing forgotten."""
    config = SearchConfig(eps=0.5, steps=7, learning_rate=3.0, patience=2, noise_scale=0.3, loss="2*L2+3*MAE")
    other = SearchConfig(eps=0.1, steps=9, learning_rate=1.0, patience=5, noise_scale=0.1, loss="5*L2+7*MAE")
    assert config.structure == other.structure == config.structure.structure
    assert config.numbers == {
        "eps": 0.5,
        "steps": 7,
        "learning_rate": 3.0,
        "patience": 2,
        "noise_scale": 0.3,
        "repulsion": 0.0,
        "latent_noise": 0.0,
        "weights": (2.0, 3.0),
    }
    for changed in ({"space": "z"}, {"stop": "never"}, {"loss": "MAE+L2"}, {"latent_noise": 0.1}, {"repulsion": 1}):
        assert dataclasses.replace(config, **changed).structure != config.structure


@pytest.mark.parametrize("config", [presets.ilo(), presets.rls()])
def test_phases_and_ways_come_back_from_json(config):
    assert SearchConfig.from_dict(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0}, "phase share: expected a positive number, got 0"),
        ({"share": 1, "rate": -1.0}, "phase rate: expected a positive number, got -1.0"),
        ({"share": 1, "tied": "both"}, "phase tied: expected all, layer or none, got 'both'"),
        ({"share": 1, "block": -1}, "phase block: expected an index of 0 or more, got -1"),
        ({"share": 1, "noise_layers": -1}, "phase noise_layers: expected 0 or more, got -1"),
        ({"share": 1, "noise_layers": 5.0}, "phase noise_layers: expected 0 or more, got 5.0"),
    ],
)
def test_phases_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Phase(**settings)
