"""Means of areas as D, against another implementation; its laws are those of `test_degradation_laws.py`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.transform import downscale_local_mean

from pulse_jax.images.degradations.area import Area


@pytest.mark.parametrize(("height", "width", "factor"), [(12, 12, 1), (12, 18, 2), (24, 12, 3), (64, 32, 16)])
def test_squares_become_their_means(height, width, factor):
    image = np.random.default_rng(0).random((2, height, width, 3))
    expected = downscale_local_mean(image, (1, factor, factor, 1))
    degradation = Area(factor)
    np.testing.assert_allclose(degradation.apply_float64(image), expected, rtol=1e-13)
    found = jax.jit(degradation.apply)(jnp.asarray(image, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_half_precision_is_computed_in_single():
    image = jnp.full((4, 4, 3), 0.3, jnp.bfloat16)
    low = Area(4).apply(image)
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, np.full((1, 1, 3), np.float32(image[0, 0, 0])), rtol=1e-6)


def test_the_programs_blur_at_factor_one_is_bicubics_alone():
    assert Area.between(8, 8, blur_at_factor_one=True) == Area.between(8, 8) == Area(1)
    assert Area.low_sides(12) == Area.low_sides(12, blur_at_factor_one=True) == [1, 2, 3, 4, 6, 12]


@pytest.mark.parametrize("factor", [0, -2, 1.5, "2"])
def test_a_factor_that_is_no_positive_integer_is_refused(unchecked, factor):
    with pytest.raises(ValueError, match=r"^factor: expected an integer of at least 1, got"):
        Area(factor)


def test_what_does_not_fit_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"^image: expected sides that 3 divides, got shape \(6, 8, 3\)"):
        Area(3).apply(jnp.zeros((6, 8, 3)))
    with pytest.raises(ValueError, match=r"^image: expected sides that 3 divides"):
        Area(3).apply_float64(np.zeros((8, 6, 3)))
    with pytest.raises(ValueError, match=r"^image: expected a floating-point array in \[0, 1\], got uint8"):
        Area(2).apply(jnp.zeros((4, 4, 3), jnp.uint8))
    for call in (Area(2).apply_float64, Area(2).adjoint, Area(2).pseudo_inverse):
        with pytest.raises(
            ValueError, match=r"^image: expected shape \(\.\.\., height, width, channels\), got \(4, 4\)"
        ):
            call(np.zeros((4, 4)))
