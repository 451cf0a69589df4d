"""Rounding to 8 bits, on the host and on devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pulse_jax.images.rounding import from_uint8, quantize, to_uint8

# --- on the host ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_level_comes_back(dtype):
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(levels.astype(dtype) / dtype(255)), levels)
    np.testing.assert_array_equal(to_uint8(from_uint8(levels)), levels)


def test_rounding_is_to_the_nearest_level_and_halves_go_up():
    halves = (np.arange(255) + 0.5) / 255
    exact = halves * 255 == np.arange(255) + 0.5
    assert exact.sum() > 100
    np.testing.assert_array_equal(to_uint8(halves[exact]), np.arange(1, 256)[exact])
    np.testing.assert_array_equal(to_uint8(halves - 1e-9), np.arange(255))
    np.testing.assert_array_equal(to_uint8(halves + 1e-9), np.arange(1, 256))


def test_what_lies_outside_is_clipped():
    np.testing.assert_array_equal(to_uint8(np.array([-np.inf, -0.1, 1.1, np.inf])), [0, 0, 255, 255])


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_round_trip(levels):
    np.testing.assert_array_equal(to_uint8(from_uint8(levels)), levels)


@given(st.floats(0, 1, width=32))
def test_no_level_is_nearer(value):
    assert abs(int(to_uint8(np.array(value))) - value * 255) <= 0.5


@pytest.mark.parametrize("image", [np.array([0.5, np.nan]), np.array([1, 2])], ids=["nan", "integers"])
def test_to_uint8_refuses(image):
    with pytest.raises(ValueError, match="expected"):
        to_uint8(image)


def test_from_uint8_refuses_floats():
    with pytest.raises(ValueError, match="expected uint8"):
        from_uint8(np.zeros(3))


# --- on devices ---

# XLA may multiply by 1/255 where a division is written: one rounding of the factor, and one of the product.
ROUNDING = 2**-23


@pytest.fixture(params=[lambda function: function, jax.jit], ids=["eager", "compiled"])
def rounded(request):
    """`quantize`, with NumPy arrays."""
    function = request.param(quantize)
    return lambda image: tuple(np.asarray(array) for array in function(jnp.asarray(image)))


def test_every_level_comes_back_from_a_device(rounded):
    levels = np.arange(256, dtype=np.uint8)
    found, floats = rounded(from_uint8(levels))
    assert (found.dtype, floats.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(found, levels)
    np.testing.assert_allclose(floats, from_uint8(levels), rtol=ROUNDING)


def test_halves_go_up_on_a_device_too(rounded):
    halves = ((np.arange(255) + 0.5) / 255).astype(np.float32)
    exact = halves * np.float32(255) == np.arange(255) + 0.5
    assert exact.sum() > 100
    np.testing.assert_array_equal(rounded(halves[exact])[0], np.arange(1, 256)[exact])
    # The only one that float32 and float64 both hold exactly.
    assert rounded(np.float32([0.5]))[0] == to_uint8(np.float32([0.5])) == 128


def test_devices_and_host_agree_but_where_float32_cannot_tell_a_half(rounded):
    rng = np.random.default_rng(0)
    halves = ((np.arange(255) + 0.5) / 255).astype(np.float32)
    near = halves[:, None] + np.linspace(-1e-6, 1e-6, 201, dtype=np.float32)
    values = np.concatenate([rng.uniform(-0.2, 1.2, 200_000).astype(np.float32), near.ravel()])
    levels, floats = rounded(values)
    np.testing.assert_allclose(floats, from_uint8(levels), rtol=ROUNDING)
    expected = to_uint8(values)
    # Products below 256 are rounded to multiples of 2⁻¹⁶ at most, sums once more.
    distance = np.abs((values.astype(np.float64) * 255) % 1 - 0.5)
    clear = distance > 2**-16
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(levels[clear], expected[clear])
    assert np.abs(levels[~clear].astype(int) - expected[~clear]).max() <= 1


def test_what_is_no_number_stays_none(rounded):
    _, floats = rounded(np.float32([np.nan, np.inf, -np.inf, 0.2]))
    np.testing.assert_allclose(floats, [np.nan, 1, 0, 51 / 255], rtol=ROUNDING)
