"""The losses: numbers of the original program, and what the formulas say by hand."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from pulse_jax.objectives.losses import geocross, l1, l2
from tests.golden_weights import load, nhwc

geocross_and_gradient = jax.jit(jax.value_and_grad(geocross))


@pytest.fixture(scope="module")
def golden():
    return load("d_losses")


def image(value, shape=(4, 4, 3)):
    return jnp.full(shape, value, jnp.float32)


@pytest.mark.parametrize("eps", [0.002, 0.01])
@pytest.mark.parametrize(("name", "loss"), [("l2", l2), ("l1", l1)])
def test_downscaling_losses_meet_the_original(golden, name, loss, eps):
    def summed(generated):
        return jax.vmap(lambda g, y: loss(g, y, eps))(generated, nhwc(golden["ref"])).sum()

    value, gradient = jax.jit(jax.value_and_grad(summed))(nhwc(golden["gen_lr"]))
    np.testing.assert_allclose(value, golden[f"{name}/eps{eps}/value"], rtol=1e-5)
    np.testing.assert_allclose(gradient, nhwc(golden[f"{name}/eps{eps}/grad"]), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("case", ["full", "small", "rand_norm"])
def test_geocross_meets_the_original(golden, case):
    summed = jax.value_and_grad(lambda w: jax.vmap(geocross)(w).sum())
    value, gradient = jax.jit(summed)(golden[f"geocross/{case}/latent"])
    expected = golden[f"geocross/{case}/grad"]
    np.testing.assert_allclose(value, golden[f"geocross/{case}/value"], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_geocross_of_tiled_rows_meets_the_original(golden):
    value = jax.jit(jax.vmap(geocross))(golden["geocross/tiled/latent"]).sum()
    np.testing.assert_allclose(value, golden["geocross/tiled/value"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("loss", "value"), [(l2, 0.25), (l1, 5.0)])
def test_above_eps_the_error_counts(loss, value):
    np.testing.assert_allclose(loss(image(0.75), image(0.25), 1e-3), value, rtol=1e-6)


@pytest.mark.parametrize(("loss", "floor"), [(l2, 0.01), (l1, 0.1)])
def test_below_eps_the_loss_is_flat(loss, floor):
    value, gradient = jax.value_and_grad(loss)(image(0.505), image(0.5), 0.01)
    np.testing.assert_allclose(value, floor, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("loss", [l2, l1])
def test_at_a_perfect_match_the_gradient_is_zero_even_without_eps(loss):
    value, gradient = jax.value_and_grad(loss)(image(0.5), image(0.5), 0.0)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("loss", [l2, l1])
def test_eps_may_be_traced(loss):
    many = jax.jit(jax.vmap(lambda eps: loss(image(0.5), image(0.5), eps)))(jnp.asarray([0.1, 0.2]))
    np.testing.assert_allclose(many[1] / many[0], 2.0, rtol=1e-6)


@pytest.mark.parametrize("loss", [l2, l1])
def test_a_nan_is_never_hidden_by_eps(loss):
    assert jnp.isnan(loss(image(0.5).at[0, 0, 0].set(jnp.nan), image(0.5), 1e3))


def test_a_nan_is_never_hidden_by_geocross():
    value, _ = geocross_and_gradient(jnp.ones((4, 8)).at[0, 0].set(jnp.nan))
    assert jnp.isnan(value)


@pytest.mark.parametrize("rows", [2, 5])
def test_geocross_of_orthogonal_rows(rows):
    # All angles are pi / 2 but those of the diagonal.
    expected = 512 / 8 * (np.pi / 2) ** 2 * (rows - 1) / rows
    np.testing.assert_allclose(jax.jit(geocross)(20.0 * jnp.eye(rows, 8)), expected, rtol=1e-5)


def test_geocross_of_opposite_rows():
    w = jnp.ones((2, 64)).at[1].set(-1.0)
    # sqrt(1e-9) stands for |wi + wj| = 0: the angle misses pi by 2 * 3.2e-5 / 16.
    np.testing.assert_allclose(jax.jit(geocross)(w), 512 / 8 * np.pi**2 / 2, rtol=1e-4)


def test_geocross_of_one_row_is_zero():
    value, gradient = jax.value_and_grad(geocross)(jnp.zeros((1, 16)))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize(
    "w",
    [
        np.zeros((4, 8)),
        np.ones((4, 8)),
        np.outer([1.0, -1.0, 1.0, -1.0], np.ones(8)),
        np.outer([1.0, 1.0, 0.0, 2.0], np.ones(8)),
        1e-20 * np.eye(4, 8),
        1e15 * np.eye(4, 8),
    ],
    ids=["zero", "equal", "opposite", "one zero", "tiny", "huge"],
)
def test_geocross_has_a_finite_gradient_everywhere(w):
    value, gradient = geocross_and_gradient(jnp.asarray(w, jnp.float32))
    assert jnp.isfinite(value)
    assert jnp.all(jnp.isfinite(gradient))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.25, 16.0, width=32))
def test_geocross_sees_angles_only(seed, scale):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((5, 16))
    rotation, _ = np.linalg.qr(rng.standard_normal((16, 16)))
    other = scale * (w @ rotation)[rng.permutation(5)]
    first, second = jax.jit(jax.vmap(geocross))(jnp.asarray([w, other], jnp.float32))
    np.testing.assert_allclose(first, second, rtol=1e-4)


@pytest.mark.parametrize("loss", [l2, l1])
def test_shapes_must_agree(unchecked, loss):
    with pytest.raises(ValueError, match=r"^target: expected shape \(4, 4, 3\) .* got \(4, 4, 1\)"):
        loss(image(0.5), image(0.5, (4, 4, 1)), 0.0)


def test_geocross_takes_a_matrix(unchecked):
    with pytest.raises(ValueError, match=r"^w: expected shape \(layers, latent_dim\), got \(2, 3, 4\)"):
        geocross(jnp.ones((2, 3, 4)))
