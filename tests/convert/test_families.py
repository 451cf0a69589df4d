"""Every naming against the original programs' recorded images, and its accounts key by key."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.families.tensorflow import FUSED_FROM
from convert.networks import account
from convert.source import CheckpointError
from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config
from pulse_jax.generators.folder import _expected_shapes
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks import layers
from tests.convert import writers
from tests.golden_weights import load, nhwc, state_dict

SYNTHESIZE = jax.jit(Generator.synthesize)
MAP = jax.jit(Generator.map)
CLAMPS_IN_FILE = ("ada", "tensorflow2")
AVERAGES = {"huangzh13", "tensorflow1", "genforce1", "ada", "tensorflow2", "rosinality", "genforce2"}
ALL = {**writers.STYLEGAN1, **writers.STYLEGAN2}
# What a file may lack without another image: stored noise, filters, colours of lower resolutions, averages that the
# program itself computes anew.
OPTIONAL = re.compile(
    r".*(noise_const|noises\.noise_?\d+|apply_noise\.noise|layer\d+\.noise|/noise\d+|resample_filter)"
    r"|.*(blur\.kernel|filter\.kernel|upsample\.kernel)|.*lod|synthesis/ToRGB_lod[1-9].*"
    r"|g_synthesis\.to_rgb\.0\..*|latent_avg|truncation\.avg_latent|generator\.to_rgb\.0\..*|.*\.weight_flip"
)


def _optional(network, key):
    colours = network.startswith("genforce1") and key.startswith("synthesis.output0.")
    # Without its blur, the same PyTorch program of StyleGAN makes other images.
    return (colours or OPTIONAL.fullmatch(key)) and not key.endswith("intermediate.kernel")


def _generator(sources, clamp="file"):
    found = account(sources, clamp)
    return convert._generator(found.plan, fill(found.plan, found.state))


# --- parity with the original programs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stylegan1():
    return load("b_synthesis64"), load("a_mapping")


@pytest.mark.parametrize("naming", writers.STYLEGAN1)
def test_stylegan1_equals_the_original_program(stylegan1, naming):
    golden, mapping = stylegan1
    w_avg = np.arange(64, dtype=np.float32)
    generator = _generator(ALL[naming](state_dict(golden) | state_dict(mapping), w_avg))
    config = generator.config
    assert isinstance(config, StyleGAN1Config)
    assert (config.resolution, config.channels, config.latent_dim) == (64, (32, 32, 32, 16, 8), 64)
    assert config.instance_norm_eps == (1e-8 if naming in ("tensorflow1", "genforce1") else 1e-5)
    np.testing.assert_allclose(MAP(generator, mapping["z"]), mapping["w"], atol=1e-5)
    # The images were recorded with the PyTorch program's epsilon.
    same = dataclasses.replace(generator, config=dataclasses.replace(config, instance_norm_eps=1e-5), w_avg=None)
    noise = tuple(nhwc(golden[f"noise/{i:02d}"]) for i in range(10))
    image = SYNTHESIZE(same, jnp.asarray(golden["latents"]), noise)
    np.testing.assert_allclose(image, nhwc(golden["image"]) / 2 + 0.5, atol=5e-5)
    if naming in AVERAGES:
        np.testing.assert_array_equal(generator.w_avg, w_avg)
    else:
        assert generator.w_avg is None


@pytest.mark.parametrize("clamped", [False, True], ids=["", "clamped"])
@pytest.mark.parametrize("naming", writers.STYLEGAN2)
def test_stylegan2_equals_the_original_program(naming, clamped):
    golden = load("g_stylegan2_clamped" if clamped else "g_stylegan2")
    state, clamp = state_dict(golden), 1.0 if clamped else None
    said = naming in CLAMPS_IN_FILE
    generator = _generator(ALL[naming](state, clamp), "file" if said else clamp)
    assert generator.config == StyleGAN2Config(
        resolution=32, latent_dim=32, channels=(32, 32, 32, 16), conv_clamp=clamp
    )
    np.testing.assert_allclose(MAP(generator, golden["z"]), golden["w"], atol=1e-5)
    noise = tuple(
        jnp.broadcast_to(state[f"synthesis.b{size}.{layer}.noise_const"][None, :, :, None], (2, size, size, 1))
        for size in (4, 8, 16, 32)
        for layer in ("conv0", "conv1")[size == 4 :]
    )
    bare = dataclasses.replace(generator, w_avg=None)
    image = SYNTHESIZE(bare, jnp.asarray(golden["w_plus"]), noise)
    np.testing.assert_allclose(image, nhwc(golden["image"]) / 2 + 0.5, atol=5e-5)
    if naming in AVERAGES:
        w = jnp.repeat(jnp.asarray(golden["w"])[:, None], 8, axis=1)
        np.testing.assert_allclose(generator.truncate(w, 0.7, 4), golden["w_truncated"], atol=1e-6)


def _fused(x, kernel):
    """StyleGAN's fused ×2 and convolution, from its definition: scatter each pixel through the four summed taps."""
    height, width, _ = x.shape
    padded = np.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    summed = padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]
    out = np.zeros((2 * height + 2, 2 * width + 2, kernel.shape[3]))
    for i in range(4):
        for j in range(4):
            out[i : i + 2 * height : 2, j : j + 2 * width : 2] += x @ summed[i, j]
    return out[1:-1, 1:-1]


