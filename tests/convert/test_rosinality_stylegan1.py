"""Rosinality's StyleGAN against the program's own pictures, and what its files do not say."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convert
from convert.accounting import fill
from convert.networks import account
from convert.source import CheckpointError
from pulse_jax.generators.generator import Generator, load_generator
from tests.convert import writers
from tests.golden_weights import GOLDENS, drawn

STEPS = {32: 3, 128: 5}
"""The sizes that were recorded, and what the program calls them."""
_UNTRAINED = re.compile(r"generator\.(progression|to_rgb)\.[678]\..*")


def state_of(names, shapes):
    """A state dict of the program's class: everything but the filters drawn, blocks above 128x128 as initialised."""
    state = {}
    for place, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        width = shape[0] // 2
        if re.fullmatch(r".*conv1\.[12]\.weight(_flip)?", name):
            state[name] = np.tile(writers.BLUR[None, None], (shape[0], 1, 1, 1))
            continue
        values = drawn(shape, 2026, place)
        if name.endswith("bias"):
            values *= np.float32(not _UNTRAINED.fullmatch(name)) / 2
        elif ".noise" in name:
            values *= 5 * np.float32(not _UNTRAINED.fullmatch(name))
        if name.endswith("style.linear.bias"):
            values[:width] += 1
        state[name] = values
    return state


def inputs_of(size):
    """What the pictures were made of: z (2, 512), and a noise image (2, r, r) for every block."""
    return drawn((2, 512), 2027), [drawn((2, 4 * 2**i, 4 * 2**i), 2028, i) for i in range(STEPS[size] + 1)]


# --- against the program ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "checkpoints" / "rosinality_stylegan1" / "expected.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def recorded(golden):
    """The whole state of the program's class, 1024x1024, of which the blocks up to 128x128 were trained."""
    shapes = [tuple(map(int, shape.split(","))) for shape in golden["shapes"].tolist()]
    return writers.source({"g_running": state_of(golden["names"].tolist(), shapes)})


def _generator(sources, **options):
    found = account(sources, **options)
    return convert._generator(found.plan, fill(found.plan, found.state))


@pytest.mark.parametrize("size", STEPS)
def test_w_and_pictures_are_the_programs(golden, recorded, size):
    """At 32x32 upsampling and convolution are apart, at 128x128 the last ones are fused."""
    generator = _generator([recorded], resolution=None if size == 128 else size)
    assert generator.resolution == size and generator.w_avg is None
    z, noise = inputs_of(size)
    w = jax.jit(Generator.map)(generator, z)
    assert np.abs(w - golden["w"]).max() <= 1e-5 * np.abs(golden["w"]).max()
    rows = jnp.broadcast_to(golden["w"][:, None], (2, generator.num_layers, 512))
    made = jax.jit(Generator.synthesize)(generator, rows, tuple(jnp.asarray(image)[..., None] for image in noise))
    image = np.moveaxis(2 * np.asarray(made) - 1, -1, 1)
    if size == 32:
        assert np.abs(image - golden["image_32"]).max() <= 1e-5 * np.abs(golden["image_32"]).max()
        return
    # Rows and columns at the borders, where the order of bias and blur shows, and a pixel of every 8x8 in between.
    parts = {"rows": image[:, :, [0, 1, 64, 127]], "columns": image[..., [0, 126, 127]], "coarse": image[..., ::8, ::8]}
    largest = np.abs(golden["coarse_128"]).max()
    for name, part in parts.items():
        assert np.abs(part - golden[f"{name}_128"]).max() <= 1e-5 * largest, name
    wide = image.astype(np.float64)
    np.testing.assert_allclose(wide.mean((2, 3)), golden["mean_128"], atol=1e-5 * largest)
    np.testing.assert_allclose(wide.std((2, 3)), golden["std_128"], atol=1e-5 * largest)


def test_convolutions_that_are_not_fused_are_told_by_their_names():
    state = writers.random_stylegan1(widths=(3, 2, 2, 2, 2, 3))
    filled = []
    for fused_from in (128, 4, 256):
        found = account(writers.rosinality1(state, None, fused_from))
        filled.append(fill(found.plan, found.state))
    for name, array in filled[0].items():
        turned = re.fullmatch(r"synthesis/b(\d+)_conv0_kernel", name)
        below = turned is not None and int(turned[1]) < 128
        np.testing.assert_array_equal(filled[1][name], array[::-1, ::-1] if below else array)
        last = turned is not None and not below
        np.testing.assert_array_equal(filled[2][name], array[::-1, ::-1] if last else array)


# --- whole files ------------------------------------------------------------------------------------------------------


