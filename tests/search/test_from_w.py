"""From a given w to what is searched, and back."""

import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.search import presets
from pulse_jax.search.space import from_w, latent_shape, mapped
from tests.tiny_networks import tiny_generator

GENERATOR = tiny_generator("stylegan2-8")
LAYERS, WIDTH = GENERATOR.num_layers, GENERATOR.latent_dim


def _w(rows):
    return jnp.asarray(np.random.default_rng(rows).standard_normal((rows, WIDTH)), jnp.float32)


def _free(**settings):
    """A search without a sphere, on which w need not lie."""
    return presets.pulse(geometry="euclidean", start="gaussian", **settings)


@pytest.mark.parametrize("coordinates", ["whitened", "plain"])
@pytest.mark.parametrize("rows", [1, LAYERS])
def test_a_search_of_all_layers_starts_where_w_is(rows, coordinates):
    config = _free(space="w+", coordinates=coordinates)
    found, w = mapped(GENERATOR, config, from_w(GENERATOR, config, _w(rows)))
    np.testing.assert_allclose(w, jnp.broadcast_to(_w(rows), (LAYERS, WIDTH)), atol=1e-5)
    np.testing.assert_array_equal(found, w)


def test_one_row_for_all_layers_is_their_mean():
    config = _free(space="w")
    _, w = mapped(GENERATOR, config, from_w(GENERATOR, config, _w(LAYERS)))
    np.testing.assert_allclose(w, np.tile(np.mean(_w(LAYERS), axis=0), (LAYERS, 1)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, LAYERS, GENERATOR.num_filters])
def test_every_filter_has_its_layers_row(rows):
    config = _free(space="w++")
    _, w = mapped(GENERATOR, config, from_w(GENERATOR, config, _w(rows)))
    noise = tuple(jnp.full(shape, 0.5) for shape in GENERATOR.noise_shapes)
    layers = _w(rows) if rows != 1 else jnp.broadcast_to(_w(1), (LAYERS, WIDTH))
    assert w.shape == (GENERATOR.num_filters, WIDTH)
    # The generator itself says which layer a filter belongs to.
    expected = GENERATOR.synthesize(layers, noise)
    np.testing.assert_allclose(GENERATOR.synthesize(w, noise), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_what_lies_on_a_sphere_is_the_nearest_point_of_it():
    config = presets.pulse(space="w+")
    latent = from_w(GENERATOR, config, _w(LAYERS))
    free = from_w(GENERATOR, _free(space="w+"), _w(LAYERS))
    norms = np.linalg.norm(free, axis=1, keepdims=True)
    np.testing.assert_allclose(latent, free * np.sqrt(WIDTH) / norms, rtol=1e-5)


def test_offsets_to_blocks_are_zero():
    config = presets.ilo()
    generator = tiny_generator("stylegan2-16")
    w = jnp.ones((generator.num_layers, generator.latent_dim))
    latent = from_w(generator, config, w)
    assert latent.shape == latent_shape(generator, config) and len(latent) > len(w)
    assert np.any(latent[: len(w)]) and not np.any(latent[len(w) :])


@pytest.mark.parametrize(
    ("space", "rows", "message"),
    [
        ("z", LAYERS, "space: expected a search of w, got 'z'"),
        ("w+", GENERATOR.num_filters, rf"w: expected shape \({LAYERS}, {WIDTH}\)"),
        ("w", 2, rf"w: expected shape \({LAYERS}, {WIDTH}\), got \(2, {WIDTH}\)"),
    ],
)
def test_what_leads_nowhere_is_told(space, rows, message):
    assert rows not in (1, LAYERS) or space == "z"
    with pytest.raises(ValueError, match=message):
        from_w(GENERATOR, presets.pulse(space=space), _w(rows))
