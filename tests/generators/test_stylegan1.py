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


def test_instance_norm_epsilon_is_the_configs(synthesis, golden):
    config = StyleGAN1Config(resolution=64, latent_dim=64, channels=(32, 32, 32, 16, 8), instance_norm_eps=1.0)
    params = stylegan1_synthesis(state_dict(golden))
    w, noise = _inputs(golden)
    other = stylegan1.Synthesis(config).apply({"params": params}, w, noise)
    assert float(jnp.abs(other - synthesis(w, noise)).max()) > 0.1
