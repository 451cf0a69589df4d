"""The networks in the form for accelerators are the plain ones, in pictures, gradients and what a search does twice."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.benchmarks.lowered import count
from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config
from pulse_jax.generators.generator import Generator, load_generator
from pulse_jax.generators.networks import accelerated, accelerated_stylegan2, layers
from pulse_jax.generators.networks.initialization import init_params

SIZES = {"resolution": 16, "latent_dim": 12, "channels": (10, 8, 6)}
KINDS = {
    "stylegan1": StyleGAN1Config(**SIZES),
    "rosinality": StyleGAN1Config(**SIZES, bias_before_blur=True, shared_noise=True, instance_norm_eps=1e-8),
    "stylegan2": StyleGAN2Config(**SIZES),
    "clamped": StyleGAN2Config(**SIZES, conv_clamp=1.5),
}


@pytest.fixture(scope="module", params=KINDS)
def generator(request):
    """One whose noise and biases do something, and whose largest upsampling layer has its filter folded in."""
    config = KINDS[request.param]
    params = init_params(config, jax.random.key(0), jax.random.key(1))

    def stirred(path, leaf):
        name = jax.tree_util.keystr(path)
        return leaf + 0.3 * jax.random.normal(jax.random.key(len(name)), leaf.shape) if "synthesis" in name else leaf

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerated_stylegan2, "_FOLDED", 8)
        yield Generator(config=config, params=jax.tree_util.tree_map_with_path(stirred, params))


def _inputs(generator, count=2, dtype=jnp.float32):
    key = jax.random.key(3)
    shapes = [(generator.num_layers, generator.latent_dim), *generator.noise_shapes]
    drawn = [jax.random.normal(jax.random.fold_in(key, i), (count, *shape), dtype) for i, shape in enumerate(shapes)]
    return drawn[0], tuple(drawn[1:])


def _results(generator, *inputs, precision="float32"):
    """Pictures, gradients in w and all noise, and the derivative of the gradients along them."""

    def pulled(cotangent):
        return jax.vjp(lambda *given: generator.synthesize(*given, precision=precision), *inputs)[1](cotangent)

    images = generator.synthesize(*inputs, precision=precision)
    cotangent = jax.random.normal(jax.random.key(5), images.shape)
    gradients, back = jax.vjp(pulled, cotangent)
    return images, gradients, back(gradients)


def test_pictures_gradients_and_products_are_the_plain_networks(generator):
    inputs = _inputs(generator)
    expected = jax.jit(_results)(generator, *inputs)
    # A CPU rounds no products; but layers that are folded where products are cheap are folded here too.
    for precision in ("float32", "tf32"):
        got = jax.jit(functools.partial(_results, precision=precision))(generator.prepared("gpu"), *inputs)
        for ours, plain in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, plain, atol=2e-5 * float(jnp.abs(plain).max()))


@pytest.mark.slow
def test_blocks_outputs_can_be_moved_and_kept(generator):
    """Intermediate layers are searched, and all but blocks' outputs is computed again, as in the plain networks."""
    inputs = _inputs(generator)
    offsets = {1: jax.random.normal(jax.random.key(9), (2, *generator.block_shape(1)))}
    policy = jax.checkpoint_policies.save_only_these_names(layers.BLOCK)

    def gradients(generator):
        def loss(offsets, *inputs):
            return jnp.sum(jnp.sin(generator.synthesize(*inputs, offsets=offsets)))

        return jax.grad(jax.checkpoint(loss, policy=policy), argnums=(0, 1))(offsets, *inputs)

    expected, got = (jax.jit(gradients)(one) for one in (generator, generator.prepared("tpu")))
    for ours, plain in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert float(jnp.abs(plain).max()) > 0
        np.testing.assert_allclose(ours, plain, atol=2e-5 * float(jnp.abs(plain).max()))


@pytest.mark.slow
def test_a_row_of_w_for_every_filter_takes_the_plain_networks(generator):
    w = jax.random.normal(jax.random.key(2), (1, generator.num_filters, generator.latent_dim))
    _, noise = _inputs(generator, 1)
    same = jax.jit(lambda generator: generator.synthesize(w, noise))
    np.testing.assert_array_equal(same(generator), same(generator.prepared("gpu")))


def _error(got, expected):
    got, expected = (np.concatenate([np.ravel(a) for a in jax.tree.leaves(t)]).astype(float) for t in (got, expected))
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("platform", ["plain", "gpu"])
@pytest.mark.parametrize("side", [64, 256])
def test_gradients_of_styles_in_bfloat16_do_not_get_lost_among_pixels(platform, side):
    """One layer against float64: a sum of 65,536 terms in bfloat16 would be off by a third, and is not."""
    channels, rng = 8, np.random.default_rng(side)
    kernel, style = rng.standard_normal((3, 3, channels, channels)), 1 + 0.3 * rng.standard_normal((1, channels))
    x, pull = rng.standard_normal((2, 1, side, side, channels))
    pull += 0.3  # a mean, as smooth losses have

    def loss(style, scale, x, kernel, pull):
        if platform == "plain":
            y = layers.modulated_conv(x, kernel, style)
        else:
            noise, bias = jnp.zeros((1, side, side, 1)), jnp.ones(channels)
            y = accelerated.conv3x3(accelerated.scale_channels(x, style), kernel, jax.lax.Precision.HIGHEST)
            y = accelerated.activate(y, scale, noise, bias, style, None)
        return jnp.sum(y.astype(pull.dtype) * pull)

    def gradients(kind, wide):
        scale = jnp.ones((1, channels), wide) * 0.1
        given = jnp.asarray(x, kind), jnp.asarray(kernel, kind), jnp.asarray(pull, wide)
        return jax.jit(jax.grad(loss, argnums=(0, 1)))(jnp.asarray(style, wide), scale, *given)

    half = gradients(jnp.bfloat16, jnp.float32)
    with jax.enable_x64(True):
        exact = gradients(jnp.float64, jnp.float64)
    assert _error(half, exact) < 0.03


@pytest.mark.slow
def test_pictures_in_bfloat16_are_no_further_from_float32_than_the_plain_networks():
    generator = load_generator()
    inputs = _inputs(generator)
    run = jax.jit(lambda *given, precision: _results(*given, precision=precision)[:2], static_argnames="precision")
    exact = run(generator, *inputs, precision="float32")
    plain, ours = (run(one, *inputs, precision="bfloat16") for one in (generator, generator.prepared("gpu")))
    for part in (0, 1):
        assert _error(ours[part], exact[part]) < 1.2 * _error(plain[part], exact[part])


def test_tf32_rounds_the_synthesis_convolutions_and_nothing_else():
    """As the text for a GPU says."""
    generator = load_generator().prepared("gpu")
    for precision, said in (("float32", "HIGHEST"), ("tf32", "HIGH")):
        run = jax.jit(lambda generator, w, noise, p=precision: generator.synthesize(w, noise, precision=p))
        counts = count(run.trace(generator, *_inputs(generator)).lower(lowering_platforms=("cuda",)).as_text())
        assert (set(counts.convolutions), set(counts.products)) == ({f"f32*f32 {said}"}, {"f32*f32 HIGHEST"})
