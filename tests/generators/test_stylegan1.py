import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.architectures import StyleGAN1Config
from pulse_jax.generators.networks import stylegan1
from pulse_jax.generators.networks.kernel_forms import COLLECTION, prepare
from tests.golden_weights import load, nhwc, state_dict, stylegan1_mapping, stylegan1_synthesis


@pytest.fixture(scope="module")
def golden():
    return load("b_synthesis64")


@pytest.fixture(scope="module", params=["plain", "prepared"])
def synthesis(golden, request):
    config = StyleGAN1Config(resolution=64, latent_dim=64, channels=(32, 32, 32, 16, 8))
    variables = {"params": stylegan1_synthesis(state_dict(golden))}
    module = stylegan1.Synthesis(config)
    if request.param == "prepared":
        variables[COLLECTION] = prepare(module, variables["params"])
    return functools.partial(module.apply, variables)


def _inputs(golden):
    noise = tuple(nhwc(golden[f"noise/{i:02d}"]) for i in range(10))
    return jnp.asarray(golden["latents"]), noise


def test_image_equals_the_original_programs(golden, synthesis):
    image = jax.jit(synthesis)(*_inputs(golden))
    np.testing.assert_allclose(image, nhwc(golden["image"]), atol=1e-4)


def test_activations_after_every_block_equal_the_original_programs(golden, synthesis):
    capture = jax.jit(lambda w, noise: synthesis(w, noise, capture_intermediates=True))
    _, captured = capture(*_inputs(golden))
    for size in (4, 8, 16, 32, 64):
        (activation,) = captured["intermediates"][f"b{size}_epilogue1"]["__call__"]
        np.testing.assert_allclose(activation, nhwc(golden[f"act/{size}x{size}"]), atol=1e-4)


def test_gradients_equal_the_original_programs(golden, synthesis):
    cotangent = nhwc(golden["cotangent"])

    @jax.jit
    def gradients(w, noise):
        return jax.grad(lambda w, noise: jnp.vdot(synthesis(w, noise), cotangent), argnums=(0, 1))(w, noise)

    grad_w, grad_noise = gradients(*_inputs(golden))
    expected = golden["grad_latents"]
    np.testing.assert_allclose(grad_w, expected, atol=1e-3 * np.abs(expected).max())
    for i, got in enumerate(grad_noise):
        expected = nhwc(golden[f"grad_noise/{i:02d}"])
        np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())


def test_mapping_equals_the_original_programs():
    golden = load("a_mapping")
    params = stylegan1_mapping(state_dict(golden))
    module = stylegan1.Mapping(StyleGAN1Config(resolution=64, latent_dim=64))
    w = jax.jit(lambda z: module.apply({"params": params}, z))(golden["z"])
    np.testing.assert_allclose(w, golden["w"], atol=1e-5)


@pytest.mark.slow
def test_instance_norm_epsilon_is_the_configs(synthesis, golden):
    config = StyleGAN1Config(resolution=64, latent_dim=64, channels=(32, 32, 32, 16, 8), instance_norm_eps=1.0)
    params = stylegan1_synthesis(state_dict(golden))
    w, noise = _inputs(golden)
    other = stylegan1.Synthesis(config).apply({"params": params}, w, noise)
    assert float(jnp.abs(other - synthesis(w, noise)).max()) > 0.1


# --- another program's order and noise (`tests/convert/test_rosinality_stylegan1.py` holds them against it) -----------


def _other(golden, changes, **settings):
    config = StyleGAN1Config(resolution=64, latent_dim=64, channels=(32, 32, 32, 16, 8), **settings)
    params = stylegan1_synthesis(state_dict(golden)) | changes
    return jax.jit(functools.partial(stylegan1.Synthesis(config).apply, {"params": params}))


def test_a_bias_before_the_blur_is_blurred_with_zeros_around(golden):
    """As noise would be, whose image is the blur of ones and whose weights are the biases."""
    params = stylegan1_synthesis(state_dict(golden))
    w, noise = _inputs(golden)
    changes, early_noise, late_noise = {}, list(noise), list(noise)
    for block, size in enumerate((8, 16, 32, 64), 1):
        edge = jnp.ones(size).at[jnp.array([0, -1])].set(0.75)
        bias = params[f"b{size}_conv0_bias"]
        changes[f"b{size}_conv0_bias"] = jnp.zeros_like(bias)
        changes[f"b{size}_epilogue0"] = params[f"b{size}_epilogue0"] | {"noise_weight": bias}
        early_noise[2 * block] = jnp.zeros_like(noise[2 * block])
        late_noise[2 * block] = jnp.broadcast_to(jnp.outer(edge, edge)[None, :, :, None], noise[2 * block].shape)
    early = _other(golden, {}, bias_before_blur=True)(w, tuple(early_noise))
    late = _other(golden, changes)(w, tuple(late_noise))
    np.testing.assert_allclose(early, late, atol=1e-5 * np.abs(late).max())
    assert np.abs(early - _other(golden, {})(w, tuple(early_noise))).max() > 0.01 * np.abs(late).max()


def test_both_layers_of_a_block_may_share_a_noise_image(golden):
    w, noise = _inputs(golden)
    shared = noise[::2]
    twice = tuple(image for image in shared for _ in (0, 1))
    np.testing.assert_array_equal(_other(golden, {}, shared_noise=True)(w, shared), _other(golden, {})(w, twice))
    config = StyleGAN1Config(resolution=64, shared_noise=True)
    assert config.noise_shapes == tuple((size, size, 1) for size in (4, 8, 16, 32, 64))
