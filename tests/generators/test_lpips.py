"""LPIPS: against the authors' program and a restatement in float64, and where it takes part in searches."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from pulse_jax.engine import stream
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks import lpips as perceptual
from pulse_jax.generators.networks.lpips import Perceptual, lpips, vgg_error
from pulse_jax.generators.priors.bundle import MissingPrior
from pulse_jax.search import presets
from pulse_jax.search.requirements import admissible_sizes
from tests import drawn_networks
from tests.golden_weights import drawn, load
from tests.tiny_networks import perceptual_arrays, tiny_perceptual

# Places among VGG16's layers, of which those after a convolution are its ReLU: `M` in "very deep" configuration D.
LAYERS = ["C", "C", "M", "C", "C", "M", "C", "C", "C", "M", "C", "C", "C", "M", "C", "C", "C"]
TAPPED = (1, 4, 8, 12, 16)
distance = jax.jit(lpips)
with_gradient = jax.jit(jax.value_and_grad(lpips, argnums=1))


def pictures(height, width=None, seed=0):
    return np.random.default_rng(seed).random((2, height, width or height, 3))


def restated(pair, seed=0):
    """LPIPS in float64, channels first, one convolution and one window at a time."""
    network, heads = perceptual_arrays(seed=seed)
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    taps = []
    for picture in pair:
        x = ((2 * picture - 1 - shift) / scale).transpose(2, 0, 1)
        kernels = iter([array for key, array in network.items() if key.endswith("weight")])
        biases = iter([array for key, array in network.items() if key.endswith("bias")])
        seen = []
        for place, layer in enumerate(LAYERS):
            if layer == "M":
                rows, columns = x.shape[1] // 2, x.shape[2] // 2
                windows = [x[:, a : 2 * rows : 2, b : 2 * columns : 2] for a in (0, 1) for b in (0, 1)]
                x = np.max(windows, axis=0)
            else:
                padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
                sums = [correlate(padded, kernel.astype(float), "valid")[0] for kernel in next(kernels)]
                x = np.maximum(np.stack(sums) + next(biases)[:, None, None], 0)
            if place in TAPPED:
                seen.append(x / (np.linalg.norm(x, axis=0) + 1e-10))
        taps.append(seen)
    return sum(
        np.mean(np.einsum("c,chw->hw", head.reshape(-1), (one - other) ** 2))
        for one, other, head in zip(*taps, heads.values(), strict=True)
    )


@pytest.mark.parametrize("size", [16, 33, 40])
def test_values_and_gradients_are_the_authors_programs(size):
    """At 33 pixels halving leaves out a row and a column, more than once."""
    golden = load("methods/lpips")
    x, y = (np.float32(0.5) + np.float32(0.25) * drawn((size, size, 3), 2060, size, i) for i in (0, 1))
    value, gradient = with_gradient(drawn_networks.perceptual(), x, y)
    np.testing.assert_allclose(value, golden[f"value_{size}"], rtol=1e-5)
    assert drawn_networks.apart(gradient, golden[f"gradient_{size}"]) < 1e-4


def test_the_mean_error_of_features_is_that_of_pictures_of_256(monkeypatch):
    """LPIPS over the number of features, of pictures whose pixels were repeated, or of their areas' means."""
    monkeypatch.setattr(perceptual, "LARGEST_SIDE", 32)
    network = tiny_perceptual()
    count = sum(width * (32 >> block) ** 2 for block, width in enumerate((4, 5, 6, 6, 4)))
    error = jax.jit(lambda *inputs: vgg_error(*inputs))  # compiled afresh: programs hold the side
    small, large = pictures(8), pictures(64)
    repeated = small.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(error(network, *small.astype(np.float32)) * count, restated(repeated), rtol=1e-5)
    means = large.reshape(2, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(error(network, *large.astype(np.float32)) * count, restated(means), rtol=1e-5)


def test_the_real_network_has_as_many_features_as_is_said():
    """Of VGG16's own widths, at 256×256: BRGM's weight of 10⁷ is 1.25 times LPIPS."""
    widths = (64, 128, 256, 512, 512)
    assert sum(width * (256 >> block) ** 2 for block, width in enumerate(widths)) == 7_995_392
    assert "7,995,392" in str(vgg_error.__doc__)


@pytest.mark.parametrize("size", [(16, 16), (19, 22)], ids=str)
def test_equals_the_restatement(size):
    pair = pictures(*size)
    np.testing.assert_allclose(distance(tiny_perceptual(), *pair.astype(np.float32)), restated(pair), rtol=1e-5)


def test_equal_pictures_are_at_no_distance_and_order_does_not_matter():
    x, y = pictures(16).astype(np.float32)
    value, gradient = with_gradient(tiny_perceptual(), x, x)
    assert value == 0
    np.testing.assert_allclose(gradient, 0.0, atol=1e-7)
    assert distance(tiny_perceptual(), x, y) == distance(tiny_perceptual(), y, x) > 0


def test_pixels_without_any_feature_have_a_finite_gradient():
    network = tiny_perceptual()
    dead = network._replace(biases=(network.biases[0] - 100.0, *network.biases[1:]))
    x, y = pictures(16).astype(np.float32)
    _, gradient = with_gradient(dead, x, y)
    np.testing.assert_array_equal(gradient, 0.0)
    # Of one picture none, of the other some.
    few = network._replace(biases=(network.biases[0] - 1.0, *network.biases[1:]))
    value, gradient = with_gradient(few, jnp.full((16, 16, 3), 0.47), y)
    assert value > 0 and jnp.all(jnp.isfinite(gradient))


def test_lanes_are_independent():
    x, y = pictures(16, seed=1).astype(np.float32), pictures(16, seed=2).astype(np.float32)
    network = tiny_perceptual()
    many = jax.jit(jax.vmap(lpips, in_axes=(None, 0, 0)))(network, x, y)
    np.testing.assert_allclose(many, [distance(network, *pair) for pair in zip(x, y, strict=True)], rtol=1e-5)


def test_large_pictures_are_brought_down_to_256_by_means_of_areas(monkeypatch):
    monkeypatch.setattr(perceptual, "LARGEST_SIDE", 16)
    network = tiny_perceptual()
    large = pictures(48, 16)
    small = large.reshape(2, 16, 3, 16, 3).mean(axis=2)
    reduced = jax.jit(lambda *inputs: lpips(*inputs))  # compiled afresh: programs hold the side
    np.testing.assert_allclose(reduced(network, *large.astype(np.float32)), restated(small), rtol=1e-5)
    whole = jax.jit(functools.partial(lpips, whole=True))(network, *large.astype(np.float32))
    np.testing.assert_allclose(whole, restated(large), rtol=1e-5)
    # 24 to 16: every mean takes one pixel whole and half of the next.
    wide = pictures(16, 24)
    pairs = wide.reshape(2, 16, 8, 3, 3)
    small = np.stack([pairs[..., 0, :] + pairs[..., 1, :] / 2, pairs[..., 1, :] / 2 + pairs[..., 2, :]], 3) / 1.5
    found = reduced(network, *wide.astype(np.float32))
    np.testing.assert_allclose(found, restated(small.reshape(2, 16, 16, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(16, 16, 3), (16, 17, 3)], r"expected two pictures of one shape \(h, w, 3\), got \(16, 16, 3\) and"),
        ([(16, 16, 1)] * 2, r"expected two pictures of one shape"),
        ([(16, 15, 3)] * 2, r"expected pictures of 16x16 at least, .* got 15x16$"),
        ([(8, 8, 3)] * 2, r"expected pictures of 16x16 at least"),
    ],
)
def test_other_shapes_are_refused(unchecked, shapes, message):
    with pytest.raises(ValueError, match=f"^LPIPS: {message}"):
        lpips(tiny_perceptual(), *map(jnp.zeros, shapes))


