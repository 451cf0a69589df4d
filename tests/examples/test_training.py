"""The trainer's parts at toy size: filters by definition, steps that move and stay finite, states that come back."""

import dataclasses
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.training import checkpoint, discriminator, export, gan
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks import stylegan2

# A minute of compiling, for programs that no user runs.
pytestmark = pytest.mark.slow

CONFIG = gan.TrainConfig(
    StyleGAN2Config(resolution=8, latent_dim=8, mapping_layers=1, channels=(8, 8)), (8,), batch=4, lazy_interval=2
)


_step = jax.jit(gan.step, static_argnums=(0, 1))


@pytest.fixture(scope="module")
def state():
    return gan.init(CONFIG, 0)


@pytest.fixture(scope="module")
def trained(state):
    """Two steps, one regularised, on pictures of one colour."""
    pictures = jnp.full((4, 8, 8, 3), 200, jnp.uint8)
    metrics = []
    for lazy in (True, False):
        state, seen = _step(CONFIG, lazy, state, pictures)
        metrics.append(seen)
    return state, metrics


def test_halve_is_filtering_and_taking_every_second_pixel():
    x = jax.random.normal(jax.random.key(0), (2, 8, 6, 3))
    taps = jnp.outer(jnp.array([1.0, 3, 3, 1]), jnp.array([1.0, 3, 3, 1])) / 64
    kernel = jnp.tile(taps[..., None, None], (1, 1, 1, 3))
    layout = ("NHWC", "HWIO", "NHWC")
    padding = ((1, 1), (1, 1))
    expected = jax.lax.conv_general_dilated(x, kernel, (2, 2), padding, feature_group_count=3, dimension_numbers=layout)
    np.testing.assert_allclose(discriminator.halve(x), expected, atol=1e-6)


def test_steps_count_pictures_move_every_network_and_stay_finite(state, trained):
    after, metrics = trained
    assert int(after.images) == 8
    for name in ("generator", "discriminator", "average"):
        moved = jax.tree.map(lambda a, b: jnp.any(a != b), getattr(state, name), getattr(after, name))
        assert np.mean([bool(flag) for flag in jax.tree.leaves(moved)]) > 0.8
    for seen in metrics:
        assert all(np.isfinite(value) for value in seen.values())


def test_path_lengths_are_norms_of_the_jacobian_times_an_image(state):
    config, key = CONFIG.generator, jax.random.key(5)
    lengths = jax.jit(lambda p: gan.path_lengths(config, p, key, 2))(state.generator)
    row_key, noise_key, y_key = jax.random.split(key, 3)
    rows = gan.draw_rows(config, state.generator["mapping"], row_key, 2, 0.0)
    noise = gan.draw_noise(config, noise_key, 2)
    y = jax.random.normal(y_key, (2, 8, 8, 3)) / 8
    synthesis = stylegan2.Synthesis(config)
    for k in range(2):

        def image(row, k=k):
            return synthesis.apply(
                {"params": state.generator["synthesis"]}, row[None], tuple(n[k : k + 1] for n in noise)
            )[0]

        jacobian = jax.jit(jax.jacrev(image))(rows[k])
        product = jnp.einsum("hwcld,hwc->ld", jacobian, y[k])
        np.testing.assert_allclose(lengths[k] ** 2, jnp.sum(product**2) / config.num_layers, rtol=1e-3)


def test_augmentation_shifts_and_tints_a_share_of_the_pictures():
    images = jax.random.uniform(jax.random.key(0), (400, 16, 16, 3))
    same = gan.augmented(jax.random.key(1), images, 0.0)
    np.testing.assert_array_equal(same, images)
    seen = np.asarray(gan.augmented(jax.random.key(1), images, 0.5))
    moved = np.abs(seen - images).max(axis=(1, 2, 3)) > 1e-6
    # untouched: neither shifted (or by nothing, 1 of 25) nor tinted
    assert abs(moved.mean() - (1 - (0.5 + 0.5 / 25) * 0.5)) < 0.08
    # one colour stays one colour, and a tint of the whole is all that changes
    flat = np.asarray(gan.augmented(jax.random.key(2), jnp.full((50, 16, 16, 3), 0.3), 1.0))
    assert np.ptp(flat, axis=(1, 2)).max() < 1e-6
    assert 0.1 < flat[:, 0, 0].std() < 0.25
    assert np.isfinite(jax.grad(lambda x: gan.augmented(jax.random.key(3), x, 0.5).sum())(images)).all()