@pytest.mark.parametrize("naming", writers.STYLEGAN1)
def test_stylegan1_fuses_its_convolutions_from_128_on(naming):
    sources = writers.write(naming, widths=(3, 2, 2, 2, 2, 3))
    params = _generator(sources).params["synthesis"]
    state = writers.random_stylegan1(widths=(3, 2, 2, 2, 2, 3))
    for size in (64, 128):
        kernel = writers._hwio(state[f"blocks.{size}x{size}.conv0_up.weight"])
        x = np.random.default_rng(1).standard_normal((5, 4, kernel.shape[2]))
        got = layers.upsample_conv(jnp.asarray(x[None], jnp.float32), params[f"b{size}_conv0_kernel"])[0]
        if size >= FUSED_FROM:
            expected = _fused(x, kernel)
        else:
            larger = np.pad(x.repeat(2, 0).repeat(2, 1), ((1, 1), (1, 1), (0, 0)))
            expected = sum(larger[i : i + 10, j : j + 8] @ kernel[i, j] for i in range(3) for j in range(3))
        np.testing.assert_allclose(got, expected, atol=1e-4)


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", writers.NETWORKS)
@pytest.mark.parametrize("sizes", [{"widths": (4,), "depth": 1}, {"widths": (6, 3, 2), "d": 5, "depth": 3}], ids=str)
def test_every_size_is_inferred(network, sizes):
    config = _generator(writers.write(network, **sizes)).config
    assert config.channels == sizes["widths"] and config.mapping_layers == sizes["depth"]
    assert config.resolution == 4 * 2 ** (len(sizes["widths"]) - 1) and config.latent_dim == sizes.get("d", 7)
    assert config.label_dim == (3 if network in writers.LABELLED else 0)


@pytest.mark.parametrize(
    "config",
    [
        StyleGAN1Config(resolution=16, latent_dim=5, mapping_layers=3, channels=(4, 3, 2)),
        StyleGAN2Config(resolution=16, latent_dim=5, mapping_layers=0, channels=(4, 3, 2)),
        StyleGAN1Config(resolution=4, latent_dim=5, mapping_layers=2, channels=(4,), label_dim=3),
        StyleGAN2Config(resolution=4, latent_dim=5, mapping_layers=2, channels=(4,), label_dim=3),
        StyleGAN2Config(resolution=4, latent_dim=5, mapping_layers=1, channels=(4,), label_dim=3, label_norm="joint"),
    ],
    ids=["1", "2", "1-labels", "2-labels", "2-labels-joint"],
)
def test_the_targets_are_those_of_the_networks(config):
    shapes = {name.removeprefix("networks/"): shape for name, shape in _expected_shapes(config, {}).items()}
    assert config.array_shapes() == shapes


def _rename(sources, old, new):
    """The files with the text `old` of every key replaced."""
    return [
        dataclasses.replace(
            s, networks={n: {k.replace(old, new): v for k, v in a.items()} for n, a in s.networks.items()}
        )
        for s in sources
    ]


@pytest.mark.parametrize(
    ("naming", "old", "new"),
    [
        ("ada", "synthesis.b8.", "synthesis.b8192."),
        ("ada", "synthesis.b8.", "synthesis.b" + "9" * 5000 + "."),
        ("ada", "synthesis.b8.", "synthesis.b48."),
        ("ada", "mapping.fc1.", "mapping.fc64."),
        ("tensorflow1", "synthesis/8x8/", "synthesis/8192x8192/"),
        ("tensorflow2", "mapping/Dense1/", "mapping/Dense999999999/"),
        ("rosinality", "convs.1.", "convs.21."),
        ("rosinality", "style.2.", "style.65."),
        ("basicsr", "to_rgbs.0.", "to_rgbs.10."),
        ("pulse", "blocks.8x8.", "blocks.8192x8192."),
        ("huangzh13", "g_synthesis.blocks.0.", "g_synthesis.blocks.10."),
        ("genforce1", "synthesis.layer3.", "synthesis.layer22."),
        ("rosinality1", "generator.progression.1.", "generator.progression.11."),
        ("rosinality1", "style.3.", "style.129."),
        ("genforce2", "synthesis.layer2.", "synthesis.layer21."),
    ],
)
def test_names_that_claim_a_huge_network_are_refused(naming, old, new):
    with pytest.raises(CheckpointError, match="claims") as error:
        account(_rename(writers.write(naming), old, new))
    assert len(str(error.value)) < 300


# --- accounts, key by key ---------------------------------------------------------------------------------------------


def _keys(sources):
    """(file, network, key) of everything that a conversion looks at."""
    chosen = {"", "Gs", "G_ema", "g_ema", "g_running", "params_ema", "generator_smooth"}
    return [(i, n, k) for i, s in enumerate(sources) for n, arrays in s.networks.items() if n in chosen for k in arrays]


