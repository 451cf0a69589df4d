"""How usual samples are: shares against mathematics, the network against JAX's convolutions, the fit and its folder."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks import oddness as network
from pulse_jax.generators.priors.flow import Flow, forward, init_blocks
from pulse_jax.generators.priors.plausibility import QUANTILES, fit_distribution, root_mean_norm, share_beyond
from pulse_jax.generators.priors.plausibility_fitting import draw_samples, fit_plausibility
from tests.tiny_networks import tiny_generator


def test_shares_are_those_of_a_known_distribution():
    uniform = np.linspace(0, 1, QUANTILES)
    for value, share in ((-1, 100), (0, 100), (0.25, 75), (0.99, 1), (1, 0), (7, 0), (np.nan, 0), (np.inf, 0)):
        assert share_beyond(uniform, float(value)) == pytest.approx(share)
    exponential = -np.log(1 - np.linspace(0, 0.9999, QUANTILES))
    for value in (0.1, 1.0, 3.0):
        assert share_beyond(exponential, value) == pytest.approx(100 * np.exp(-value), abs=0.1)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=2), st.integers(0, 5))
def test_what_is_odder_is_never_more_plausible(values, seed):
    known = np.quantile(np.random.default_rng(seed).standard_normal(50), np.linspace(0, 1, QUANTILES))
    near, far = sorted(values)
    assert 0 <= share_beyond(known, far) <= share_beyond(known, near) <= 100


@pytest.mark.parametrize("count", [200, 4000])
def test_own_samples_are_spread_evenly_however_few_were_fitted(count):
    drawn = {name: np.random.default_rng((name == "oddness", 0)) for name in ("oddness", "norms")}
    fit = fit_distribution(drawn["oddness"].gumbel(size=count), drawn["norms"].exponential(size=count))
    fresh = {"oddness": drawn["oddness"].gumbel(size=2000), "norms": drawn["norms"].exponential(size=2000)}
    # What two samples of one distribution may differ by (Kolmogorov and Smirnov), and half a step of the quantiles.
    largest = scipy.stats.kstwobign.ppf(0.999) * np.sqrt(1 / 2000 + 1 / count) + 0.5 / QUANTILES
    for name, values in fresh.items():
        shares = np.array([share_beyond(getattr(fit, name), float(value)) for value in values])
        assert scipy.stats.kstest(shares, "uniform", (0, 100)).statistic < largest
        assert np.mean(shares < 1) < 0.01 + 4 * np.sqrt(0.01 * (1 / 2000 + 1 / count))


def test_samples_that_are_too_few_or_not_finite_are_refused():
    with pytest.raises(ValueError, match="expected at least 200, got 199"):
        fit_distribution(np.zeros(199), None)
    with pytest.raises(ValueError, match="expected finite"):
        fit_distribution(np.zeros(200), np.full(200, np.inf))
    assert fit_distribution(np.zeros(200), None).norms is None


def small_flow(d):
    blocks = jax.tree.map(lambda a: a + 0.1, init_blocks(jax.random.key(0), 2, 5, d))
    return Flow(jnp.ones(d), jnp.full(d, 2.0), None, blocks, jnp.ones((2, d)), jnp.zeros((2, d)))


def test_the_norm_is_the_root_mean_square_of_the_rows_norms():
    flow, w = small_flow(6), jax.random.normal(jax.random.key(1), (3, 4, 6))
    rows = np.linalg.norm(np.asarray(forward(flow, w)[0], float), axis=-1)
    np.testing.assert_allclose(root_mean_norm(flow, w), np.sqrt(np.mean(rows**2, axis=1)), rtol=1e-5)
    # What the mapping network makes has the same row in every layer.
    same = jnp.broadcast_to(w[0, :1], (4, 6))
    np.testing.assert_allclose(root_mean_norm(flow, same), rows[0, 0], rtol=1e-5)


def test_the_network_is_that_of_jaxs_convolutions():
    weights = network.load_weights()
    assert {name: array.shape for name, array in weights.items()} == network.weight_shapes()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    folded = pictures.reshape(2, 32, 2, 32, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 32, 32, 12)
    rows, columns = np.meshgrid(np.linspace(-1, 1, 32), np.linspace(-1, 1, 32), indexing="ij")
    places = np.broadcast_to(np.stack([rows, columns], axis=-1), (2, 32, 32, 2))
    x = np.concatenate([2 * (folded / 255) - 1, places], axis=-1)
    for layer, halved in enumerate((False, True, True, False)):
        if halved:
            x = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        bias = jnp.asarray(weights[f"bias_{layer}"], jnp.float32)
        kernel = jnp.asarray(weights[f"kernel_{layer}"].reshape(3, 3, -1, len(bias)), jnp.float32)
        x = jax.lax.conv_general_dilated(
            jnp.asarray(x, jnp.float32), kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.leaky_relu(x + bias, 0.2)
    assert x.shape == (2, 8, 8, 64)
    features = np.concatenate([x[..., :32].max(axis=(1, 2)), x[..., 32:].mean(axis=(1, 2))], axis=-1)
    shares = np.asarray(jax.nn.softmax(features @ weights["kernel_outputs"] + weights["bias_outputs"]))
    expected = np.log((1 - shares[:, 0]) / shares[:, 0])
    # Products of some hundred terms in float32, of values up to some tens.
    np.testing.assert_allclose([network.oddness(picture) for picture in pictures], expected, rtol=1e-3, atol=1e-3)


def test_pictures_of_other_sizes_are_seen_by_their_areas():
    small = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    assert network.oddness(large) == network.oddness(small)
    assert network.oddness(np.full((4, 4, 3), 77, np.uint8)) == network.oddness(np.full_like(small, 77))


def test_a_fit_goes_on_from_its_state_and_depends_on_no_batch():
    generator = tiny_generator(contrast=0.1)
    states = []
    whole = fit_plausibility(
        generator, jax.random.key(3), samples=204, on_progress=lambda state, done, total: states.append((state, done))
    )
    assert [done for _, done in states] == [*range(8, 204, 8), 204]
    again = fit_plausibility(generator, jax.random.key(3), samples=204, state=states[10][0])
    jax.tree.map(np.testing.assert_array_equal, again, whole)
    assert whole.norms is None
    pictures, norms = draw_samples(generator, jax.random.key(3), jnp.arange(8))
    others, _ = draw_samples(generator, jax.random.key(3), jnp.arange(5, 13))
    np.testing.assert_array_equal(pictures[5:], others[:3])
    assert pictures.shape == (8, 8, 8, 3) and not norms.any()


def test_it_is_kept_in_the_generators_folder_and_another_flow_drops_the_norms(tmp_path):
    generator = tiny_generator(contrast=0.1)
    flow = small_flow(generator.latent_dim)
    rng = np.random.default_rng(0)
    fit = fit_distribution(rng.standard_normal(200), rng.exponential(size=200))
    fitted = dataclasses.replace(generator.with_flow(flow), plausibility=fit)
    for name, known in (("both", fit), ("pictures", fit._replace(norms=None))):
        dataclasses.replace(fitted, plausibility=known).save(tmp_path / name, dtype="float16")
        found = Generator.load(tmp_path / name).plausibility
        assert found is not None
        jax.tree.map(np.testing.assert_array_equal, found, known)
    again = fitted.with_flow(flow).plausibility
    assert again is not None and again.norms is None
    assert generator.with_flow(flow).plausibility is None