def test_an_interval_is_its_steps_one_by_one(state):
    pictures = jax.random.randint(jax.random.key(2), (2, 4, 8, 8, 3), 0, 256).astype(jnp.uint8)
    whole, metrics = jax.jit(lambda s: gan.interval(CONFIG, s, pictures))(state)
    one = state
    for lazy, batch in zip((True, False), pictures, strict=True):
        one, _ = _step(CONFIG, lazy, one, batch)
    for a, b in zip(jax.tree.leaves(whole.average), jax.tree.leaves(one.average), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    assert all(np.isfinite(value) for value in metrics.values())


def test_bfloat16_and_augmented_steps_stay_finite(state):
    half = dataclasses.replace(CONFIG, precision="bfloat16", augment=0.5)
    generate = jax.jit(gan.generate, static_argnums=(0, 3, 4, 5))
    images = [
        generate(CONFIG.generator, state.generator, jax.random.key(0), 4, 0.0, p) for p in ("float32", "bfloat16")
    ]
    np.testing.assert_allclose(images[0], images[1], atol=0.05)
    pictures = jnp.full((4, 8, 8, 3), 90, jnp.uint8)
    after, metrics = _step(half, True, state, pictures)
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(after.generator))


@pytest.mark.parametrize("mixing, styles", [(0.0, 1), (1.0, 2)])
def test_style_mixing_gives_the_layers_one_style_or_two(state, mixing, styles):
    seen = []

    def observe(function, arguments, options, context):
        if isinstance(context.module, stylegan2.Synthesis):
            seen.append(arguments[0])
        return function(*arguments, **options)

    with nn.intercept_methods(observe):
        gan.generate(CONFIG.generator, state.generator, jax.random.key(1), 8, mixing)
    (w,) = seen
    assert w.shape == (8, CONFIG.generator.num_layers, 8)
    changes = jnp.any(w[:, 1:] != w[:, :-1], axis=-1)
    np.testing.assert_array_equal(changes.sum(axis=1), styles - 1)


def test_a_state_comes_back_as_it_was_saved(tmp_path, trained):
    state, _ = trained
    path = tmp_path / "state.npz"
    checkpoint.save_state(path, state)
    restored = checkpoint.load_state(path, gan.init(CONFIG, 7))
    for a, b in zip(jax.tree.leaves(state._replace(key=())), jax.tree.leaves(restored._replace(key=())), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(jax.random.key_data(state.key), jax.random.key_data(restored.key))
    assert list(tmp_path.iterdir()) == [path]


def test_a_compact_state_keeps_weights_to_half_precision(tmp_path, trained):
    state, _ = trained
    checkpoint.save_compact(tmp_path / "compact.npz", state)
    restored = checkpoint.load_state(tmp_path / "compact.npz", gan.init(CONFIG, 7))
    assert int(restored.images) == 8
    for a, b in zip(jax.tree.leaves(state.average), jax.tree.leaves(restored.average), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_a_state_of_other_networks_is_refused(tmp_path, trained):
    checkpoint.save_compact(tmp_path / "compact.npz", trained[0])
    wider = dataclasses.replace(CONFIG, discriminator_channels=(12,))
    with pytest.raises(ValueError, match="expected shape"):
        checkpoint.load_state(tmp_path / "compact.npz", gan.init(wider, 0))


def test_export_writes_a_generator_that_draws_the_averages_pictures(tmp_path, trained):
    state, _ = trained
    run = tmp_path / "run"
    run.mkdir()
    checkpoint.save_state(run / "state.npz", state)
    (run / "config.json").write_text(json.dumps(dataclasses.asdict(CONFIG)))
    export.main(export.Options(run=run, folder=tmp_path / "out", samples=2000))
    generator = Generator.load(tmp_path / "out")
    assert generator.config == CONFIG.generator
    assert generator.gaussian_fit is not None and generator.w_avg is not None
    z = jax.random.normal(jax.random.key(3), (2, 8))
    direct = Generator(config=CONFIG.generator, params=state.average)
    w = direct.map(z)[:, None].repeat(CONFIG.generator.num_layers, 1)
    noise = tuple(jnp.zeros((2, *shape)) for shape in CONFIG.generator.noise_shapes)
    np.testing.assert_allclose(generator.synthesize(w, noise), direct.synthesize(w, noise), atol=0.02)
