"""Generators: maps, images, truncation, samples; a pytree that jitted functions take as an argument; user functions."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.folder import GeneratorError
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.system import programs
from tests.golden_weights import load, nhwc, state_dict
from tests.golden_weights import stylegan2 as convert_stylegan2
from tests.tiny_networks import ARCHITECTURES, tiny_generator

SYNTHESIZE = jax.jit(Generator.synthesize, static_argnames="precision")


@pytest.fixture(scope="module")
def generator():
    return tiny_generator()


def _inputs(generator, *batch, seed=0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.standard_normal((*batch, *shape)), jnp.float32)

    return draw(generator.num_layers, generator.latent_dim), tuple(draw(*shape) for shape in generator.noise_shapes)


def _perceptron(params, w, noise):
    """A user's own generator: two latent rows and one noise image → 6x6 RGB."""
    hidden = jnp.tanh(w.reshape(-1) @ params["hidden"])
    return (hidden @ params["out"]).reshape(6, 6, 3) + 0.1 * jnp.resize(noise[0], (6, 6, 1))


def _from_function(seed=0, **options):
    rng = np.random.default_rng(seed)
    params = {
        "hidden": jnp.asarray(rng.standard_normal((8, 5)), jnp.float32),
        "out": jnp.asarray(rng.standard_normal((5, 108)), jnp.float32),
    }
    sizes = {"resolution": 6, "latent_dim": 4, "num_layers": 2, "noise_shapes": ((3, 3, 1),)}
    return Generator.from_function(_perceptron, params, **(sizes | options))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_has_its_sizes(architecture):
    generator = tiny_generator(architecture)
    config, size = ARCHITECTURES[architecture], ARCHITECTURES[architecture].resolution
    assert (generator.resolution, generator.latent_dim) == (config.resolution, config.latent_dim)
    assert (generator.num_layers, generator.noise_shapes) == (config.num_layers, config.noise_shapes)
    z = jnp.ones((2, 3, config.latent_dim))
    assert generator.map(z).shape == z.shape
    images = jax.eval_shape(SYNTHESIZE, generator, *_inputs(generator, 2, 3))
    assert (images.shape, images.dtype) == ((2, 3, size, size, 3), jnp.float32)


@pytest.mark.parametrize("architecture", ["stylegan1-4", "stylegan1-16"])
def test_stylegan1_draws_varied_images(architecture):
    generator = tiny_generator(architecture)
    images = SYNTHESIZE(generator, *_inputs(generator, 2))
    assert np.isfinite(images).all()
    assert not np.array_equal(images[0], images[1])


def test_any_batch_axes_give_the_same_images(generator):
    w, noise = _inputs(generator, 2, 3)
    images = SYNTHESIZE(generator, w, noise)
    assert images.shape == (2, 3, 8, 8, 3)
    one = SYNTHESIZE(generator, w[1, 2], tuple(n[1, 2] for n in noise))
    np.testing.assert_allclose(one, images[1, 2], atol=1e-5)
    mapped = jax.jit(jax.vmap(generator.synthesize))(w, noise)
    np.testing.assert_allclose(mapped, images, atol=1e-5)


def test_images_are_nominally_between_zero_and_one():
    golden = load("g_stylegan2")
    params, _, noise = convert_stylegan2(state_dict(golden))
    config = StyleGAN2Config(resolution=32, latent_dim=32, channels=(32, 32, 32, 16))
    generator = Generator(config=config, params=params)
    noise = tuple(jnp.broadcast_to(n, (2, *n.shape)) for n in noise)
    image = SYNTHESIZE(generator, jnp.asarray(golden["w_plus"]), noise)
    np.testing.assert_allclose(image, nhwc(golden["image"]) / 2 + 0.5, atol=1e-4)


def test_truncation_equals_the_original_programs():
    golden = load("g_stylegan2")
    params, w_avg, _ = convert_stylegan2(state_dict(golden))
    config = StyleGAN2Config(resolution=32, latent_dim=32, channels=(32, 32, 32, 16))
    generator = Generator(config=config, params=params, w_avg=w_avg)
    w = jnp.repeat(jnp.asarray(golden["w"])[:, None], 8, axis=1)
    np.testing.assert_allclose(generator.truncate(w, 0.7, 4), golden["w_truncated"], atol=1e-6)
    np.testing.assert_array_equal(generator.truncate(w, 0.7, 0), w)
    everywhere = generator.truncate(w, 0.7)
    np.testing.assert_allclose(everywhere, np.repeat(golden["w_truncated"][:, :1], 8, axis=1), atol=1e-6)