def test_the_largest_side_is_the_programs():
    assert (perceptual.SMALLEST_SIDE, perceptual.LARGEST_SIDE) == (16, 256)


# --- in a search ------------------------------------------------------------------------------------------------------

SIZE, WIDTH = 32, 6


def _paint(params, w, noise):
    return jax.nn.sigmoid(jnp.einsum("ld,dp->p", jnp.tanh(w), params)).reshape(SIZE, SIZE, 3)


def _generator(network: Perceptual | None = None):
    weights = jnp.asarray(0.5 * np.random.default_rng(3).standard_normal((WIDTH, SIZE * SIZE * 3)), jnp.float32)
    generator = Generator.from_function(_paint, weights, resolution=SIZE, latent_dim=WIDTH, num_layers=2)
    fits = {"w_avg": 0.1 * jnp.arange(WIDTH), "w_std": jnp.float32(1.5), "perceptual": network}
    return dataclasses.replace(generator, **fits)


def test_without_a_network_it_is_told_what_to_do():
    with pytest.raises(MissingPrior, match=r"^the loss LPIPS needs a VGG16 .* give --perceptual FILE"):
        stream.solve_stream([], _generator(), config=presets.brgm(perceptual=True))


def test_small_inputs_and_outputs_are_refused_before_anything_is_searched():
    with_it, without = presets.brgm(perceptual=True), presets.brgm()
    assert [max(c.smallest_sides.values(), default=1) for c in (with_it, without, presets.nearest())] == [16, 1, 1]
    assert admissible_sizes(64, with_it) == [16, 32, 64]
    assert min(admissible_sizes(64, without)) < 16
    generator = _generator(tiny_perceptual())
    with pytest.raises(ValueError, match=r"^low_res: expected a side of 16, 32, got 8"):
        next(iter(stream.solve_stream([np.zeros((8, 8, 3), np.float32)], generator, config=with_it)))
    with pytest.raises(ValueError, match=r"^output_size: expected 16 at least for the loss LPIPS, got 8"):
        stream.solve_stream([], generator, config=dataclasses.replace(with_it, output_size=8))


def test_the_network_is_data_and_not_part_of_a_program():
    """Other weights need no other program, and no program holds any."""
    leaves = jax.tree.leaves(_generator(tiny_perceptual()))
    assert len(leaves) == len(jax.tree.leaves(_generator())) + 13 + 13 + 5
    x, y = pictures(16).astype(np.float32)
    traced = jax.make_jaxpr(lpips)(tiny_perceptual(), x, y)
    assert all(np.size(constant) <= 3 for constant in traced.consts)
