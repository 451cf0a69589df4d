"""What is refused by name, what the files say of themselves, and whole conversions."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.families import FAMILIES
from convert.networks import account
from convert.safetensors_file import save_safetensors
from convert.source import CheckpointError
from pulse_jax.generators.folder import GeneratorError
from pulse_jax.generators.generator import Generator, load_generator
from tests.convert import writers

ONE = np.ones((1,), np.float32)
W_AVG = np.linspace(-1, 1, 7, dtype=np.float32)


def _edit(source, network, add=(), drop=(), values=None):
    arrays = {key: array for key, array in source.networks[network].items() if key not in drop} | dict(add)
    said = {**source.values, network: source.values.get(network, {}) | (values or {})}
    return dataclasses.replace(source, networks={**source.networks, network: arrays}, values=said)


def _ada():
    return writers.ada(writers.random_stylegan2())[0]


def _tensorflow(number=2):
    if number == 1:
        return writers.tensorflow1(writers.random_stylegan1(), W_AVG)[0]
    return writers.tensorflow2(writers.random_stylegan2())[0]


def _flat(**arrays):
    return writers.source({"": {key.replace("__", "."): array for key, array in arrays.items()}})


CASES = {
    "alias-free": (
        writers.source(
            {"G_ema": {"synthesis.input.freqs": ONE, "synthesis.L0_36_512.weight": ONE, "mapping.w_avg": ONE}}
        ),
        "looks like StyleGAN3",
    ),
    "lucidrains": (
        writers.source(
            {"GAN": {"GAN.S.net.0.weight": ONE, "GAN.G.blocks.0.to_style1.weight": ONE, "GAN.D.blocks.0.net": ONE}}
        ),
        "looks like lucidrains",
    ),
    "lucidrains flat": (
        _flat(S__net__0__weight=ONE, G__initial_block=ONE, G__blocks__0__conv1__weight=ONE, D__blocks__0=ONE),
        "looks like lucidrains",
    ),
    "GFPGAN": (
        _flat(**{"style_mlp.1.weight": ONE, "style_conv1.bias": ONE, "style_convs.0.bias": ONE}),
        "GFPGAN's 'clean' StyleGAN2",
    ),
    "discriminator by network": (writers.source({"D": {"b4.fc.weight": ONE}}), "a discriminator alone"),
    "discriminator by keys": (
        _flat(**{"b8.fromrgb.weight": ONE, "b8.conv0.weight": ONE, "b4.out.weight": ONE}),
        "a discriminator alone",
    ),
    "discriminator of rosinality": (
        _flat(**{"convs.1.conv1.0.weight": ONE, "final_conv.0.weight": ONE, "final_linear.0.weight": ONE}),
        "a discriminator alone",
    ),
    "resnet of ADA": (_edit(_ada(), "G_ema", {"synthesis.b8.skip.weight": ONE}), "architecture 'resnet'"),
    "resnet of TensorFlow": (_edit(_tensorflow(), "Gs", {"synthesis/8x8/Skip/weight": ONE}), "architecture 'resnet'"),
    "orig of ADA": (
        _edit(
            _ada(),
            "G_ema",
            drop=[f"synthesis.b4.torgb.{part}" for part in ("weight", "bias", "affine.weight", "affine.bias")],
        ),
        "architecture 'orig'",
    ),
    "orig said": (_edit(_ada(), "G_ema", values={"synthesis.b4.architecture": "orig"}), "only 'skip' is supported"),
    "configurations B to D": (
        _edit(_tensorflow(), "Gs", {"synthesis/ToRGB_lod0/mod_weight": ONE, "synthesis/ToRGB_lod0/weight": ONE}),
        "configurations B to D",
    ),
    "growing": (_edit(_tensorflow(1), "Gs", {"lod": np.float32(1.5)[()] * np.ones((), np.float32)}), "'lod' is 1.5"),
    "another resolution said": (_edit(_ada(), "G_ema", values={"synthesis.img_resolution": 16}), "img_resolution = 16"),
    "another depth said": (_edit(_ada(), "G_ema", values={"mapping.num_layers": 8}), "mapping.num_layers = 8"),
    "another activation": (_edit(_ada(), "G_ema", values={"mapping.fc0.activation": "relu"}), "only 'lrelu'"),
    "clamps that differ": (_edit(_ada(), "G_ema", values={"synthesis.b8.conv0.conv_clamp": 256}), "one clamp for all"),
    "multipliers that differ": (_edit(_ada(), "G_ema", values={"mapping.fc1.bias_gain": 1.0}), "multipliers"),
    "a text as clamp": (
        _edit(_tensorflow(), "Gs", values={"static_kwargs.conv_clamp": "x"}),
        "conv_clamp = x",
    ),
    "nothing known": (_flat(foo=ONE, bar=ONE), "of no known naming"),
    "nothing at all": (writers.source({}), "holds no arrays"),
    "a fit alone": (_flat(mean=ONE, std=ONE), "a Gaussian fit alone"),
    "several networks": (
        writers.source({name: _ada().networks["G_ema"] for name in "xy"}),
        r"several networks; choose one with --network: x \(StyleGAN2-ADA \(PyTorch\)\); y \(",
    ),
    "blurred otherwise": (
        _edit(_tensorflow(1), "Gs", values={"synthesis/static_kwargs.blur_filter": (1, 1)}),
        r"blur_filter = \(1, 1\); only a filter of the taps \(1, 2, 1\)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_by_name(case):
    source, text = CASES[case]
    with pytest.raises(CheckpointError, match=text) as error:
        found = account([source])
        fill(found.plan, found.state)
    assert str(error.value).isprintable()


def test_wide_latents_are_refused_with_both_shapes():
    source = _edit(_ada(), "G_ema", {"mapping.fc0.weight": np.ones((7, 9), np.float32)})
    found = account([source])
    with pytest.raises(CheckpointError, match=r"'mapping.fc0.weight': expected shape \(7, 7\), got \(7, 9\)"):
        fill(found.plan, found.state)


def test_an_object_that_was_not_understood_is_named():
    source = _edit(_ada(), "G_ema", drop=["mapping.fc0.bias"])
    source = dataclasses.replace(source, inert={"G_ema/mapping.fc0.bias": "os.system"})
    found = account([source])
    with pytest.raises(CheckpointError, match=r"'mapping\.fc0\.bias' is not an array but os\.system"):
        fill(found.plan, found.state)


def test_settings_come_from_the_file_or_a_flag():
    clamped = writers.ada(writers.random_stylegan2(), 256)
    assert account(clamped).plan.config.conv_clamp == 256.0
    assert account(clamped, None).plan.config.conv_clamp is None
    assert account(clamped, 2.0).plan.config.conv_clamp == 2.0
    with pytest.raises(CheckpointError, match="conv_clamp"):
        account(clamped, -1.0)
    with pytest.raises(CheckpointError, match="has no clamp"):
        account([_tensorflow(1)], 256.0)
    fast = {f"mapping.fc{i}.bias_gain": 1.0 for i in range(2)}
    assert account([_edit(_ada(), "G_ema", values=fast)]).plan.config.mapping_lr_multiplier == 1.0
    slow = _edit(_tensorflow(), "Gs", values={"mapping/static_kwargs.mapping_lrmul": 0.1})
    assert account([slow]).plan.config.mapping_lr_multiplier == 0.1
    assert account([_tensorflow(1)]).plan.truncation == (0.7, 8)
    assert account([_tensorflow()]).plan.truncation == (0.5, None)
    said = {"static_kwargs.truncation_psi": 0.9, "static_kwargs.truncation_cutoff": 4}
    assert account([_edit(_tensorflow(), "Gs", values=said)]).plan.truncation == (0.9, 4)


@pytest.mark.parametrize("fused", [True, False, "auto"])
def test_stylegan1_may_say_where_it_fuses(fused):
    source = _edit(_tensorflow(1), "Gs", values={"static_kwargs.fused_scale": fused})
    found = account([source])
    kernel = fill(found.plan, found.state)["synthesis/b8_conv0_kernel"]
    stored = source.networks["Gs"]["synthesis/8x8/Conv0_up/weight"]
    np.testing.assert_array_equal(kernel, stored[::-1, ::-1] if fused is True else stored)


def test_flat_files_with_prefixes_are_recognised():
    arrays = writers.random_stylegan2()
    for prefix in ("G_ema.", "module.", ""):
        flat = writers.source({"": {prefix + key: array for key, array in arrays.items()}}, container="safetensors")
        assert account([flat]).plan.family == "StyleGAN2-ADA (PyTorch)"
    both = {f"{name}.{key}": array for name in ("D", "G_ema") for key, array in arrays.items()}
    assert account([writers.source({"": both})]).network == "G_ema"


def test_the_same_array_in_two_files_is_refused():
    with pytest.raises(CheckpointError, match=r"stands in some\.pkl as well"):
        account([writers.source({"": {"a": ONE}}), writers.source({"": {"a": ONE}})])


# --- whole conversions ------------------------------------------------------------------------------------------------


@pytest.fixture
def files(monkeypatch):
    """Sources in the place of the files that have their names."""
    table = {}
    monkeypatch.setattr(convert, "read_source", lambda path: table[str(path)])

    def add(sources):
        table.update({str(source.path): source for source in sources})
        return [str(source.path) for source in sources]

    return add


def test_pulse_with_its_own_fit(files, tmp_path):
    sources = writers.pulse(writers.random_stylegan1(), None)
    mean, std = W_AVG, W_AVG**2 + 1
    sources.append(writers.source({"": {"mean": mean, "std": std}}, container="torch-legacy", path="gaussian_fit.pt"))
    output = tmp_path / "generator"
    converted = convert.convert(files(sources), output)
    loaded = load_generator(output)
    np.testing.assert_array_equal(loaded.gaussian_fit.mean, mean)
    np.testing.assert_array_equal(loaded.gaussian_fit.std, std)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, converted.params)
    assert loaded.config == converted.config
    written = json.loads((output / "config.json").read_text())["source"]
    assert written.startswith("StyleGAN (PULSE, lernapparat); torch-legacy sha256:000")


@pytest.mark.parametrize(("left", "text"), [(0, "synthesis.pt"), (1, "mapping.pt")])
def test_pulse_without_one_of_its_files(files, tmp_path, left, text):
    sources = writers.pulse(writers.random_stylegan1(), None)
    del sources[left]
    with pytest.raises(CheckpointError, match=text):
        convert.convert(files(sources), tmp_path / "generator")
    assert list(tmp_path.iterdir()) == []


def test_a_fit_is_made_where_there_is_none(files, tmp_path):
    (path,) = files([_ada()])
    generator = convert.convert(path, tmp_path / "generator", samples=64)
    assert load_generator(tmp_path / "generator").gaussian_fit.std.shape == (7,)
    np.testing.assert_allclose(generator.gaussian_fit.mean, generator.fitted(samples=64).gaussian_fit.mean, atol=1e-5)


def test_a_refused_conversion_leaves_nothing(files, tmp_path):
    (path,) = files([_edit(_ada(), "G_ema", drop=["mapping.fc0.bias"])])
    with pytest.raises(CheckpointError, match=r"'mapping\.fc0\.bias'"):
        convert.convert(path, tmp_path / "a" / "generator")
    with pytest.raises(ValueError, match="samples"):
        convert.convert(files([_ada()]), tmp_path / "generator", samples=1)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        convert.convert(files([_ada()]), tmp_path / "taken")
    with pytest.raises(GeneratorError, match="exists already and is not a generator folder"):
        convert.convert(files([_ada()]), tmp_path / "taken", overwrite=True, samples=2)
    assert list((tmp_path / "taken").iterdir()) == []


def test_inspect_says_what_it_is(files):
    text = "\n".join(convert.inspect(files(writers.ada(writers.random_stylegan2(), 256))).lines())
    for part in ("StyleGAN2-ADA (PyTorch)", "8x8", "4: 6, 8: 5", "2 layers", "G_ema", "psi 1", "to be made", "256"):
        assert part in text
    assert "synthesis.b8.conv0.weight" in text and "ignored: a stored noise image" in text
    broken = convert.inspect(files([_edit(_ada(), "G_ema", {"x\x1b[1m": ONE}, drop=["mapping.fc0.bias"])]))
    assert "'mapping.fc0.bias' of shape (7,) is missing" in broken.facts["cannot be converted"]
    assert all(line.isprintable() and "[1m" not in line for line in broken.lines())


@pytest.mark.parametrize("family", [family.name for family in FAMILIES if family.entries is not None])
def test_export_is_the_inverse(family, files, tmp_path):
    second = "StyleGAN2" in family
    source = _ada() if second else _tensorflow(1)
    found = account([source])
    generator = convert._generator(found.plan, fill(found.plan, found.state)).fitted(samples=16)
    arrays = convert.export(generator, family)
    again = account([writers.source({"": arrays}, container="safetensors")])
    assert again.plan.family == family
    back = convert._generator(again.plan, fill(again.plan, again.state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), back.params, generator.params)
    np.testing.assert_array_equal(back.gaussian_fit.mean, generator.gaussian_fit.mean)


def test_a_safetensors_file_from_start_to_end(tmp_path):
    found = account([_ada()])
    generator = convert._generator(found.plan, fill(found.plan, found.state)).fitted(samples=16)
    save_safetensors(tmp_path / "g.safetensors", convert.export(generator))
    converted = convert.convert(tmp_path / "g.safetensors", tmp_path / "generator")
    jax.tree.map(np.testing.assert_array_equal, converted.params, generator.params)


def test_export_refuses_what_it_cannot_name():
    def paint(params, w, noise):
        return w

    with pytest.raises(ValueError, match="a user's own function"):
        convert.export(Generator.from_function(paint, {}, resolution=4, latent_dim=3))
    found = account([_ada()])
    generator = convert._generator(found.plan, fill(found.plan, found.state))
    with pytest.raises(ValueError, match="naming: expected one of StyleGAN2 or"):
        convert.export(generator, "StyleGAN (TensorFlow)")


def test_two_arrays_of_one_name_are_told():
    arrays = {"": {"g_ema.w": np.zeros(1, np.float32)}, "g_ema": {"w": np.ones(1, np.float32)}}
    with pytest.raises(CheckpointError, match=r"'g_ema\.w' stands twice"):
        account([writers.source(arrays)])


def _other_shapes(source, network, changes):
    """A checkpoint some of whose arrays have other shapes, all ones."""
    keys = source.networks[network]
    assert set(changes) <= set(keys)
    return _edit(source, network, {key: np.ones(shape, np.float32) for key, shape in changes.items()})


def _without(source, network, *starts):
    keys = [key for key in source.networks[network] if key.startswith(starts)]
    assert keys
    return _edit(source, network, drop=keys)


WORDS = {
    "no mapping, ADA": (lambda: _without(_ada(), "G_ema", "mapping."), "a network without its mapping: only synthesis"),
    "no mapping, TensorFlow": (
        lambda: _without(_tensorflow(), "Gs", "mapping/", "dlatent_avg"),
        "a network without its mapping: only synthesis",
    ),
    "no mapping, BasicSR": (
        lambda: _without(writers.basicsr(writers.random_stylegan2())[0], "params_ema", "style_mlp."),
        "a network without its mapping: only synthesis",
    ),
    "narrow z": (
        lambda: _other_shapes(_ada(), "G_ema", {"mapping.fc0.weight": (7, 3)}),
        "takes a z of 3 numbers and has a w of 7: only equally wide ones are supported",
    ),
    "wide z": (
        lambda: _other_shapes(_ada(), "G_ema", {"mapping.fc0.weight": (7, 14)}),
        "takes a z of 14 numbers and has a w of 7: only equally wide ones are supported",
    ),
    **{
        f"{colours} channels": (
            lambda colours=colours: _other_shapes(
                _ada(),
                "G_ema",
                {f"synthesis.b{size}.torgb.weight": (colours, width, 1, 1) for size, width in ((4, 6), (8, 5))},
            ),
            f"makes pictures of {colours} channels?: only RGB networks are supported",
        )
        for colours in (1, 4, 12)
    },
    "not square": (
        lambda: _other_shapes(_ada(), "G_ema", {"synthesis.b4.const": (6, 4, 8)}),
        "starts from 4x8: only square pictures are supported",
    ),
}


@pytest.mark.parametrize("kind", WORDS)
def test_what_is_no_supported_generator_is_told_in_words(kind):
    make, match = WORDS[kind]
    with pytest.raises(CheckpointError, match=match):
        found = account([make()])
        fill(found.plan, found.state)
