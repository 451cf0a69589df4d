"""Degradations that keep sizes, and chains: laws in float64, and other programs' results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from pulse_jax.images.degradations.blur import GaussianBlur, MotionBlur
from pulse_jax.images.degradations.chain import chain_between, check_known, low_sides_of
from pulse_jax.images.degradations.lanczos import Lanczos
from pulse_jax.images.degradations.language import parse_chain
from pulse_jax.images.degradations.pointwise import Gray, Mask

HIGH = 24
CHAINS = [
    ("blur(1.5)", 24),
    ("motion(200, 30)", 24),
    ("mask(0.25, 0.5, 0.75, 1)", 24),
    ("gray", 24),
    ("blur(0.8)|bicubic", 6),
    ("motion(150, 100)|area(2)", 12),
    ("lanczos(3)|gray", 8),
    ("mask(0, 0, 0.5, 0.5)|gray", 24),
]
every = pytest.mark.parametrize(("text", "low"), CHAINS)


def random(side, seed=0):
    return np.random.default_rng(seed).standard_normal((2, side, side, 3))


@every
def test_it_is_linear_and_of_the_side_that_it_says(text, low):
    d = chain_between(text, HIGH, low)
    x, y = random(HIGH), random(HIGH, 1)
    assert low in low_sides_of(text, HIGH) and d.apply_float64(x).shape == (2, low, low, 3)
    np.testing.assert_allclose(d.apply_float64(3 * x - y), 3 * d.apply_float64(x) - d.apply_float64(y), atol=1e-12)


@every
def test_the_adjoint_is_the_adjoint(text, low):
    d = chain_between(text, HIGH, low)
    x, y = random(HIGH), random(low, 1)
    np.testing.assert_allclose(np.vdot(d.apply_float64(x), y), np.vdot(x, d.adjoint(y)), rtol=1e-12, atol=1e-10)


@every
def test_devices_agree_with_the_host_and_their_gradient_is_the_adjoint(text, low):
    d = chain_between(text, HIGH, low)
    x, y = np.random.default_rng(2).random((2, HIGH, HIGH, 3)).astype(np.float32), random(low).astype(np.float32)
    found, pullback = jax.vjp(d.apply, jnp.asarray(x))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, d.apply_float64(x), rtol=0, atol=HIGH * 2.0**-22)
    np.testing.assert_allclose(pullback(jnp.asarray(y))[0], d.adjoint(y), atol=2e-5)


@every
def test_the_pseudo_inverse_gives_back_what_is_seen_and_nothing_else(text, low):
    """A A⁺ A = A, and A⁺ A is the orthogonal projection onto what A sees; to what conjugate gradients leave."""
    d = chain_between(text, HIGH, low)
    x, other = random(HIGH), random(HIGH, 1)
    seen = d.pseudo_inverse(d.apply_float64(x))
    # A motion lets some waves through by less than a thousandth, which come last.
    np.testing.assert_allclose(d.apply_float64(seen), d.apply_float64(x), atol=2e-3 if "motion" in text else 1e-6)
    scale = np.linalg.norm(seen) * np.linalg.norm(other)
    assert abs(np.vdot(seen, other - d.pseudo_inverse(d.apply_float64(other)))) < 2e-3 * scale
    assert abs(np.vdot(d.unseen(x), d.adjoint(random(low, 3)))) < 1e-3 * scale


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_lanczos_is_pillows(factor):
    x = np.random.default_rng(0).random((48, 48, 3)).astype(np.float32)
    planes = [Image.fromarray(x[..., c]).resize((48 // factor,) * 2, Image.Resampling.LANCZOS) for c in range(3)]
    np.testing.assert_allclose(Lanczos(factor).apply_float64(x), np.stack(planes, axis=-1), atol=2e-6)


@pytest.mark.parametrize("sigma", [0.5, 2, 9])
def test_a_gaussian_blur_is_scipys(sigma):
    x = np.random.default_rng(0).random((20, 30, 3))
    expected = scipy.ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="reflect", truncate=4)
    np.testing.assert_allclose(GaussianBlur(float(sigma)).apply_float64(x), expected, atol=1e-12)


@pytest.mark.parametrize(("degrees", "axis"), [(0.0, 1), (90.0, 0), (180.0, 1)])
def test_a_motion_is_a_line_of_its_length_and_direction(degrees, axis):
    """Of a point it makes a line: all of its light, centred, of a uniform line's variance and that between pixels."""
    side, length = 256, 200.0
    point = np.zeros((side, side, 3))
    point[128, 128] = 1
    line = MotionBlur(length, degrees).apply_float64(point)[..., 0]
    along, across = line.sum(axis=1 - axis), line.sum(axis=axis)
    places = np.arange(side) - 128
    np.testing.assert_allclose(line.sum(), 1, atol=1e-12)
    np.testing.assert_allclose((along @ places, across @ places), 0, atol=1e-9)
    pixels = length * side / 1024
    np.testing.assert_allclose(along @ places**2, pixels**2 / 12 + 1 / 6, rtol=2e-3)
    np.testing.assert_allclose(across @ places**2, 0, atol=1e-9)