def test_truncation_needs_the_mean_of_w():
    generator = tiny_generator(fits=False)
    with pytest.raises(ValueError, match="truncation: expected a generator with w_avg"):
        generator.truncate(jnp.zeros((4, 8)), 0.5)
    with pytest.raises(ValueError, match="truncation: expected a generator with w_avg"):
        generator.sample(jax.random.key(0), 1, truncation=0.5)


def test_wrong_shapes_are_named_with_what_was_expected(generator):
    w, noise = _inputs(generator, 2)
    with pytest.raises(ValueError, match=r"z: expected shape \(…, 8\), got \(2, 7\)"):
        generator.map(jnp.zeros((2, 7)))
    with pytest.raises(ValueError, match=r"z: expected shape \(…, 8\), got \(\)"):
        generator.map.__wrapped__(generator, jnp.zeros(()))
    for bad in (w[:, :3], w[..., :7]):
        with pytest.raises(ValueError, match=r"w: expected shape \(…, 4, 8\), got \(2, "):
            generator.synthesize(bad, noise)
    with pytest.raises(ValueError, match=r"w: expected shape \(…, 4, 8\), got \(2, 3, 8\)"):
        generator.truncate(w[:, :3], 0.5)
    expected = r"noise: expected shapes \(\(2, 4, 4, 1\), \(2, 8, 8, 1\), \(2, 8, 8, 1\)\), got "
    for bad in (noise[:2], noise[::-1], tuple(n[:1] for n in noise), ()):
        with pytest.raises(ValueError, match=expected):
            generator.synthesize.__wrapped__(generator, w, bad)


def test_unknown_precision_is_named(generator, unchecked):
    with pytest.raises(ValueError, match="precision: expected one of float32, tf32, bfloat16, got 'float16'"):
        generator.synthesize(*_inputs(generator), precision="float16")


def test_bfloat16_is_close_and_gives_float32(generator):
    w, noise = _inputs(generator, 2, 3)
    exact = SYNTHESIZE(generator, w, noise)
    fast = SYNTHESIZE(generator, w, noise, precision="bfloat16")
    assert fast.dtype == jnp.float32
    assert 0 < np.abs(fast - exact).mean() < 0.02


def test_sample_i_depends_on_the_key_and_i_alone(generator):
    key = jax.random.key(3)
    few, many = generator.sample(key, 3), generator.sample(key, 11)
    assert many.shape == (11, 8, 8, 3)
    np.testing.assert_array_equal(few, many[:3])
    assert len({image.tobytes() for image in np.asarray(many)}) == 11
    assert not np.array_equal(generator.sample(jax.random.key(4), 3), few)


def test_samples_of_none_and_of_fewer(generator):
    assert generator.sample(jax.random.key(0), 0).shape == (0, 8, 8, 3)
    with pytest.raises(ValueError, match="n: expected 0 or more, got -1"):
        generator.sample(jax.random.key(0), -1)


def test_full_truncation_leaves_only_the_noise():
    generator = tiny_generator("stylegan2-4")
    params = jax.tree_util.tree_map_with_path(
        lambda path, a: jnp.zeros_like(a) if "noise_strength" in jax.tree_util.keystr(path) else a, generator.params
    )
    silent = Generator(config=generator.config, params=params, w_avg=generator.w_avg)
    images = silent.sample(jax.random.key(0), 2, truncation=0.0)
    np.testing.assert_allclose(images[0], images[1], atol=1e-5)


def test_a_fit_is_that_of_the_mapping_network(generator):
    fit = generator.fitted(samples=512, seed=1).gaussian_fit
    assert fit.mean.shape == fit.std.shape == (8,)
    assert (fit.std > 0).all()
    assert not np.array_equal(fit.mean, generator.gaussian_fit.mean)


def test_a_fit_adds_the_mean_and_the_spread_of_w_where_they_are_missing(generator):
    bare = tiny_generator(fits=False)
    fitted = bare.fitted(samples=4000, seed=1)
    draws = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(jax.random.key(1), i), (8,)))(jnp.arange(4000))
    w = np.asarray(bare.map(draws), np.float64)
    np.testing.assert_allclose(fitted.w_avg, w.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted.w_std, np.sqrt(np.square(w - w.mean(axis=0)).sum(axis=1).mean()), rtol=1e-4)
    # A mean that is there stays, and the spread is around it.
    fitted = generator.fitted(samples=4000, seed=1)
    np.testing.assert_array_equal(fitted.w_avg, generator.w_avg)
    w = np.asarray(generator.map(draws), np.float64)
    spread = np.sqrt(np.square(w - np.asarray(generator.w_avg)).sum(axis=1).mean())
    np.testing.assert_allclose(fitted.w_std, spread, rtol=1e-4)


