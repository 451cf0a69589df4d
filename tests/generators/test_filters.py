"""A style for every filter (W++), and offsets to blocks' outputs, in both StyleGANs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny_networks import tiny_generator

KINDS = ["stylegan1-16", "stylegan2-8"]


def _inputs(generator, seed=0):
    w = jax.random.normal(jax.random.key(seed), (2, generator.num_layers, generator.latent_dim))
    noise = tuple(
        jax.random.normal(jax.random.key(10 + i), (2, *shape)) for i, shape in enumerate(generator.noise_shapes)
    )
    return w, noise


def _per_filter(generator, w):
    return jnp.repeat(w, np.asarray(generator.config.filters), axis=1, total_repeat_length=generator.num_filters)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_filters_of_one_style_are_its_layer(kind):
    generator = tiny_generator(kind)
    w, noise = _inputs(generator)
    wide = _per_filter(generator, w)
    assert wide.shape == (2, generator.num_filters, generator.latent_dim)

    @jax.jit
    def image(rows):
        return generator.synthesize(rows, noise)

    expected = image(w)
    np.testing.assert_allclose(image(wide), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    cotangent = jax.random.normal(jax.random.key(5), expected.shape)
    gradient = jax.jit(jax.grad(lambda rows: jnp.vdot(image(rows), cotangent)))
    ends = np.cumsum(generator.config.filters)
    by_layer = np.stack([np.sum(part, 1) for part in np.split(gradient(wide), ends[:-1], axis=1)], axis=1)
    expected = gradient(w)
    np.testing.assert_allclose(by_layer, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_every_filter_listens_to_its_own_row_only():
    """At 4×4, StyleGAN2's colours are three filters: the row of one changes that colour and no other."""
    generator = tiny_generator("stylegan2-4")
    w, noise = _inputs(generator)
    wide = _per_filter(generator, w)
    before = generator.synthesize(wide, noise)
    for colour in range(3):
        changed = generator.synthesize(wide.at[:, -3 + colour].add(1.0), noise) != before
        assert list(np.any(changed, axis=(0, 1, 2))) == [place == colour for place in range(3)]


def test_stylegan1_filters_listen_to_their_own_rows_only():
    generator = tiny_generator("stylegan1-4")
    w, noise = _inputs(generator)
    wide = _per_filter(generator, w)
    weights = generator.params["synthesis"]["torgb_kernel"][0, 0]
    before = generator.synthesize(wide, noise)
    for channel in (0, 6):
        # The last layer's channels reach the image through one matrix, so that a change lies along one of its rows.
        row = generator.num_filters - 7 + channel
        change = np.asarray(generator.synthesize(wide.at[:, row].add(1.0), noise) - before).reshape(-1, 3)
        unit = np.asarray(weights[channel]) / np.linalg.norm(weights[channel])
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(change, np.outer(change @ unit, unit), atol=1e-4 * np.abs(change).max())


def test_an_offset_is_added_to_its_blocks_output():
    """At 4×4 what follows the block is a matrix from channels to colours, so that the change is known by hand."""
    generator = tiny_generator("stylegan1-4")
    w, noise = _inputs(generator)
    offset = jax.random.normal(jax.random.key(3), (2, *generator.block_shape(0)))
    change = generator.synthesize(w, noise, offsets={0: offset}) - generator.synthesize(w, noise)
    colours = np.asarray(generator.params["synthesis"]["torgb_kernel"])[0, 0] / 7**0.5
    np.testing.assert_allclose(change, 0.5 * np.asarray(offset) @ colours, atol=1e-4)

    generator = tiny_generator("stylegan2-4")
    w, noise = _inputs(generator)
    offset = jax.random.normal(jax.random.key(3), (2, *generator.block_shape(0)))
    change = generator.synthesize(w, noise, offsets={0: offset}) - generator.synthesize(w, noise)
    layer = jax.tree.map(np.asarray, generator.params["synthesis"]["b4_torgb"])
    style = (np.asarray(w[:, 1]) @ layer["style"]["weight"] / 3**0.5 + layer["style"]["bias"]) / 5**0.5
    colours = style[:, :, None] * layer["kernel"][0, 0]
    np.testing.assert_allclose(change, 0.5 * np.einsum("nhwc,nco->nhwo", offset, colours), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_offsets_of_zero_change_nothing_and_of_one_every_block_reaches_the_image(kind):
    generator = tiny_generator(kind)
    w, noise = _inputs(generator)
    before = generator.synthesize(w, noise)
    for block in range(len(generator.config.blocks)):
        shape = (2, *generator.block_shape(block))
        np.testing.assert_array_equal(generator.synthesize(w, noise, offsets={block: jnp.zeros(shape)}), before)
        some = jax.random.normal(jax.random.key(3), shape)
        assert np.all(np.any(generator.synthesize(w, noise, offsets={block: some}) != before, axis=(1, 2, 3)))


def test_offsets_and_rows_of_another_shape_are_refused(unchecked):
    generator = tiny_generator("stylegan2-8")
    w, noise = _inputs(generator)
    with pytest.raises(ValueError, match=r"^offsets: expected \(8, 8, 6\) of block 1, got \(2, 4, 4, 6\)"):
        generator.synthesize(w, noise, offsets={1: jnp.zeros((2, 4, 4, 6))})
    with pytest.raises(ValueError, match=r"^block: this generator has no block 2$"):
        generator.synthesize(w, noise, offsets={2: jnp.zeros((2, 4, 4, 6))})
    with pytest.raises(ValueError, match=r"^w: expected shape"):
        generator.synthesize(jnp.zeros((2, generator.num_filters + 1, generator.latent_dim)), noise)
