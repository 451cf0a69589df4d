"""The Gaussian fit, the search spaces and the noise inputs."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from pulse_jax.generators.priors.gaussian import GaussianFit, fit_gaussian, w_to_whitened, whitened_to_w
from pulse_jax.objectives.regularizers import geocross
from pulse_jax.search.space import NOISE_KINDS, SPACES, init_noise, merge_noise, search_shape, to_w
from tests.golden_weights import load

SHAPES = ((4, 4, 1),) * 5 + ((8, 8, 1),) * 5


@pytest.fixture(scope="module")
def golden():
    return load("a_mapping")


@pytest.fixture(scope="module")
def key():
    return jax.random.key(7)


@pytest.fixture(scope="module")
def draws(key):
    """The samples (4096, 2) as `fit_gaussian` documents them: sample i comes from `fold_in(key, i)`."""
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (2,)))(jnp.arange(4096))


def lrelu(x, slope=0.2):
    return x * np.where(x >= 0, 1.0, slope)


def mapping_network(golden, xp=np):
    """StyleGAN1's mapping from its definition: pixel norm, then eight equalised dense layers with leaky ReLU."""

    def mapping(z):
        x = z / xp.sqrt(xp.mean(z**2, axis=-1, keepdims=True) + 1e-8)
        for i in range(8):
            weight, bias = (xp.asarray(golden[f"sd/dense{i}.{part}"]) for part in ("weight", "bias"))
            x = x @ (weight.T * (np.sqrt(2 / weight.shape[1]) * 0.01)) + bias * 0.01
            x = xp.where(x >= 0, x, 0.2 * x)
        return x

    return mapping


def affine(mean, std):
    """A mapping whose outputs are exactly N(mean, std^2) once their leaky ReLU is undone."""

    def mapping(z):
        x = z * std + mean
        return jnp.where(x >= 0, x, 0.2 * x)

    return mapping


def test_the_mapping_of_these_tests_is_the_original(golden):
    w = mapping_network(golden)(golden["z"])
    np.testing.assert_allclose(w, golden["w"], rtol=1e-4, atol=1e-5 * np.abs(golden["w"]).max())


def test_fit_meets_the_original(golden, key, draws):
    # `fit_gaussian` draws its own z; hand it the original's w, in order, by recognising each draw.
    assert len(golden["fit_z"]) == len(draws)
    w = jnp.asarray(mapping_network(golden)(golden["fit_z"]))

    def mapping(z):
        distance = jnp.sum(jnp.square(z[:, None] - draws), axis=-1)
        known = jnp.min(distance, axis=1, keepdims=True) < 1e-10
        return jnp.where(known, w[jnp.argmin(distance, axis=1)], jnp.nan)

    fit = fit_gaussian(mapping, key, 2, samples=4096, batch=1000)
    np.testing.assert_allclose(fit.mean, golden["fit_mean"], rtol=0, atol=1e-5 * golden["fit_std"].max())
    np.testing.assert_allclose(fit.std, golden["fit_std"], rtol=1e-5)


def test_fit_agrees_with_the_original_on_samples_of_our_own(golden, key):
    samples = 40_000
    fit = fit_gaussian(mapping_network(golden, jnp), key, 64, samples=samples, batch=8192)
    # Five standard errors of the difference; a standard deviation's own is smaller than a mean's for such data.
    error = golden["fit100k_std"] * np.sqrt(1 / samples + 1 / 100_000)
    assert np.all(np.abs(fit.mean - golden["fit100k_mean"]) < 5 * error)
    assert np.all(np.abs(fit.std - golden["fit100k_std"]) < 5 * error)


def test_fit_recovers_a_known_gaussian(key):
    samples = 50_000
    mean, std = np.array([-2.0, 0.0, 0.5, 30.0], np.float32), np.array([0.1, 1.0, 3.0, 10.0], np.float32)
    fit = fit_gaussian(affine(mean, std), key, 4, samples=samples, batch=4096)
    assert np.all(np.abs(fit.mean - mean) < 5 * std / np.sqrt(samples))
    assert np.all(np.abs(fit.std - std) < 5 * std / np.sqrt(2 * samples))
    assert fit.mean.dtype == fit.std.dtype == jnp.float32