def test_a_motion_turns_counterclockwise():
    point = np.zeros((65, 65, 3))
    point[32, 32] = 1
    line = MotionBlur(300.0, 45.0).apply_float64(point)[..., 0]
    assert line[28, 36] > 0.01 and line[36, 28] > 0.01
    np.testing.assert_allclose((line[28, 28], line[36, 36]), 0, atol=1e-12)


def test_a_flat_picture_stays_as_it_is_at_its_borders_too():
    flat = np.full((32, 32, 3), 0.7)
    for d in (GaussianBlur(5.0), MotionBlur(400.0, 20.0)):
        np.testing.assert_allclose(d.apply_float64(flat), flat, atol=1e-12)


def test_a_mask_leaves_the_rest_and_what_is_brought_loses_the_box():
    x = np.random.default_rng(0).random((8, 8, 3))
    masked = Mask(0.25, 0.0, 0.5, 0.5).apply_float64(x)
    assert (masked[:4, 2:4] == 0).all()
    masked[:4, 2:4] = x[:4, 2:4]
    np.testing.assert_array_equal(masked, x)
    low = chain_between("mask(0.25, 0, 0.5, 0.5)", 8, 8).as_input(x.astype(np.float32))
    assert low.dtype == np.float32 and (low[:4, 2:4] == 0).all()


def test_gray_is_pillows_luma():
    x = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    luma = np.asarray(Image.fromarray(x).convert("L"))
    found = Gray().apply_float64(x / 255)
    assert (np.ptp(found, axis=-1) < 1e-12).all()
    np.testing.assert_allclose(255 * found[..., 0], luma, atol=0.51)
    grey = found.astype(np.float32)
    np.testing.assert_array_equal(Gray().as_input(grey), grey)


def test_a_chain_that_leaves_its_factor_out_takes_the_inputs():
    assert low_sides_of("blur(2)|bicubic", 64)[-3:] == [16, 32, 64]
    assert low_sides_of("blur(2)|bicubic(8)", 64) == [8]
    assert low_sides_of("gray", 64) == [64]
    assert chain_between("bicubic", 64, 8) == chain_between(" bicubic(8) ", 64, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected one of bicubic\(factor\), .*got '' in place 1"),
        ("blur(2)|sharpen", "got 'sharpen' in place 2"),
        ("blur", r"expected blur\(sigma\), got 'blur' in place 1"),
        ("mask(0, 1)", r"expected mask\(left, top, right, bottom\), got 'mask\(0, 1\)' in place 1"),
        ("blur(two)", "expected numbers, got 'two' in 'blur"),
        ("blur(0)", "sigma: expected a number in"),
        ("blur(nan)", "sigma: expected a number in"),
        ("mask(0.5, 0, 0.4, 1)", "expected left < right"),
        ("bicubic(2)|gaussian(25)", r"what a search can invert, got gaussian\(25\), which disturbs"),
        ("motion(100)|bicubic", r"expected motion\(length, degrees\) of what a search inverts"),
        ("bicubic(2)|area(2)", r"one downscaling at most, got area\(2\)"),
        ("bicubic(2.5)", "whole factor"),
        ("bicubic(inf)", "whole factor"),
        ("bicubic(0)", "whole factor"),
    ],
)
def test_what_no_search_can_invert_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        check_known(text)


def test_sides_that_do_not_fit_are_told():
    for text, low in (("bicubic(8)", 16), ("gray", 32), ("blur(1)|area", 7)):
        with pytest.raises(ValueError, match="low"):
            chain_between(text, 64, low)


def test_the_language_has_spaces_where_people_put_them():
    spaced = parse_chain(" motion( 100,30 ) |bicubic(32)| gaussian(25)")
    assert spaced == parse_chain("motion(100, 30)|bicubic(32)|gaussian(25)")
    assert [str(stage) for stage in parse_chain("motion(1e2)|gray")] == ["motion(100)", "gray"]