@pytest.mark.parametrize("make", [tiny_generator, _from_function], ids=["stylegan", "function"])
def test_a_generator_is_a_pytree_of_its_arrays(make):
    generator = make()
    leaves, structure = jax.tree.flatten(generator)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    again = jax.tree.unflatten(structure, leaves)
    assert again.config == generator.config
    assert again.function is generator.function
    assert jax.tree.structure(again) == structure
    doubled = jax.tree.map(lambda a: 2 * a, generator)
    np.testing.assert_array_equal(jax.tree.leaves(doubled.params)[0], 2 * jax.tree.leaves(generator.params)[0])


@pytest.mark.parametrize("make", [tiny_generator, _from_function], ids=["stylegan", "function"])
def test_new_weights_do_not_compile_anew(make):
    draw = jax.jit(lambda generator, w, noise: generator.synthesize(w, noise))
    images = [draw(generator, *_inputs(generator, 2)) for generator in (make(seed=0), make(seed=1))]
    assert draw._cache_size() == 1
    assert not np.array_equal(*images)


def _longest_constant(lowered):
    return max((len(constant) for constant in re.findall(r"dense<([^>]*)>", lowered.as_text())), default=0)


def test_a_program_that_takes_a_generator_holds_no_weights(generator, unchecked):
    w, noise = _inputs(generator, 2)
    taken = jax.jit(lambda generator, w, noise: generator.synthesize(generator.map(w), noise))
    assert _longest_constant(taken.lower(generator, w, noise)) < 100
    closed = jax.jit(lambda w, noise: generator.synthesize(generator.map(w), noise))
    assert _longest_constant(closed.lower(w, noise)) > 100


def test_a_users_function_takes_part():
    generator = _from_function(gaussian_fit=GaussianFit(jnp.zeros(4), jnp.ones(4)))
    w, noise = _inputs(generator, 3)
    images = SYNTHESIZE(generator, w, noise)
    assert images.shape == (3, 6, 6, 3)
    for i in range(3):
        expected = _perceptron(generator.params, w[i], (noise[0][i],))
        np.testing.assert_allclose(images[i], expected, atol=1e-6)
    np.testing.assert_allclose(SYNTHESIZE(generator, w[0], (noise[0][0],)), images[0], atol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(generator.synthesize))(w, noise), images, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda w: jnp.sum(generator.synthesize(w, noise) ** 2)))(w)
    assert float(jnp.abs(gradient).min()) > 0
    assert generator.sample(jax.random.key(0), 9).shape == (9, 6, 6, 3)


def test_a_users_function_may_bring_a_mapping():
    z = jnp.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(_from_function().map(z), z)
    scaled = _from_function(mapping=lambda params, z: z * params["hidden"][0, 0])
    np.testing.assert_allclose(scaled.map(z), z * scaled.params["hidden"][0, 0])


def test_a_users_function_of_another_size_is_named():
    generator = _from_function(resolution=5)
    with pytest.raises(ValueError, match=r"function: expected an image of shape \(5, 5, 3\), got \(6, 6, 3\)"):
        generator.synthesize(*_inputs(generator, 2))
    with pytest.raises(ValueError, match="num_layers: expected at least 1, got 0"):
        _from_function(num_layers=0)


def test_a_users_function_cannot_be_saved(tmp_path):
    with pytest.raises(GeneratorError, match="only stylegan1, stylegan2 can be written to a folder"):
        _from_function().save(tmp_path / "g")
    assert list(tmp_path.iterdir()) == []


def test_drawing_tells_how_far_it_is_and_draws_the_same(monkeypatch):
    generator = tiny_generator("stylegan2-8", seed=7)
    monkeypatch.setattr(programs, "_LOOK_SECONDS", 1e-3)
    clock, progress = [], []
    key, psi = jax.random.key(3), 0.73  # a program that nobody has compiled yet
    images = generator.sample(
        key,
        10,
        truncation=psi,
        on_compiling=clock.append,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert clock and clock == sorted(clock) and progress == [(8, 10), (10, 10)]
    np.testing.assert_array_equal(images, generator.sample(key, 10, truncation=psi))
