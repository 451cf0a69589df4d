"""Networks with labels, of every program that has them: w by the programs' own formulas, refusals and exports."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.families import FAMILIES
from convert.networks import account
from convert.source import CheckpointError
from pulse_jax.generators.architectures import StyleGAN1Config
from pulse_jax.generators.generator import Generator, load_generator
from tests.convert import writers

ONE = np.ones((1,), np.float32)
MAP = jax.jit(Generator.map)


def _generator(sources):
    found = account(sources)
    return convert._generator(found.plan, fill(found.plan, found.state))


def _arrays(sources):
    """The arrays of the network that is converted, float64."""
    networks = sources[0].networks
    name = next(name for name in ("Gs", "G_ema", "generator_smooth", "") if name in networks)
    return {key: array.astype(np.float64) for key, array in networks[name].items()}


def _edit(source, network, add=(), values=None, drop=()):
    arrays = {key: array for key, array in source.networks[network].items() if key not in drop} | dict(add)
    said = {**source.values, network: source.values.get(network, {}) | (values or {})}
    return dataclasses.replace(source, networks={**source.networks, network: arrays}, values=said)


# --- w by the programs' formulas, in float64 --------------------------------------------------------------------------


def _normalised(x):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-8)


def _stylegan(z, embedding, layers):
    """StyleGAN's and StyleGAN2's mapping network: z and the embedded label are normalised as one vector.

    Layers are (in, out) and bias. Both programs scale weights by √2/√in, StyleGAN2's by way of its activation.
    """
    x = _normalised(np.concatenate([z, embedding], axis=-1))
    for weight, bias in layers:
        x = x @ (weight * 0.01 * np.sqrt(2) / np.sqrt(weight.shape[0])) + bias * 0.01
        x = np.where(x < 0, 0.2 * x, x)
    return x


def _stylegan2(z, embedding, layers):
    x = _normalised(np.concatenate([z, embedding], axis=-1))
    return _stylegan2_layers(x, layers)


def _stylegan2_layers(x, layers):
    for weight, bias in layers:
        x = x @ (weight * 0.01 / np.sqrt(weight.shape[0])) + bias * 0.01
        x = np.where(x < 0, 0.2 * x, x) * np.sqrt(2)
    return x


def _ada(z, label, weight, bias, layers):
    """ADA's: the label goes through a layer of its own, and is normalised by itself."""
    y = label @ (weight / np.sqrt(weight.shape[0])) + bias
    return _stylegan2_layers(np.concatenate([_normalised(z), _normalised(y)], axis=-1), layers)


def _dense(arrays, weight, bias, transposed):
    """The mapping network's layers, as (in, out) and bias, from the patterns of their names."""
    count = sum(weight.format(i) in arrays for i in range(10))
    return [
        (arrays[weight.format(i)].T if transposed else arrays[weight.format(i)], arrays[bias.format(i)])
        for i in range(count)
    ]


def _expected(network, arrays, z, label):
    tensorflow = _dense(arrays, "mapping/Dense{}/weight", "mapping/Dense{}/bias", False)
    genforce = _dense(arrays, "mapping.dense{}.weight", "mapping.dense{}.bias", True)
    match network:
        case "huangzh13 labels":
            layers = _dense(arrays, "g_mapping.map.dense{}.weight", "g_mapping.map.dense{}.bias", True)
            return _stylegan(z, label @ arrays["class_embedding.weight"], layers)
        case "tensorflow1 labels":
            return _stylegan(z, label @ arrays["mapping/LabelConcat/weight"], tensorflow)
        case "genforce1 labels":
            return _stylegan(z, label @ arrays["mapping.label_weight"], genforce)
        case "genforce2 joint labels":
            return _stylegan2(z, label @ arrays["mapping.label_weight"], genforce)
        case "tensorflow2 joint labels":
            return _stylegan2(z, label @ arrays["mapping/LabelConcat/weight"], tensorflow)
        case "tensorflow2 labels":
            weight, bias = arrays["mapping/LabelEmbed/weight"], arrays["mapping/LabelEmbed/bias"]
            return _ada(z, label, weight, bias, tensorflow)
        case "ada labels":
            weight, bias = arrays["mapping.embed.weight"].T, arrays["mapping.embed.bias"]
            return _ada(z, label, weight, bias, _dense(arrays, "mapping.fc{}.weight", "mapping.fc{}.bias", True))
    raise AssertionError(network)


