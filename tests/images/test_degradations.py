"""The bicubic operator D: numbers of the original program, and the laws of a downscaling."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from pulse_jax.images.degradations.bicubic import Bicubic, bicubic_kernel, bicubic_matrix
from tests.golden_weights import load, nhwc

FACTORS = [1, 2, 4, 8, 16, 32]
SIZES = [(size, factor) for size in (48, 96) for factor in (1, 2, 3, 4, 8, 12, 16)]


@pytest.fixture(scope="module")
def golden():
    return load("c_bicubic")


@pytest.fixture(scope="module")
def downscaled(golden):
    """Both golden images by every factor, in one compilation each."""
    every = jax.jit(lambda image: {factor: Bicubic(factor, blur_at_factor_one=True).apply(image) for factor in FACTORS})
    return {name: every(nhwc(golden[name])) for name in ("a", "b")}


def filter_axis(image, factor, axis):
    """One axis straight from the definition: pad by reflection, then a dot product with Keys' cubic at every stride."""
    before = 3 * factor // 2
    image = np.moveaxis(np.asarray(image, np.float64), axis, -1)
    padded = np.pad(image, [(0, 0)] * (image.ndim - 1) + [(before, 3 * factor - before)], mode="reflect")
    taps = []
    for i in range(4 * factor):
        x = abs((i - 2 * factor + 0.5) / factor)
        taps.append(1 - 2.5 * x**2 + 1.5 * x**3 if x < 1 else 2 - 4 * x + 2.5 * x**2 - 0.5 * x**3)
    taps = np.array(taps) / sum(taps)
    starts = range(0, image.shape[-1], factor)
    return np.moveaxis(np.stack([padded[..., s : s + 4 * factor] @ taps for s in starts], axis=-1), -1, axis)


@pytest.mark.parametrize("factor", FACTORS)
def test_kernel_meets_the_original(golden, factor):
    np.testing.assert_allclose(bicubic_kernel(factor), golden[f"kernel/{factor}"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "factor"), [("a", f) for f in FACTORS] + [("b", f) for f in FACTORS[1:]])
def test_images_meet_the_original(golden, downscaled, name, factor):
    np.testing.assert_allclose(downscaled[name][factor], nhwc(golden[f"{name}/f{factor}"]), rtol=0, atol=1e-5)


def test_gradient_meets_the_original(golden):
    _, pullback = jax.vjp(lambda image: Bicubic(8).apply(image), nhwc(golden["a"]))
    (gradient,) = pullback(nhwc(golden["grad_f8_cotangent"]))
    np.testing.assert_allclose(gradient, nhwc(golden["grad_f8"]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 6])
def test_any_factor_and_aspect_follow_the_definition(factor):
    image = np.random.default_rng(factor).random((30, 60, 3), np.float32)
    expected = filter_axis(filter_axis(image, factor, 0), factor, 1)
    low_res = Bicubic(factor, blur_at_factor_one=True).apply(jnp.asarray(image))
    assert low_res.shape == (30 // factor, 60 // factor, 3)
    np.testing.assert_allclose(low_res, expected, rtol=0, atol=2e-6)


def test_factor_one_is_the_identity_unless_asked_otherwise(golden, downscaled):
    image = nhwc(golden["a"])
    np.testing.assert_array_equal(Bicubic(1).apply(image), image)
    assert np.abs(downscaled["a"][1] - image).max() > 0.01


@pytest.mark.parametrize(("size", "factor"), SIZES)
def test_rows_sum_to_one(size, factor):
    matrix = bicubic_matrix(size, factor)
    assert matrix.shape == (size // factor, size)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_even_factors_commute_with_mirroring(factor):
    np.testing.assert_allclose(bicubic_matrix(32, factor)[::-1, ::-1], bicubic_matrix(32, factor), rtol=0, atol=1e-15)


@settings(deadline=None, max_examples=20)
@given(value=st.floats(0, 1, width=32), factor=st.sampled_from([1, 2, 3, 4, 8]))
def test_constants_stay_constant(value, factor):
    low_res = Bicubic(factor, blur_at_factor_one=True).apply(jnp.full((24, 48, 3), value, jnp.float32))
    np.testing.assert_allclose(low_res, value, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), scale=st.floats(-2, 2, width=32), factor=st.sampled_from([2, 3, 8]))
def test_linear(seed, scale, factor):
    x, y = jnp.asarray(np.random.default_rng(seed).random((2, 24, 24, 3), np.float32))
    together = Bicubic(factor).apply(scale * x + y)
    np.testing.assert_allclose(together, scale * Bicubic(factor).apply(x) + Bicubic(factor).apply(y), rtol=0, atol=1e-5)


def test_leading_axes_are_independent_images():
    images = jnp.asarray(np.random.default_rng(0).random((2, 3, 16, 32, 1), np.float32))
    low_res = Bicubic(4).apply(images)
    assert low_res.shape == (2, 3, 4, 8, 1)
    np.testing.assert_allclose(low_res[1, 2], Bicubic(4).apply(images[1, 2]), rtol=0, atol=1e-6)
    mapped = jax.jit(jax.vmap(jax.vmap(lambda image: Bicubic(4).apply(image))))(images)
    np.testing.assert_allclose(mapped, low_res, rtol=0, atol=1e-6)


def test_half_precision_is_computed_in_single():
    image = jnp.asarray(np.random.default_rng(0).random((16, 16, 3)), jnp.bfloat16)
    for factor in (1, 4):
        low_res = Bicubic(factor).apply(image)
        assert low_res.dtype == jnp.float32
        np.testing.assert_array_equal(low_res, Bicubic(factor).apply(image.astype(jnp.float32)))


@pytest.mark.parametrize("factor", [0, -2, 2.5, 4.0, "4"])
def test_a_factor_that_is_no_positive_integer_is_refused(unchecked, factor):
    for refused in (lambda: bicubic_kernel(factor), lambda: Bicubic(factor).apply(jnp.zeros((16, 16, 3)))):
        with pytest.raises(ValueError, match=r"^factor: expected an integer of at least 1, got "):
            refused()


def test_a_size_that_the_factor_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"^size: expected a positive multiple of factor 4, got 18"):
        bicubic_matrix(18, 4)
    with pytest.raises(ValueError, match=r"^image: .* by 4, got shape \(16, 18, 3\): .* multiple of factor 4, got 18"):
        Bicubic(4).apply(jnp.zeros((16, 18, 3)))


