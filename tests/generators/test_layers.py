"""The layers against their definitions, written with XLA's general convolution."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.networks import layers

KEY = jax.random.key(0)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def _draw(*shape, fold=0):
    return jax.random.normal(jax.random.fold_in(KEY, fold), shape)


def _general(x, kernel, padding, dilation=(1, 1)):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, lhs_dilation=dilation, dimension_numbers=LAYOUT, precision="highest"
    )


@pytest.mark.parametrize("window", [(1, 1), (3, 3), (2, 2), (1, 2), (2, 1)])
def test_conv_and_both_gradients(window):
    padding = ((window[0] // 2, 0), (0, window[1] // 2))
    x, kernel = _draw(2, 6, 5, 3), _draw(*window, 3, 4, fold=1)
    expected, pull = jax.vjp(lambda x, k: _general(x, k, padding), x, kernel)
    got, our_pull = jax.vjp(lambda x, k: layers.conv(x, k, padding), x, kernel)
    cotangent = _draw(*expected.shape, fold=2)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    for ours, theirs in zip(our_pull(cotangent), pull(cotangent), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_conv_second_derivative(window):
    x, kernel = _draw(1, 5, 5, 2), _draw(window, window, 2, 2, fold=1)
    pad = ((1, 1), (1, 1))  # more than a window of one needs: its backward pass crops

    def penalty(conv):
        return lambda k: jnp.sum(jax.grad(lambda x: jnp.sum(jnp.tanh(conv(x, k, pad))))(x) ** 2)

    ours, theirs = (jax.grad(penalty(conv))(kernel) for conv in (layers.conv, _general))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_upsample_conv_is_nearest_then_conv():
    x, kernel = _draw(2, 4, 5, 3), _draw(3, 3, 3, 6, fold=1)
    nearest = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    expected = _general(nearest, kernel, ((1, 1), (1, 1)))
    np.testing.assert_allclose(layers.upsample_conv(x, kernel), expected, atol=1e-5)


def _fir(x, padding, dilation):
    taps = jnp.outer(jnp.array([1.0, 3, 3, 1]), jnp.array([1.0, 3, 3, 1])) / 16
    channels = x.shape[-1]
    kernel = jnp.tile(taps[..., None, None], (1, 1, 1, channels))
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, lhs_dilation=dilation, feature_group_count=channels, dimension_numbers=LAYOUT
    )


def test_upsample_image_is_zero_interleaving_and_filtering():
    x = _draw(2, 4, 6, 3)
    np.testing.assert_allclose(layers.upsample_image(x), _fir(x, ((2, 2), (2, 2)), (2, 2)), atol=1e-6)


@pytest.mark.parametrize("upsample", [False, True])
def test_modulated_conv_scales_and_demodulates_each_samples_kernel(upsample):
    x, kernel, style = _draw(2, 4, 4, 3), _draw(3, 3, 3, 5, fold=1), _draw(2, 3, fold=2) + 1
    ours = (layers.upsample_modulated_conv if upsample else layers.modulated_conv)(x, kernel, style)
    for one, s, got in zip(x, style, ours, strict=True):
        own = kernel * s[None, None, :, None]
        own = own / jnp.sqrt(jnp.sum(own**2, axis=(0, 1, 2)) + 1e-8)
        if upsample:
            expected = _fir(_general(one[None], own, ((2, 2), (2, 2)), (2, 2)), ((1, 1), (1, 1)), (1, 1))
        else:
            expected = _general(one[None], own, ((1, 1), (1, 1)))
        np.testing.assert_allclose(got, expected[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 16), (10, 3), (3, 10), (5, 7), (1, 1)])
@pytest.mark.parametrize(("window", "padding"), [(3, (1, 1)), (2, (1, 0)), (2, (0, 1)), (1, (0, 0)), (5, (2, 2))])
def test_few_channels_are_correlated_like_many(inputs, outputs, window, padding):
    """On CPUs, columns are folded into channels; 6 columns are not divided by what one channel would need."""
    for columns in (32, 6):
        x, kernel = _draw(2, 4, columns, inputs), _draw(window, window, inputs, outputs, fold=1)
        ours, pull = jax.vjp(lambda x, k: layers.conv(x, k, (padding, padding)), x, kernel)
        theirs, expected = jax.vjp(lambda x, k: _general(x, k, (padding, padding)), x, kernel)
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
        for got, wanted in zip(pull(theirs), expected(theirs), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-3)


def test_the_gradient_of_upsampling_is_the_transpose():
    kernel, style = _draw(3, 3, 3, 5), _draw(1, 3, fold=1) + 1
    x, y = _draw(1, 4, 6, 3, fold=2), _draw(1, 8, 12, 5, fold=3)
    up, pull = jax.vjp(lambda x: layers.upsample_modulated_conv(x, kernel, style), x)
    assert up.shape == y.shape
    np.testing.assert_allclose(jnp.vdot(up, y), jnp.vdot(x, pull(y)[0]), rtol=1e-5)


def test_blur_1_2_1_is_the_binomial_filter():
    x = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(16.0)
    blurred = layers.blur_1_2_1(x)[0, 1:4, 1:4, 0]
    np.testing.assert_allclose(blurred, [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


def test_instance_norm_standardises_then_styles():
    x = _draw(2, 8, 8, 3) * 5 + 2
    scale, bias = jnp.full((2, 3), 2.0), jnp.full((2, 3), -1.0)
    y = layers.instance_norm(x, scale, bias, eps=1e-5)
    np.testing.assert_allclose(y.mean((1, 2)), bias, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), scale, atol=1e-4)


def test_vmapped_lanes_stay_one_ordinary_convolution():
    kernel, style = _draw(3, 3, 3, 5), _draw(4, 1, 3, fold=1)
    lanes = jax.vmap(lambda x, s: jax.grad(lambda x: jnp.sum(layers.modulated_conv(x, kernel, s) ** 2))(x))
    # What is compiled: the kernels' own gradients, which nobody asks for, are traced and dropped before.
    text = jax.jit(lanes).lower(_draw(4, 1, 8, 8, 3), style).as_text()
    groups = set(re.findall(r"(?:feature|batch)_group_count = (\d+)", text))
    assert text.count("stablehlo.convolution") == 2
    assert groups == {"1"}
