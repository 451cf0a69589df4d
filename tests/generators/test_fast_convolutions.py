"""Kernels in their forms for CPUs against the definition, in float64 and in every derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.networks import fast_convolutions


def _draw(*shape, fold=0):
    return jax.random.normal(jax.random.fold_in(jax.random.key(0), fold), shape)


def _conv(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout, precision="highest")


def _upsampled_conv(x, kernel):
    return _conv(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2), kernel)


CASES = {
    "winograd": (fast_convolutions.winograd, fast_convolutions.winograd_conv, _conv),
    "upsampling": (fast_convolutions.upsampling, fast_convolutions.upsampling_conv, _upsampled_conv),
}


@pytest.fixture(params=CASES)
def case(request):
    form, ours, defined = CASES[request.param]
    return (lambda x, kernel: ours(x, form(kernel))), defined


def test_values_and_both_gradients_in_float64(case):
    ours, defined = case
    with jax.enable_x64(True):
        x, kernel = (a.astype(jnp.float64) for a in (_draw(2, 8, 12, 3), _draw(3, 3, 3, 5, fold=1)))
        expected, pull = jax.vjp(defined, x, kernel)
        got, our_pull = jax.vjp(ours, x, kernel)
        cotangent = _draw(*expected.shape, fold=2).astype(jnp.float64)
        np.testing.assert_allclose(got, expected, atol=1e-12)
        for a, b in zip(our_pull(cotangent), pull(cotangent), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-11)


@pytest.mark.slow
def test_second_derivative_in_float64(case):
    def penalty(conv, x, kernel):
        return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.tanh(conv(x, kernel))))(x) ** 2)

    with jax.enable_x64(True):
        x, kernel = (a.astype(jnp.float64) for a in (_draw(1, 4, 8, 2), _draw(3, 3, 2, 2, fold=1) / 3))
        results = [jax.grad(penalty, argnums=(1, 2))(conv, x, kernel) for conv in case]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_float32_loses_a_digit_at_most(case):
    x, kernel = _draw(1, 16, 16, 64), _draw(3, 3, 64, 64, fold=1) / 24
    ours, defined = (np.asarray(conv(x, kernel)) for conv in case)
    assert np.abs(ours - defined).max() <= 2e-5 * np.sqrt(np.mean(defined**2))


def test_lanes_share_one_product_for_each_form():
    form = fast_convolutions.upsampling(_draw(3, 3, 3, 5))
    lanes = jax.vmap(lambda x: fast_convolutions.upsampling_conv(x, form))
    text = jax.jit(lanes).lower(_draw(4, 1, 8, 8, 3)).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 4
    assert not any("batching_dims" in line for line in products)


def test_winograd_needs_whole_tiles():
    form = fast_convolutions.winograd(_draw(3, 3, 2, 2))
    with pytest.raises(ValueError, match=r"multiples of 4, got shape \(1, 6, 8, 2\)"):
        fast_convolutions.winograd_conv(_draw(1, 6, 8, 2), form)