@pytest.mark.parametrize(("factor", "least"), [(1, 3), (8, 13), (9, 15)])
def test_the_padding_sets_the_smallest_size(factor, least):
    # np.pad can reflect more than once, the original program cannot: at most size - 1 pixels.
    padding = 3 * factor - 3 * factor // 2
    assert least == padding + 1
    refused = max(size for size in range(factor, least) if size % factor == 0)
    with pytest.raises(ValueError, match=f"^size: expected at least {least} pixels .* factor {factor}, got {refused}"):
        bicubic_matrix(refused, factor)
    smallest = min(size for size in range(least, least + factor) if size % factor == 0)
    assert bicubic_matrix(smallest, factor).shape == (smallest // factor, smallest)
    with pytest.raises(ValueError, match=r"^image: cannot be downscaled by .* at least"):
        Bicubic(factor, blur_at_factor_one=True).apply(jnp.zeros((refused, smallest, 3)))


def test_what_is_no_image_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"^image: expected shape .* got \(16, 16\)"):
        Bicubic(2).apply(jnp.zeros((16, 16)))
    with pytest.raises(ValueError, match=r"^image: expected a floating-point array .* got uint8"):
        Bicubic(2).apply(jnp.zeros((16, 16, 3), jnp.uint8))


def test_cached_arrays_cannot_be_changed():
    for array in (bicubic_kernel(2), bicubic_matrix(8, 2)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# --- what downscaling does not see ---


@pytest.mark.parametrize(("height", "width", "factor"), [(32, 16, 4), (24, 24, 3), (64, 64, 16), (16, 12, 1)])
def test_what_is_unseen_downscales_to_nothing_and_stays(height, width, factor):
    images = np.random.default_rng(0).random((2, height, width, 3))
    left = Bicubic(factor, blur_at_factor_one=True).unseen(images)
    assert left.dtype == np.float64 and left.shape == images.shape
    np.testing.assert_allclose(Bicubic(factor, blur_at_factor_one=True).apply_float64(left), 0, atol=1e-12)
    np.testing.assert_allclose(Bicubic(factor, blur_at_factor_one=True).unseen(left), left, atol=1e-12)
    # Orthogonal: what was taken away has nothing in common with what is left.
    assert np.vdot(images - left, left) == pytest.approx(0, abs=1e-9)


def test_what_is_unseen_is_orthogonal_to_every_row_of_the_whole_matrix():
    image = np.random.default_rng(1).random((8, 8, 1))
    whole = np.kron(bicubic_matrix(8, 2), bicubic_matrix(8, 2))
    expected = image.ravel() - np.linalg.pinv(whole) @ whole @ image.ravel()
    left = Bicubic(2).unseen(image).ravel()
    np.testing.assert_allclose(left, expected, atol=1e-10)
    np.testing.assert_allclose(whole @ left, 0, atol=1e-12)
    assert np.linalg.norm(left) > 0.1


def test_at_factor_one_everything_is_seen():
    assert not Bicubic(1).unseen(np.random.default_rng(2).random((4, 4, 3))).any()


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_every_low_resolution_picture_can_be_reached(factor):
    y = np.random.default_rng(0).random((4, 6, 3))
    x = Bicubic(factor).pseudo_inverse(y)
    assert x.shape == (4 * factor, 6 * factor, 3)
    np.testing.assert_allclose(Bicubic(factor).apply_float64(x), y, atol=1e-12)


def test_the_adjoint_leads_back_both_axes():
    x, y = np.random.default_rng(0).random((12, 20, 3)), np.random.default_rng(1).random((3, 5, 3))
    seen, back = Bicubic(4).apply_float64(x), Bicubic(4).adjoint(y)
    np.testing.assert_allclose(np.vdot(seen, y), np.vdot(x, back), rtol=1e-12)


@pytest.mark.parametrize("blur", [False, True])
def test_sides_that_bicubic_downscaling_serves(blur):
    # Reflection mirrors (3 f + 1) // 2 pixels at an end, fewer than there are: of 16 pixels, factors up to 10.
    assert Bicubic.low_sides(16, blur_at_factor_one=blur) == [2, 4, 8, 16]
    assert Bicubic.low_sides(2, blur_at_factor_one=blur) == ([] if blur else [2])
    assert Bicubic.between(16, 16, blur_at_factor_one=blur) == Bicubic(1, blur)


@pytest.mark.parametrize(
    ("high", "low", "message"),
    [
        (18, 4, "low: expected a whole part of the high side 18, got 4"),
        (16, 0, "low: expected a whole part of the high side 16, got 0"),
        (16, 1, "size: expected at least 25 pixels for the padding of factor 16, got 16"),
    ],
)
def test_sides_without_a_degradation_are_refused(high, low, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Bicubic.between(high, low)
