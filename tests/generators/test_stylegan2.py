import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.networks import stylegan2
from tests.golden_weights import load, nhwc, state_dict
from tests.golden_weights import stylegan2 as convert_stylegan2


@pytest.fixture(scope="module", params=["g_stylegan2", "g_stylegan2_clamped"])
def case(request):
    golden = load(request.param)
    clamp = 1.0 if request.param.endswith("clamped") else None
    config = StyleGAN2Config(resolution=32, latent_dim=32, channels=(32, 32, 32, 16), conv_clamp=clamp)
    params, w_avg, noise = convert_stylegan2(state_dict(golden))
    noise = tuple(jnp.broadcast_to(n, (2, *n.shape)) for n in noise)
    module = stylegan2.Synthesis(config)
    synthesis = jax.jit(lambda w, noise: module.apply({"params": params["synthesis"]}, w, noise))
    mapping = jax.jit(lambda z: stylegan2.Mapping(config).apply({"params": params["mapping"]}, z))
    return golden, synthesis, mapping, noise, w_avg


def test_mapping(case):
    golden, _, mapping, _, _ = case
    np.testing.assert_allclose(mapping(golden["z"]), golden["w"], atol=1e-5)


def test_image_with_the_buffers_noise(case):
    golden, synthesis, _, noise, _ = case
    np.testing.assert_allclose(synthesis(golden["w_plus"], noise), nhwc(golden["image"]), atol=1e-4)


def test_image_without_noise(case):
    golden, synthesis, _, noise, _ = case
    silent = jax.tree.map(jnp.zeros_like, noise)
    np.testing.assert_allclose(synthesis(golden["w_plus"], silent), nhwc(golden["image_no_noise"]), atol=1e-4)


def test_image_from_truncated_w(case):
    golden, synthesis, _, noise, _ = case
    image = synthesis(golden["w_truncated"], noise)
    np.testing.assert_allclose(image, nhwc(golden["image_from_z_truncated"]), atol=1e-4)


def test_gradient(case):
    golden, synthesis, _, noise, _ = case
    cotangent = nhwc(golden["cotangent"])
    gradient = jax.grad(lambda w: jnp.vdot(synthesis(w, noise), cotangent))(jnp.asarray(golden["w_plus"]))
    expected = golden["grad_w_plus"]
    np.testing.assert_allclose(gradient, expected, atol=1e-3 * np.abs(expected).max())
