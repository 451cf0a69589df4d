"""Fitting a surrogate: exact where D∘G is linear, the same bits after a stop, errors that more learning lowers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import w_to_whitened
from pulse_jax.generators.priors.surrogate import approach, in_metric, with_jacobian
from pulse_jax.generators.priors.surrogate_fitting import fit_surrogate
from pulse_jax.images.degradations.bicubic import Bicubic
from tests.linear_networks import FACTOR, LAYERS, RESOLUTION, WIDTH, linear_generator
from tests.tiny_networks import searchable_generator

SMALL = {"directions": 50, "samples": 400, "steps": 60, "hidden": 8}


def fitted(generator, factor=FACTOR, **options):
    return fit_surrogate(generator, jax.random.key(0), factor=factor, **SMALL | options)


@pytest.fixture(scope="module")
def fit():
    return fitted(linear_generator(), coordinates=12, steps=400)


@pytest.mark.slow
def test_a_linear_generator_is_met(fit):
    """Twelve pixels of twelve numbers; the steps, which come from the least squares, leave some hundredths of it."""
    assert fit.evaluations == 450
    assert fit.kept == pytest.approx(1, abs=1e-5)
    assert fit.value_share < 1e-3 and fit.product_share < 1e-2
    generator = linear_generator()
    rows = jax.random.normal(jax.random.key(3), (LAYERS, WIDTH))
    picture = jnp.einsum("chwld,ld->hwc", generator.params, rows) + 0.5
    low, _ = with_jacobian(fit.surrogate, jnp.einsum("ld,ldk->k", rows, fit.surrogate.basis))
    expected = Bicubic(FACTOR).apply_float64(np.asarray(picture))
    np.testing.assert_allclose(low.reshape(2, 2, 3), expected, atol=0.05 * np.std(expected))


def test_the_coordinates_are_orthonormal_in_the_metric_which_is_that_of_mapped_w(fit):
    surrogate = fit.surrogate
    gram = np.einsum("ldk,ldq->kq", surrogate.basis, in_metric(surrogate.metric, surrogate.basis))
    np.testing.assert_allclose(gram, np.eye(12), atol=1e-3)
    generator = linear_generator()
    w = generator.map(jax.random.normal(jax.random.key(9), (50_000, WIDTH)))
    rows = np.asarray(w_to_whitened(w, generator.gaussian_fit), float)
    rows *= np.sqrt(WIDTH) / np.linalg.norm(rows, axis=1, keepdims=True)
    # Two draws of so many agree within some hundredths.
    np.testing.assert_allclose(surrogate.metric, np.cov(rows.T) + np.eye(WIDTH), atol=0.03)


def test_a_start_of_a_linear_generator_is_where_its_picture_downscales_to_the_input(fit):
    generator = linear_generator()
    goal, start = (
        x * np.sqrt(WIDTH) / jnp.linalg.norm(x, axis=-1, keepdims=True)
        for x in jax.random.normal(jax.random.key(4), (2, LAYERS, WIDTH))
    )

    def low(rows):
        picture = jnp.einsum("chwld,ld->hwc", generator.params, rows) + 0.5
        return Bicubic(FACTOR).apply_float64(np.asarray(picture))

    found = approach(fit.surrogate, start, jnp.asarray(low(goal), jnp.float32), RESOLUTION, steps=30, damping=1e-4)
    before, after = (np.mean((low(rows) - low(goal)) ** 2) for rows in (start, found))
    assert after < 0.02 * before


@pytest.mark.slow
def test_a_fit_that_was_stopped_goes_on_to_the_same_bits():
    generator = linear_generator()
    states = []

    def keep(what, state, done, total):
        states.append((what, done, [np.array(leaf) for leaf in jax.tree.leaves(state)]))

    whole = fitted(generator, coordinates=7, on_progress=keep)
    # In the midst of each part; the samples are some for which the first network was asked.
    for wanted in (("subspace", 32), ("samples", 312), ("learning", 55)):
        leaves = next(leaves for what, done, leaves in states if (what, done) == wanted)
        again = fitted(generator, coordinates=7, state=leaves)
        for one, other in zip(jax.tree.leaves(whole.surrogate), jax.tree.leaves(again.surrogate), strict=True):
            np.testing.assert_array_equal(one, other)
        assert again.product_share == whole.product_share
    with pytest.raises(ValueError, match=r"^state: expected the leaves of a fit with the same sizes"):
        fitted(generator, coordinates=6, state=states[0][2])


@pytest.mark.slow
def test_more_learning_lowers_the_held_out_errors_of_a_network_of_random_weights():
    generator = searchable_generator()
    short, long = (fitted(generator, factor=2, coordinates=24, steps=steps, samples=1500) for steps in (4, 400))
    assert 0 < long.value_share < short.value_share < 1
    assert 0 < long.product_share < short.product_share < 1
    assert 0.5 < long.kept < 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"samples": 100}, "samples: expected at least 128, got 100"),
        ({"steps": 3}, "steps: expected at least 4"),
        ({"coordinates": 13}, "coordinates: expected 1 to 12, the numbers of a latent, got 13"),
        ({"coordinates": 0}, "coordinates: expected 1 to 12"),
    ],
)
def test_numbers_out_of_range_are_refused(options, told):
    with pytest.raises(ValueError, match=f"^{told}"):
        fitted(linear_generator(), **{"coordinates": 4, **options})


def test_a_generator_that_draws_one_picture_is_refused():
    generator = linear_generator()
    still = Generator.from_function(
        lambda params, w, noise: jnp.full((RESOLUTION, RESOLUTION, 3), 0.5) + 0 * jnp.sum(w),
        {},
        resolution=RESOLUTION,
        latent_dim=WIDTH,
        num_layers=LAYERS,
        gaussian_fit=generator.gaussian_fit,
    )
    with pytest.raises(ValueError, match=r"^generator: expected low-resolution images that vary with w"):
        fitted(still, coordinates=4)