def _trained_until(last, widths=(6, 5, 4, 3)):
    """The state of a network whose blocks above `last` are as they were initialised, by its keys."""
    (source,) = writers.rosinality1(writers.random_stylegan1(widths=widths), None)
    state = dict(source.networks["g_running"])
    for key, array in state.items():
        match = re.match(r"generator\.(?:progression|to_rgb)\.(\d+)\.", key)
        if match and int(match[1]) > last and (".noise" in key or key.endswith("bias")):
            initial = np.repeat(np.float32([1, 0]), len(array) // 2) if ".adain" in key else np.zeros_like(array)
            state[key] = initial
    return state


def test_the_averaged_generator_of_a_trainers_file_is_taken():
    (last,), (mean,) = (writers.rosinality1(writers.random_stylegan1(seed=seed), None) for seed in (0, 1))
    optimiser = {"state.0.exp_avg": np.ones(2)}
    networks = {**last.networks, "g_running": mean.networks["g_running"], "g_optimizer": optimiser}
    found = account([writers.source(networks)])
    assert (found.network, found.plan.family) == ("g_running", "StyleGAN (rosinality)")
    assert any(text.startswith("generator (StyleGAN (rosinality))") for text in found.left)
    assert any(text.startswith("discriminator (a discriminator alone") for text in found.left)
    raw = account([writers.source(networks)], network="generator")
    for account_, source in ((found, mean), (raw, last)):
        kernel = source.networks["g_running"]["generator.progression.1.conv2.conv.weight_orig"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(fill(account_.plan, account_.state)["synthesis/b8_conv1_kernel"], kernel)


@pytest.mark.parametrize("prefix", ["", "module.", "generator.", "g_running.module.", "_orig_mod."])
@pytest.mark.parametrize("nested", ["", "state_dict"])
def test_a_state_dict_alone_is_taken_under_any_prefix(prefix, nested):
    (source,) = writers.rosinality1(writers.random_stylegan1(), None)
    arrays = {f"{prefix}{key}": array for key, array in source.networks["g_running"].items()}
    found = account([writers.source({nested: arrays})])
    assert found.plan.family == "StyleGAN (rosinality)"
    expected = account([source])
    for name, array in fill(expected.plan, expected.state).items():
        np.testing.assert_array_equal(fill(found.plan, found.state)[name], array)


def test_it_is_saved_with_what_it_does_otherwise(tmp_path, monkeypatch):
    (source,) = writers.rosinality1(writers.random_stylegan1(), None)
    monkeypatch.setattr(convert, "read_source", lambda path: source)
    converted = convert.convert("file", tmp_path / "generator", samples=16)
    loaded = load_generator(tmp_path / "generator")
    assert loaded.config == converted.config
    assert loaded.config.details()["bias"] == "before the blur" and loaded.noise_shapes == ((4, 4, 1), (8, 8, 1))
    assert (loaded.config.bias_before_blur, loaded.config.shared_noise) == (True, True)
    assert loaded.config.mapping_lr_multiplier == 1 and loaded.config.instance_norm_eps == 1e-5
    assert account([source]).plan.truncation == (0.7, None)
    with pytest.raises(ValueError, match="generator: expected one without bias_before_blur, because no program"):
        convert.export(loaded)


# --- what was trained -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [0, 1, 2, 3])
def test_blocks_that_training_never_reached_are_left_out(last):
    found = account([writers.source({"": _trained_until(last)})])
    size = 4 * 2**last
    assert found.plan.config.channels == (6, 5, 4, 3)[: last + 1]
    assert ("were never trained and are left out" in found.plan.note) == (last in (1, 2))
    assert (f"whether {size}x{size} was trained to its end: --resolution N" in found.plan.note) == (last > 0)
    fill(found.plan, found.state)
    reasons = {ignored.key: ignored.reason for ignored in found.plan.ignored}
    if last < 3:
        assert reasons["generator.progression.3.noise1.weight_orig"] == f"a block above {size}x{size}"


def test_a_network_that_was_never_trained_is_whole():
    assert account([writers.source({"": _trained_until(-1)})]).plan.config.resolution == 32


def test_a_smaller_size_has_colours_of_its_own():
    state = _trained_until(3)
    state["generator.to_rgb.1.conv.weight_orig"] = weight = np.random.default_rng(0).random((3, 5, 1, 1), np.float32)
    found = account([writers.source({"": state})], resolution=8)
    assert found.plan.config.channels == (6, 5)
    assert found.plan.note == "the colours of 8x8 are older than its blocks, which were trained on for 32x32"
    kernel = fill(found.plan, found.state)["synthesis/torgb_kernel"]
    np.testing.assert_allclose(kernel[0, 0], weight[:, :, 0, 0].T * 2**0.5, rtol=1e-6)


# --- refusals ---------------------------------------------------------------------------------------------------------


def _older():
    """The program until July 2019: convolutions without a blur, nothing else by another name."""
    state = _trained_until(3)
    return {key.replace("conv1.1.conv.", "conv1.conv."): a for key, a in state.items() if "conv1.2." not in key}


REFUSED = {
    "older program": (_older(), {}, "before July 2019, which interpolates between pixels and has no blur"),
    "no mapping network": (
        {key: array for key, array in _trained_until(3).items() if not key.startswith("style.")},
        {},
        "a network without its mapping: only synthesis",
    ),
    "a clamp": (_trained_until(3), {"clamp": 256.0}, "which has no clamp; leave the option out"),
    "larger than trained": (
        _trained_until(1),
        {"resolution": 16},
        r"of 4x4 to 8x8 \(larger blocks were never trained\); --resolution: expected one of these sizes, got 16",
    ),
    **{
        f"size {size}": (_trained_until(3), {"resolution": size}, rf"of 4x4 to 32x32; --resolution: .*, got {size}")
        for size in (-8, 0, 2, 12, 64, 10**30)
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_said_in_one_line(case):
    state, options, text = REFUSED[case]
    with pytest.raises(CheckpointError, match=f"looks like StyleGAN \\(rosinality\\), .*{text}") as error:
        account([writers.source({"": state})], **options)
    assert str(error.value).isprintable() and len(str(error.value)) < 250


def test_its_discriminator_alone_is_told():
    (source,) = writers.rosinality1(writers.random_stylegan1(), None)
    with pytest.raises(CheckpointError, match="looks like a discriminator alone"):
        account([writers.source({"": source.networks["discriminator"]})])


def test_other_programs_networks_have_one_size():
    sources = writers.write("huangzh13")
    assert account(sources, resolution=8).plan.config.resolution == 8
    with pytest.raises(CheckpointError, match="8x8, which makes no pictures of another size; leave --resolution out"):
        account(sources, resolution=4)