@pytest.mark.parametrize("sizes", [{}, {"widths": (4,), "d": 6, "depth": 1, "labels": 1}, {"depth": 8}], ids=str)
@pytest.mark.parametrize("network", writers.LABELLED)
def test_w_is_that_of_the_programs_formulas(network, sizes):
    sources = writers.write(network, **sizes)
    generator = _generator(sources)
    rng = np.random.default_rng(1)
    count = sizes.get("labels", 3)
    assert generator.label_dim == count
    z = rng.standard_normal((5, sizes.get("d", 7)))
    for label in (np.eye(count)[rng.integers(0, count, 5)], rng.standard_normal((5, count))):
        expected = _expected(network, _arrays(sources), z, label)
        got = MAP(generator, jnp.asarray(z, jnp.float32), jnp.asarray(label, jnp.float32))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    fixed = generator.with_label(count - 1)
    expected = _expected(network, _arrays(sources), z, np.tile(np.eye(count)[-1], (5, 1)))
    got = MAP(fixed, jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("network", writers.LABELLED)
def test_labels_enter_as_the_program_lets_them(network):
    config = _generator(writers.write(network)).config
    joint = isinstance(config, StyleGAN1Config) or "joint" in network
    assert config.label_norm == ("joint" if joint else "separate")


# --- refusals ---------------------------------------------------------------------------------------------------------


def _plain(network):
    return writers.write(network)[0]


CASES = {
    "classes said, none there": (
        _edit(_plain("ada"), "G_ema", values={"c_dim": 3}),
        "c_dim = 3; its arrays are those of 0 labels",
    ),
    "another count said": (
        _edit(_plain("tensorflow2 labels"), "Gs", values={"static_kwargs.label_size": 4}),
        "label_size = 4; its arrays are those of 3 labels",
    ),
    "another count said, StyleGAN": (
        _edit(_plain("tensorflow1 labels"), "Gs", values={"static_kwargs.label_size": 0}),
        "label_size = 0; its arrays are those of 3 labels",
    ),
    "another learning rate": (
        _edit(_plain("ada labels"), "G_ema", values={"mapping.embed.bias_gain": 0.01}),
        "embed.bias_gain = 0.01; another learning rate",
    ),
    "another width": (
        _edit(_plain("ada labels"), "G_ema", {"mapping.embed.weight": np.ones((9, 3), np.float32)}),
        r"'mapping\.embed\.weight': expected shape \(7, 3\), got \(9, 3\)",
    ),
    "too many": (
        _edit(
            _plain("ada labels"),
            "G_ema",
            {"mapping.embed.weight": np.zeros((7, 65_537), np.float32)},
            {"c_dim": 65_537},
        ),
        "label_dim: expected 0 to 65536, got 65537",
    ),
    "none": (
        _edit(_plain("ada labels"), "G_ema", {"mapping.embed.weight": np.zeros((7, 0), np.float32)}),
        r"'mapping\.embed\.weight' has shape \(7, 0\)",
    ),
    "a first layer without room for them": (
        _edit(_plain("genforce2"), "generator_smooth", {"mapping.label_weight": np.ones((3, 7), np.float32)}),
        r"'mapping\.dense0\.weight': expected shape \(7, 14\), got \(7, 7\)",
    ),
    "two embeddings": (
        _edit(_plain("tensorflow2 labels"), "Gs", {"mapping/LabelConcat/weight": np.ones((3, 7), np.float32)}),
        r"'mapping/LabelConcat/weight' of shape \(3, 7\) is unknown",
    ),
    "PULSE's files": (
        _edit(_plain("lernapparat"), "", {"class_embedding.weight": np.ones((3, 7), np.float32)}),
        r"'class_embedding\.weight' of shape \(3, 7\) is unknown",
    ),
    "rosinality's files": (_edit(_plain("rosinality"), "g_ema", {"embed.weight": ONE}), r"'embed\.weight' .*unknown"),
    "BasicSR's files": (_edit(_plain("basicsr"), "params_ema", {"embed.weight": ONE}), r"'embed\.weight' .*unknown"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_by_name(case):
    source, text = CASES[case]
    with pytest.raises(CheckpointError, match=text):
        _generator([source])


# --- inspection, conversion and export --------------------------------------------------------------------------------


def test_inspection_and_conversion(monkeypatch, tmp_path):
    (source,) = writers.write("tensorflow2 joint labels")
    monkeypatch.setattr(convert, "read_source", lambda path: source)
    assert convert.inspect("x.pkl").facts["labels"] == "3"
    table = dict((key, goes) for key, _, goes in convert.inspect("x.pkl").table)
    assert table["mapping/LabelConcat/weight"] == "mapping/label_weight"
    converted = convert.convert("x.pkl", tmp_path / "generator", samples=64)
    loaded = load_generator(tmp_path / "generator")
    assert loaded.config == converted.config and loaded.label_dim == 3 and loaded.config.label_norm == "joint"
    jax.tree.map(np.testing.assert_array_equal, loaded, converted)
    assert loaded.gaussian_fit is not None and loaded.w_avg is not None
    monkeypatch.setattr(convert, "read_source", lambda path: _plain("ada"))
    assert convert.inspect("x.pkl").facts["labels"] == "none"


NAMES = {
    "huangzh13 labels": "StyleGAN (huangzh13)",
    "tensorflow1 labels": "StyleGAN (TensorFlow)",
    "genforce1 labels": "StyleGAN (GenForce)",
    "ada labels": "StyleGAN2-ADA (PyTorch)",
    "tensorflow2 labels": "StyleGAN2 or StyleGAN2-ADA (TensorFlow)",
    "tensorflow2 joint labels": "StyleGAN2 or StyleGAN2-ADA (TensorFlow)",
    "genforce2 joint labels": "StyleGAN2 (GenForce)",
}
# Whose labels enter in the same way.
KINDS = [set(list(NAMES)[:3]), {"ada labels", "tensorflow2 labels"}, {n for n in NAMES if "joint" in n}]


@pytest.mark.parametrize("network", writers.LABELLED)
def test_export_is_the_inverse_where_the_naming_holds_the_labels(network):
    generator = _generator(writers.write(network))
    fitting = {NAMES[name] for kind in KINDS if network in kind for name in kind}
    for family in FAMILIES:
        if ("StyleGAN2" in family.name) == isinstance(generator.config, StyleGAN1Config):
            continue
        if family.name not in fitting:
            with pytest.raises(ValueError, match=r"naming: expected one of .* for these labels, got") as error:
                convert.export(generator, family.name)
            assert all(name in str(error.value) for name in fitting)
            continue
        arrays = convert.export(generator, family.name)
        again = account([writers.source({"": arrays}, container="safetensors")])
        assert again.plan.family == family.name and again.plan.config.label_dim == 3
        back = convert._generator(again.plan, fill(again.plan, again.state))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), back.params, generator.params)


def test_no_naming_holds_a_fixed_label():
    with pytest.raises(ValueError, match="expected one whose label is not fixed"):
        convert.export(_generator(writers.write("ada labels")).with_label(1))
