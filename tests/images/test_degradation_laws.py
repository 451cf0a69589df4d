"""What the protocol promises, of every degradation in the registry, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.images.degradations.protocol import Degradation
from pulse_jax.images.degradations.registry import DEGRADATIONS, find_degradation

HIGH = 24
CASES = [
    (name, low, blur)
    for name, kind in DEGRADATIONS.items()
    for blur in (False, True)
    for low in kind.low_sides(HIGH, blur_at_factor_one=blur)
]
every = pytest.mark.parametrize("name, low, blur", CASES)


def made(name, low, blur):
    return DEGRADATIONS[name].between(HIGH, low, blur_at_factor_one=blur)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((2, *shape, 3))


def test_there_are_cases():
    assert len(CASES) >= 10


@every
def test_it_is_linear(name, low, blur):
    d = made(name, low, blur)
    x, y = random(HIGH, HIGH), random(HIGH, HIGH, seed=1)
    assert d.apply_float64(x).shape == (2, low, low, 3)
    np.testing.assert_allclose(d.apply_float64(3.0 * x - y), 3.0 * d.apply_float64(x) - d.apply_float64(y), atol=1e-12)


@every
def test_devices_agree_with_the_host_to_float32_rounding(name, low, blur):
    d = made(name, low, blur)
    x = np.random.default_rng(2).random((2, HIGH, HIGH, 3)).astype(np.float32)
    found, exact = d.apply(jnp.asarray(x)), d.apply_float64(x)
    assert (found.dtype, exact.dtype) == (jnp.float32, np.float64)
    # Two sums of products with weights whose magnitudes sum to less than 1.5, of numbers up to 1.5.
    np.testing.assert_allclose(found, exact, rtol=0, atol=HIGH * 2.0**-23)
    assert np.abs(exact).max() > 0.1


@every
def test_the_adjoint_is_the_adjoint(name, low, blur):
    d = made(name, low, blur)
    x, y = random(HIGH, HIGH), random(low, low, seed=1)
    back = d.adjoint(y)
    assert back.shape == x.shape and back.dtype == np.float64
    np.testing.assert_allclose(np.vdot(d.apply_float64(x), y), np.vdot(x, back), rtol=1e-12, atol=1e-9)


@every
def test_the_gradient_is_the_adjoint(name, low, blur):
    d = made(name, low, blur)
    y = random(low, low).astype(np.float32)
    _, pullback = jax.vjp(d.apply, jnp.zeros((2, HIGH, HIGH, 3)))
    (gradient,) = pullback(jnp.asarray(y))
    np.testing.assert_allclose(gradient, d.adjoint(y), atol=1e-5)


@every
def test_the_pseudo_inverse_is_that_of_moore_and_penrose(name, low, blur):
    """Their four conditions, which no other map meets."""
    d = made(name, low, blur)
    x, y = random(HIGH, HIGH), random(low, low, seed=1)
    other_x, other_y = random(HIGH, HIGH, seed=2), random(low, low, seed=3)
    down, up = d.apply_float64, d.pseudo_inverse
    np.testing.assert_allclose(down(up(down(x))), down(x), atol=1e-10)
    np.testing.assert_allclose(up(down(up(y))), up(y), atol=1e-9)
    np.testing.assert_allclose(np.vdot(up(down(x)), other_x), np.vdot(x, up(down(other_x))), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(np.vdot(down(up(y)), other_y), np.vdot(y, down(up(other_y))), rtol=1e-9, atol=1e-8)


@every
def test_what_is_unseen_degrades_to_nothing_and_stays(name, low, blur):
    d = made(name, low, blur)
    x = random(HIGH, HIGH)
    left = d.unseen(x)
    np.testing.assert_allclose(d.apply_float64(left), 0.0, atol=1e-11)
    np.testing.assert_allclose(d.unseen(left), left, atol=1e-11)
    np.testing.assert_allclose(np.vdot(left, x - left), 0.0, atol=1e-8)


@every
def test_the_error_is_the_mean_square_of_each_images_difference(name, low, blur):
    d = made(name, low, blur)
    x = random(HIGH, HIGH)
    seen = d.apply_float64(x)
    target = (seen + np.float64([0.5, 0.25])[:, None, None, None] * np.sign(seen)).astype(np.float32)
    error = d.error(x, target)
    assert error.shape == (2,) and error.dtype == np.float64
    for i in range(2):
        differences = (seen[i] - target[i].astype(np.float64)).ravel()
        np.testing.assert_allclose(error[i], sum(differences**2) / differences.size, rtol=1e-12)
        assert d.error(x[i], target[i]) == pytest.approx(error[i], rel=1e-14)
    np.testing.assert_allclose(error, [0.25, 0.0625], rtol=1e-5)
    compared, same = d.compare(x, target)
    np.testing.assert_array_equal(compared, seen)
    np.testing.assert_array_equal(same, error)


@every
def test_it_is_a_value_that_jit_takes_as_static(name, low, blur, compiled):
    d, again = made(name, low, blur), made(name, low, blur)
    assert isinstance(d, Degradation) and d == again and hash(d) == hash(again)
    degrade = jax.jit(lambda degradation, image: degradation.apply(image), static_argnums=0)
    x = jnp.ones((HIGH, HIGH, 3))
    first = degrade(d, x)
    compiled.clear()
    np.testing.assert_array_equal(degrade(again, x), first)
    assert not compiled


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize("high", [1, 2, 3, 12, 13, 64])
def test_the_sides_it_offers_are_those_it_serves(name, blur, high):
    between = functools.partial(DEGRADATIONS[name].between, high, blur_at_factor_one=blur)
    offered = DEGRADATIONS[name].low_sides(high, blur_at_factor_one=blur)
    for low in range(-1, high + 2):
        if low in offered:
            assert between(low).apply_float64(np.zeros((high, high, 3))).shape == (low, low, 3)
        else:
            with pytest.raises(ValueError, match="expected"):
                between(low)


def test_an_unknown_name_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"^degradation: expected one of bicubic.*, got 'sinc'"):
        find_degradation("sinc")
