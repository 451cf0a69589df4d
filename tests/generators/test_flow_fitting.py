"""Fitting a flow: known densities recovered, early stopping, and going on where it ended."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.priors.flow import MOST_LOG_SCALE, forward, inverse, log_prob
from pulse_jax.generators.priors.flow_fitting import _program_blocks, fit_flow
from pulse_jax.generators.priors.moments import draw_latents
from pulse_jax.generators.priors.principal import fit_principal

QUICK = {"hidden": 24, "blocks": 2, "samples": 4000, "batch": 100, "learning_rate": 5e-3, "epochs": 3}
LOG_2PI = np.log(2 * np.pi)


def gaussian(z):
    """Correlated, far from 0 and of unequal scales."""
    return jnp.stack([z[..., 0] + 5, 0.01 * (0.8 * z[..., 0] + 0.6 * z[..., 1]), z[..., 2] - z[..., 1]], axis=-1)


def gaussian_log_prob(z):
    # The map's determinant is 0.01 · 0.6 · 1.
    return -0.5 * jnp.sum(z**2, axis=-1) - 1.5 * LOG_2PI - np.log(0.006)


def warped(z):
    """A bent, funnel-shaped density: the second dimension's spread and place depend on the first."""
    return jnp.stack([z[..., 0], jnp.exp(0.5 * z[..., 0]) * z[..., 1] + z[..., 0] ** 2], axis=-1)


def warped_log_prob(z):
    return -0.5 * jnp.sum(z**2, axis=-1) - LOG_2PI - 0.5 * z[..., 0]


def fit(mapping=warped, width=2, **changes):
    return fit_flow(mapping, jax.random.key(0), width, **{**QUICK, **changes})


@pytest.fixture(scope="module")
def whole():
    states = []
    return fit(on_progress=lambda state, steps: states.append((state, steps))), states


def bent(z):
    """The same before its leaky ReLU, as a mapping network has one."""
    return jax.nn.leaky_relu(gaussian(z) - jnp.asarray([5.0, 0.0, 0.0]), 0.2)


def bent_log_prob(z):
    return gaussian_log_prob(z) + np.log(5) * jnp.sum(bent(z) < 0, axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mapping", "truth", "principal"), [(gaussian, gaussian_log_prob, False), (bent, bent_log_prob, True)]
)
def test_a_known_gaussian_is_recovered(mapping, truth, principal):
    start = fit_principal(mapping, jax.random.key(5), 3, samples=20_000) if principal else None
    found = fit(mapping, 3, principal=start, epochs=8)
    z = jax.random.normal(jax.random.key(9), (4000, 3))
    error = log_prob(found.flow, mapping(z)) - truth(z)
    assert -0.05 < np.mean(error) < 0.05
    u, _ = forward(found.flow, mapping(z))
    np.testing.assert_allclose(np.cov(u.T), np.eye(3), atol=0.12)


@pytest.mark.slow
def test_a_known_warped_density_is_recovered():
    flow = fit(samples=20_000, epochs=10, blocks=3).flow
    z = jax.random.normal(jax.random.key(9), (4000, 2))
    w = warped(z)
    error = log_prob(flow, w) - warped_log_prob(z)
    gauss = np.cov(w.T)
    best_gaussian = -0.5 * (2 + 2 * LOG_2PI + np.linalg.slogdet(gauss)[1])
    # A Gaussian's mean log likelihood is lower by 0.6, and the flow takes nearly all of that.
    assert np.mean(warped_log_prob(z)) - best_gaussian > 0.5
    assert -0.06 < np.mean(error) < 0.06 and np.mean(np.abs(error)) < 0.2
    # Drawing from the flow gives the density's own quantiles.
    drawn = inverse(flow, jax.random.normal(jax.random.key(11), (4000, 2)))
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    for column in (0, 1):
        np.testing.assert_allclose(
            np.quantile(drawn[:, column], quantiles), np.quantile(w[:, column], quantiles), atol=0.2
        )


def test_the_held_out_likelihood_is_that_of_samples_not_learned_from(whole):
    found, _ = whole
    # As documented: the key's first third draws the samples, the last tenth of them is held out.
    key = jax.random.split(jax.random.key(0), 3)[0]
    w = warped(draw_latents(key, jnp.arange(3600, 4000, dtype=jnp.uint32), 2))
    np.testing.assert_allclose(found.log_prob, log_prob(found.flow, w).mean(), rtol=1e-5)
    assert found.log_prob == found.history[:, 1].max() == found.history[found.epoch - 1, 1]