@pytest.mark.parametrize(("samples", "batch"), [(2, 1), (100, 33), (50, 1000)])
def test_batches_join_to_the_moments_of_all_samples(key, draws, samples, batch):
    z = np.asarray(draws[:samples], np.float64)
    fit = fit_gaussian(affine(1.0, 2.0), key, 2, samples=samples, batch=batch)
    np.testing.assert_allclose(fit.mean, (z * 2 + 1).mean(axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fit.std, (z * 2 + 1).std(axis=0, ddof=1), rtol=1e-5)


def test_a_mean_far_from_zero_costs_no_digits(key, draws):
    # Sums of squares would lose the variance: 4096 has room for steps of 1 / 2048 in float32.
    z = np.round(np.asarray(draws[:500], np.float64) * 64) / 64
    fit = fit_gaussian(lambda z: jnp.round(z * 64) / 64 + 4096.0, key, 2, samples=500, batch=128)
    np.testing.assert_allclose(fit.mean, z.mean(axis=0) + 4096.0, rtol=1e-6)
    np.testing.assert_allclose(fit.std, z.std(axis=0, ddof=1), rtol=1e-5)


def test_fit_compiles_once_for_one_batch_whatever_the_width_of_w(key):
    seen = []

    def mapping(z):
        seen.append(z.shape)
        return jnp.concatenate([z, z], axis=-1)

    fit = fit_gaussian(mapping, key, 3, samples=1000, batch=128)
    assert seen == [(128, 3)]
    assert fit.mean.shape == fit.std.shape == (6,)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"latent_dim": 0}, "latent_dim: expected at least 1, got 0"),
        ({"samples": 1}, "samples: expected at least 2, got 1"),
        ({"batch": 0}, "batch: expected at least 1, got 0"),
        ({"mapping": lambda z: z.sum()}, r"mapping: expected outputs of shape \(4, d\) for z of \(4, 3\), got \(\)"),
        ({"mapping": lambda z: z * jnp.nan}, "mapping: expected finite outputs, got NaN or infinity"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(key, arguments, complaint):
    arguments = {"mapping": lambda z: z, "latent_dim": 3, "samples": 8, "batch": 4} | arguments
    with pytest.raises(ValueError, match=f"^{complaint}"):
        fit_gaussian(key=key, **arguments)


def test_mapped_latents_meet_the_original(golden):
    fit = GaussianFit(jnp.asarray(golden["fit100k_mean"]), jnp.asarray(golden["fit100k_std"]))
    w = whitened_to_w(jnp.asarray(golden["sphere_latent"]), fit)
    expected = golden["mapped_latent"]
    np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_whitening_has_an_inverse(seed):
    rng = np.random.default_rng(seed)
    u = jnp.asarray(rng.standard_normal((3, 8)), jnp.float32)
    fit = GaussianFit(jnp.asarray(rng.standard_normal(8)), jnp.asarray(rng.uniform(0.5, 2.0, 8)))
    w = whitened_to_w(u, fit)
    np.testing.assert_allclose(w, lrelu(np.asarray(u) * fit.std + fit.mean), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(w_to_whitened(w, fit), u, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("space", "shape"), [("z", (1, 8)), ("w", (1, 8)), ("w+", (6, 8)), ("w++", (20, 8))])
def test_search_shapes(space, shape):
    assert space in SPACES
    assert search_shape(space, 6, 8, 20) == shape


def test_filters_cannot_be_searched_where_there_are_none():
    with pytest.raises(ValueError, match=r"^space: expected a StyleGAN in space 'w\+\+'"):
        search_shape("w++", 6, 8)


@pytest.mark.parametrize("space", SPACES)
def test_to_w_by_hand(key, space):
    fit = GaussianFit(jnp.asarray([0.5, -1.0]), jnp.asarray([2.0, 3.0]))
    variable = jax.random.normal(key, search_shape(space, 4, 2, 10))

    def mapping(z):
        return 2 * z + 1

    rows, w = to_w(space, variable, mapping=mapping, fit=fit, num_layers=4, num_filters=10)
    u = np.asarray(variable)
    expected = 2 * u + 1 if space == "z" else lrelu(u * [2.0, 3.0] + [0.5, -1.0])
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    size = (10 if space == "w++" else 4, 2)
    assert w.shape == size
    np.testing.assert_array_equal(w, np.broadcast_to(rows, size))
    assert (geocross(rows) == 0) == (space in ("z", "w"))


def test_plain_coordinates_are_w_itself(key):
    variable = jax.random.normal(key, (1, 2))
    rows, w = to_w("w", variable, num_layers=4, coordinates="plain")
    np.testing.assert_array_equal(rows, variable)
    np.testing.assert_array_equal(w, np.broadcast_to(variable, (4, 2)))


def test_to_w_maps_over_lanes(key):
    fit = GaussianFit(jnp.zeros(3), jnp.ones(3))
    variables = jax.random.normal(key, (5, 1, 3))
    rows, w = jax.jit(jax.vmap(lambda u: to_w("w", u, fit=fit, num_layers=4)))(variables)
    assert rows.shape == (5, 1, 3)
    np.testing.assert_array_equal(w[2], to_w("w", variables[2], fit=fit, num_layers=4)[1])


@pytest.mark.parametrize(
    ("space", "shape", "complaint"),
    [
        ("W+", (4, 2), r"space: expected one of z, w, w\+, w\+\+, got 'W\+'"),
        ("w", (4, 2), r"variable: expected shape \(1, 2\) in space 'w', got \(4, 2\)"),
        ("w+", (1, 2), r"variable: expected shape \(4, 2\) in space 'w\+', got \(1, 2\)"),
        ("w+", (2,), r"variable: expected shape \(4, 2\) in space 'w\+', got \(2,\)"),
        ("z", (), r"variable: expected shape \(1, 1\) in space 'z', got \(\)"),
        ("z", (1, 2), "mapping: expected a mapping network in space 'z', got None"),
        ("w", (1, 2), "fit: expected a Gaussian fit in space 'w', got None"),
    ],
)
def test_to_w_refuses_by_name(unchecked, space, shape, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}"):
        to_w(space, jnp.zeros(shape), num_layers=4)


@pytest.mark.parametrize(
    ("kind", "trainable", "zeroed", "searched_layers", "zero_layers"),
    [
        ("trainable", 5, (9,), {0, 1, 2, 3, 4}, {9}),
        ("trainable", 5, (17,), {0, 1, 2, 3, 4}, set()),
        ("trainable", 3, (1, 8), {0, 2}, {1, 8}),
        ("trainable", 0, (), set(), set()),
        ("trainable", 99, (9,), set(range(9)), {9}),
        ("fixed", 5, (9,), set(), {9}),
        ("zero", 5, (9,), set(), set(range(10))),
        ("redrawn", 5, (9,), set(range(9)), {9}),
    ],
)
def test_which_noise_is_searched_and_which_is_zero(key, kind, trainable, zeroed, searched_layers, zero_layers):
    assert kind in NOISE_KINDS
    searched, fixed = init_noise(key, SHAPES, kind, trainable=trainable, zeroed=zeroed)
    assert len(fixed) == len(SHAPES)
    assert {layer for layer, noise in enumerate(fixed) if noise is None} == searched_layers
    assert [noise.shape for noise in searched] == [SHAPES[layer] for layer in sorted(searched_layers)]
    noise = merge_noise(searched, fixed)
    assert tuple(array.shape for array in noise) == SHAPES
    assert {layer for layer, array in enumerate(noise) if not array.any()} == zero_layers
    # A layer's noise is its own: it does not depend on the other layers or on the options.
    for layer in set(range(10)) - zero_layers:
        expected = jax.random.normal(jax.random.fold_in(key, layer), SHAPES[layer])
        np.testing.assert_array_equal(noise[layer], expected)


def test_noise_defaults_are_those_of_pulse(key):
    shapes = tuple((r, r, 1) for r in (1,) * 17 + (2,))
    searched, fixed = init_noise(key, shapes)
    assert len(searched) == 5
    assert fixed[17] is not None
    assert not fixed[17].any()


def test_only_searched_noise_is_differentiated_and_mapped(key):
    keys = jax.random.split(key, 3)
    searched, fixed = jax.jit(jax.vmap(lambda key: init_noise(key, SHAPES[:3], trainable=2)))(keys)
    assert [array.shape for array in jax.tree.leaves(searched)] == [(3, 4, 4, 1)] * 2

    def loss(searched, fixed):
        return sum(jnp.sum((layer + 1) * array) for layer, array in enumerate(merge_noise(searched, fixed)))

    gradient = jax.jit(jax.vmap(jax.grad(loss)))(searched, fixed)
    assert jax.tree.structure(gradient) == jax.tree.structure(searched)
    for layer, array in enumerate(gradient):
        np.testing.assert_array_equal(array, layer + 1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"kind": "random"}, "kind: expected one of zero, fixed, .*, normalized_first, redrawn, got 'random'"),
        ({"trainable": -1}, "trainable: expected at least 0 layers, got -1"),
        ({"zeroed": (3, -1)}, r"zeroed: expected layer indices of at least 0, got \(3, -1\)"),
    ],
)
def test_noise_options_are_refused_by_name(unchecked, key, arguments, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}"):
        init_noise(key, SHAPES, **arguments)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_searched_noise_must_fill_the_gaps(count):
    noise = jnp.zeros((4, 4, 1))
    with pytest.raises(ValueError, match=f"^searched: expected 2 noise arrays, .* got {count}"):
        merge_noise((noise,) * count, (None, noise, None))


def test_normalized_noise_has_mean_zero_and_variance_one(key):
    searched, fixed = init_noise(key, [(4, 4, 1), (8, 8, 1), (8, 8, 1)], "normalized", zeroed=(1,))
    assert [image is None for image in fixed] == [True, False, True]
    for image in searched:
        np.testing.assert_allclose(np.mean(image), 0.0, atol=1e-6)
        np.testing.assert_allclose(np.var(image), 1.0, rtol=1e-5)


def test_of_normalized_noise_the_first_may_be_searched(key):
    shapes = [(4, 4, 1), (8, 8, 1), (8, 8, 1)]
    whole, _ = init_noise(key, shapes, "normalized", zeroed=())
    searched, fixed = init_noise(key, shapes, "normalized_first", trainable=1, zeroed=(1,))
    assert len(searched) == 1 and fixed[0] is None
    np.testing.assert_array_equal(searched[0], whole[0])
    np.testing.assert_array_equal(fixed[1], jnp.zeros((8, 8, 1)))
    np.testing.assert_array_equal(fixed[2], whole[2])