def _without(sources, index, network, key, **instead):
    networks = {name: dict(arrays) for name, arrays in sources[index].networks.items()}
    del networks[network][key]
    networks[network] |= instead
    changed = dataclasses.replace(sources[index], networks=networks)
    return [*sources[:index], changed, *sources[index + 1 :]]


@pytest.mark.parametrize("network", writers.NETWORKS)
def test_a_missing_or_renamed_key_is_named(network):
    sources = writers.write(network)
    required = 0
    for index, part, key in _keys(sources):
        array = sources[index].networks[part][key]
        renamed = _without(sources, index, part, key, **{f"{key}_": array})
        with pytest.raises(CheckpointError) as error:
            _generator(renamed)
        assert repr(key) in str(error.value) or repr(f"{key}_") in str(error.value)
        removed = _without(sources, index, part, key)
        if _optional(network, key):
            _generator(removed)
            continue
        required += 1
        with pytest.raises(CheckpointError) as error:
            _generator(removed)
        assert repr(key) in str(error.value) and "looks like StyleGAN" in str(error.value)
    assert required >= len(account(sources).plan.config.array_shapes())


@jax.jit
def _outputs(generator, z, w, noise):
    average = 0.0 if generator.w_avg is None else generator.w_avg
    label = jnp.linspace(-1, 1, generator.label_dim) if generator.label_dim else None
    return generator.map(z, label), average, generator.synthesize(w, noise)


@pytest.mark.slow
@pytest.mark.parametrize("network", writers.NETWORKS)
def test_every_consumed_array_changes_w_or_the_image(network):
    sources = writers.write(network)
    rng = np.random.default_rng(3)
    original = _generator(sources)

    def draw(*shape):
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    inputs = draw(1, 7), draw(1, 4, 7), tuple(draw(1, *shape) for shape in original.noise_shapes)
    before = jax.tree.leaves(_outputs(original, *inputs))
    plan = account(sources).plan
    consumed = {entry.key for entry in plan.entries}
    for index, part, key in _keys(sources):
        array = sources[index].networks[part][key]
        if key not in consumed:
            continue
        changed = _without(sources, index, part, key, **{key: array * np.float32(1.5) + np.float32(0.1)})
        after = jax.tree.leaves(_outputs(_generator(changed), *inputs))
        assert any(float(np.abs(a - b).max()) > 1e-4 for a, b in zip(before, after, strict=True)), key
    assert consumed == {key for _, _, key in _keys(sources)} - {ignored.key for ignored in plan.ignored}


@pytest.mark.parametrize("network", writers.NETWORKS)
def test_shapes_dtypes_values_and_strangers_are_checked(network):
    sources = writers.write(network)
    for index, part, key in _keys(sources):
        array = sources[index].networks[part][key]
        for bad in (np.zeros((*array.shape, 1), np.float32), array.astype(np.int32)):
            with pytest.raises(CheckpointError, match=re.escape(repr(key))):
                _generator(_without(sources, index, part, key, **{key: bad}))
    index, part, key = next(k for k in _keys(sources) if not _optional(network, k[2]))
    for bad in (np.nan, np.inf, 1e300):
        array = np.full(sources[index].networks[part][key].shape, bad, np.float64)
        with pytest.raises(CheckpointError, match=f"{re.escape(repr(key))} holds NaN, infinite or huge"):
            _generator(_without(sources, index, part, key, **{key: array}))
    foreign = dataclasses.replace(
        sources[0],
        networks={
            name: arrays | ({"foo.\x1b[31mbar": np.ones(1, np.float32)} if name == part else {})
            for name, arrays in sources[0].networks.items()
        },
    )
    with pytest.raises(CheckpointError, match=r"foo\..* of shape \(1,\) is unknown") as error:
        _generator([foreign, *sources[1:]])
    assert str(error.value).isprintable() and "[31m" not in str(error.value)


def test_other_filters_are_refused():
    for naming, key in (
        ("ada", "synthesis.b8.conv0.resample_filter"),
        ("rosinality", "convs.0.conv.blur.kernel"),
        ("genforce2", "synthesis.upsample.kernel"),
        ("genforce1", "synthesis.layer2.blur.kernel"),
        ("pulse", "blocks.8x8.conv0_up.intermediate.kernel"),
        ("rosinality1", "generator.progression.1.conv1.2.weight"),
    ):
        sources = writers.write(naming)
        index, network, _ = next(k for k in _keys(sources) if k[2] == key)
        array = sources[index].networks[network][key] + np.float32(0.01)
        with pytest.raises(CheckpointError, match=f"{re.escape(repr(key))} holds other values than the filter 1"):
            _generator(_without(sources, index, network, key, **{key: array}))


def test_half_precision_and_double_precision_are_read():
    sources = writers.write("ada")
    for dtype in (np.float16, np.float64):
        networks = {n: {k: a.astype(dtype) for k, a in arrays.items()} for n, arrays in sources[0].networks.items()}
        leaves = jax.tree.leaves(_generator([dataclasses.replace(sources[0], networks=networks)]).params)
        assert all(leaf.dtype == np.float32 for leaf in leaves)