def test_the_statistics_are_exactly_those_of_the_training_samples():
    # A rate of 0 learns nothing: gains are 1 and offsets 0, so every block ends in mean 0 and deviation 1.
    found = fit(learning_rate=0.0, epochs=1)
    w = warped(draw_latents(jax.random.split(jax.random.key(0), 3)[0], jnp.arange(3600, dtype=jnp.uint32), 2))
    u, _ = forward(found.flow, w)
    np.testing.assert_allclose(np.mean(u, axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.std(u, axis=0), 1, atol=1e-4)


def test_a_fit_goes_on_as_if_it_had_never_stopped(whole):
    found, states = whole
    steps = states[0][1]
    assert steps == 36 and [int(state.step) for state, _ in states] == [36, 72, 108]
    middle = jax.tree.map(np.asarray, jax.tree.leaves(states[0][0]))
    again = fit(state=middle)
    for one, other in zip(jax.tree.leaves(again.flow), jax.tree.leaves(found.flow), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.history, found.history)


def test_it_stops_when_nothing_is_gained_and_keeps_the_best():
    # A rate of 0 gains nothing after the first epoch.
    found = fit(learning_rate=0.0, epochs=None, patience=2)
    assert found.epoch == 1 and len(found.history) == 3


def test_a_finished_state_gives_the_fit_again(whole):
    found, states = whole
    again = fit(state=jax.tree.leaves(states[-1][0]))
    assert again.log_prob == found.log_prob and again.epoch == found.epoch


def test_a_direction_of_hardly_any_variance_costs_nothing_else():
    def mapping(z):
        return jax.nn.leaky_relu(jnp.stack([z[..., 0], z[..., 0] + 1e-5 * z[..., 1]], axis=-1), 0.2)

    start = fit_principal(mapping, jax.random.key(5), 2, samples=5000)
    assert start.std[1] == 0
    found = fit(mapping, principal=start)
    assert np.isfinite(found.log_prob)
    u, _ = forward(found.flow, mapping(jax.random.normal(jax.random.key(9), (4000, 2))))
    np.testing.assert_allclose(np.std(np.asarray(u), axis=0)[0], 1, atol=0.1)


def test_a_mapping_without_a_density_is_refused():
    with pytest.raises(ValueError, match="expected every dimension of w to vary, 1 of 2 do not"):
        fit(lambda z: z * jnp.asarray([1.0, 0.0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": 0}, "hidden: expected at least 1, got 0"),
        ({"patience": 0}, "patience: expected at least 1, got 0"),
        ({"samples": 19}, "samples: expected at least 20"),
        ({"batch": 3601}, "samples: expected at least 20, and a batch of 3601"),
        ({"learning_rate": 1e30}, "learning_rate: the likelihood diverged"),
        ({"state": [np.zeros(3)]}, "state: expected the leaves of a fit with the same sizes"),
        ({"state": []}, "state: expected the leaves of a fit with the same sizes"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        fit(**changes)


def sheet(z):
    """Before its leaky ReLU two dimensions that nearly agree: a band about 0.01 wide."""
    return jax.nn.leaky_relu(jnp.stack([z[..., 0], z[..., 0] + 0.01 * z[..., 1]], axis=-1), 0.2)


@pytest.mark.slow
def test_noise_makes_a_thin_density_smooth_and_a_radial_map_sets_the_norms_right():
    """With noise s, a Gaussian of covariance C becomes one of C + s², seen through the likeliest gain and power."""
    start = fit_principal(sheet, jax.random.key(5), 2, samples=20_000)
    found = fit(sheet, 2, principal=start, noise=0.2, epochs=8, samples=8000).flow
    covariance = np.array([[1.0, 1.0], [1.0, 1.0001]])
    widened = covariance + 0.2**2 * np.trace(covariance) / 2 * np.eye(2)
    # Up to a turn, what the blocks make of a vector v of the sheet is widened^(-1/2) v.
    drawn = np.random.default_rng(4).multivariate_normal(np.zeros(2), covariance, size=50_000)
    log_norms = 0.5 * np.log(np.einsum("ni,ij,nj->n", drawn, np.linalg.inv(widened), drawn))

    def gain_of(power):
        return np.sqrt(2 / np.mean(np.exp(2 * power * log_norms)))

    def likelihood(power):  # of the drawn vectors, less what no power changes
        return 2 * np.log(gain_of(power)) + np.log(power) + 2 * power * log_norms.mean()

    powers = np.geomspace(0.2, 5, 2001)
    power = powers[np.argmax([likelihood(power) for power in powers])]
    gain = gain_of(power)
    assert power < 0.9
    np.testing.assert_allclose(found.radial, [gain, power], rtol=0.05)
    w = sheet(draw_latents(jax.random.key(6), jnp.arange(2000, dtype=jnp.uint32), 2))
    u, _ = forward(found, w)
    np.testing.assert_allclose(jnp.mean(jnp.square(u)), 1.0, atol=0.05)
    # Beside the sheet, half a standard deviation off, where the density without noise is e^(-1250) of what it is on it.
    off = np.asarray([[0.5, -0.2], [1.0, 0.5], [-0.1, 0.05]])
    o = np.where(off < 0, 5 * off, off)
    norm = np.sqrt(np.einsum("ni,ij,nj->n", o, np.linalg.inv(widened), o))
    truth = -0.5 * gain**2 * norm ** (2 * power) + 2 * np.log(gain * norm ** (power - 1)) + np.log(power) - LOG_2PI
    truth += -0.5 * np.linalg.slogdet(widened)[1] + np.log(5) * np.sum(off < 0, axis=1)
    np.testing.assert_allclose(log_prob(found, jnp.asarray(off, jnp.float32)), truth, rtol=0.15, atol=0.3)


@pytest.mark.slow
def test_a_fit_with_noise_goes_on_as_if_it_had_never_stopped():
    start = fit_principal(sheet, jax.random.key(5), 2, samples=20_000)
    states = []
    whole = fit(sheet, 2, principal=start, noise=0.2, epochs=2, on_progress=lambda state, _: states.append(state))
    for state in (states[0], states[-1]):
        again = fit(sheet, 2, principal=start, noise=0.2, epochs=2, state=jax.tree.leaves(state))
        jax.tree.map(np.testing.assert_array_equal, again.flow, whole.flow)


def test_negative_noise_is_refused():
    with pytest.raises(ValueError, match=r"^noise: expected 0 or more, got -0\.1"):
        fit(noise=-0.1)


@pytest.mark.slow
def test_the_programs_own_flow_is_fitted():
    """Unbounded scales, its order of hidden units, orthogonal first weights; what is no weight stays as it is."""
    states = []
    found = fit(epochs=6, program=True, on_progress=lambda state, steps: states.append(state))
    blocks = found.flow.blocks
    assert found.flow.is_srls
    np.testing.assert_array_equal(blocks["degrees"], np.zeros((2, 24)))  # of two dimensions, only the first is read
    np.testing.assert_array_equal(blocks["limit"], np.full(2, MOST_LOG_SCALE))
    assert "limit" not in states[0].parameters["blocks"]
    z = jax.random.normal(jax.random.key(9), (2000, 2))
    truth = float(jnp.mean(warped_log_prob(z)))
    assert truth - 0.15 < float(jnp.mean(log_prob(found.flow, warped(z)))) < truth + 0.15
    again = fit(epochs=6, program=True, state=jax.tree.leaves(states[len(states) // 2]))
    for one, other in zip(jax.tree.leaves(found.flow), jax.tree.leaves(again.flow), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_programs_first_weights_are_orthogonal_where_they_are_not_masked():
    made = _program_blocks(jax.random.key(0), 3, 12, 5)
    np.testing.assert_array_equal(made["degrees"], np.tile(np.arange(12) % 4, (3, 1)))
    # Hidden units of the highest degree read all others.
    second = np.asarray(made["weight_2"])
    top = second[:, :, np.arange(12) % 4 == 3]
    np.testing.assert_allclose(np.einsum("kio,kip->kop", top, top), np.tile(np.eye(3), (3, 1, 1)), atol=1e-5)
    assert made["weight_mean"].shape == made["weight_log_scale"].shape == (3, 12, 5)
    assert np.all(np.asarray(made["bias_1"]) == 0)
