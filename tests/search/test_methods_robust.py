"""`robust` against numbers recorded from its authors' program (`goldens/methods`)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.objectives import losses
from pulse_jax.search import presets
from pulse_jax.search import step as search
from tests import recorded

# Of the program's three searches: its name in the golden, and the rate of its steps.
PHASES = (("w", 0.08), ("wp", 0.02), ("wpp", 0.005))


@functools.cache
def told(name):
    """The recorded search, and ours: settings, every point as rows of filters, every look, and a single step."""
    golden = recorded.load(name)
    generator = recorded.generator(golden)
    if whole := name.endswith("perceptual"):
        generator = dataclasses.replace(generator, perceptual=recorded.perceptual(golden))
    looks = len(golden["w/loss"])
    # Where the program's degradation takes means of areas.
    config = presets.robust(perceptual=whole, steps=3 * looks, degradation="area")
    noise = recorded.noise(int(golden["noise_seed"]), generator.noise_shapes)
    state = search.init(generator, config, recorded.picture(golden), jax.random.key(0), noise=noise)
    step = jax.jit(functools.partial(search.step, generator, config))
    start, points, seen = state, [state.variables["latent"]], []
    for _ in range(config.steps):
        state, look = step(state)
        points.append(state.variables["latent"])
        seen.append(look)
    return golden, generator, start, np.asarray(points, np.float64), seen, step


def wide(generator, rows):
    """Rows of w (1 or L or one a filter, d) as a row for every filter."""
    filters = generator.config.filters
    if len(rows) == sum(filters):
        return rows
    return np.repeat(np.broadcast_to(rows, (len(filters), rows.shape[1])), filters, axis=0)


def tied(generator, phase, gradient):
    """A gradient of every filter's row as the program's of its variable."""
    if phase == "w":
        return gradient.sum(0, keepdims=True)
    ends = np.cumsum(generator.config.filters)[:-1]
    return np.stack([part.sum(0) for part in np.split(gradient, ends)]) if phase == "wp" else gradient


both = pytest.mark.parametrize("name", ["robust", "robust_perceptual"])


@both
def test_every_look_at_a_recorded_point_is_the_programs(unchecked, name):
    golden, generator, start, _, _, step = told(name)
    for number, (phase, rate) in enumerate(PHASES):
        looks = len(golden[f"{phase}/loss"])
        for look, gradient in enumerate(golden[f"{phase}/gradient"]):
            at = wide(generator, golden[f"{phase}/latent"][look])
            taken = jnp.int32(number * looks + look)
            place = start._replace(
                variables=start.variables | {"latent": at}, steps=taken, method=start.method._replace(count=taken)
            )
            after, seen = step(place)
            np.testing.assert_allclose(seen.loss, golden[f"{phase}/loss"][look], rtol=1e-5)
            np.testing.assert_allclose(seen.terms["COARSE_MAE"], golden[f"{phase}/l1"][look], rtol=1e-5)
            found = tied(generator, phase, np.asarray(seen.gradient["latent"], np.float64))
            largest = np.abs(gradient).max()
            # Through VGG16 the program's own float32 is 9e-5 from its float64, to the other side than ours.
            share = 5e-4 if name.endswith("perceptual") else 1e-4
            np.testing.assert_allclose(found, gradient, rtol=0, atol=share * largest)
            # A row's step is its rate long; where its gradient is rounding the direction is rounding's too.
            sure = wide(generator, np.linalg.norm(gradient, axis=-1, keepdims=True))[:, 0] > 1e-2 * largest
            assert sure.mean() > 0.5
            moved = wide(generator, golden[f"{phase}/latent"][look + 1])
            np.testing.assert_allclose(after.variables["latent"][sure], moved[sure], rtol=0, atol=5e-4 * rate)


@both
def test_from_the_mean_of_w_it_goes_the_programs_way(unchecked, name):
    golden, generator, _, points, seen, _ = told(name)
    looks = len(golden["w/loss"])
    np.testing.assert_allclose(points[0], wide(generator, golden["w/latent"][0]), rtol=0, atol=1e-7)
    for number, (phase, rate) in enumerate(PHASES):
        here = slice(number * looks, (number + 1) * looks)
        np.testing.assert_allclose([look.loss for look in seen[here]], golden[f"{phase}/loss"], rtol=1e-4)
        for look in range(1, looks + 1):
            found = points[number * looks + look]
            # A row's step is its rate long: after all 30 of them 6e-5 of one, through VGG16 3e-3.
            share = 1e-2 if name.endswith("perceptual") else 1e-4
            apart = np.linalg.norm(found - wide(generator, golden[f"{phase}/latent"][look]), axis=-1)
            assert apart.max() < share * rate, (phase, look)


@pytest.mark.slow
@pytest.mark.parametrize("side", [8, 16, 20, 37, 72])
def test_the_loss_over_scales_is_the_programs(unchecked, side):
    golden = recorded.load("robust_losses")
    network = recorded.perceptual(golden)
    rng = np.random.RandomState(int(golden["seed"]))
    pairs = {s: [rng.randint(0, 256, (s, s, 3)).astype(np.uint8) for _ in "xy"] for s in (8, 16, 20, 37, 72)}
    x, y = (image.astype(np.float32) / np.float32(255) for image in pairs[side])

    def loss(x):
        return losses.multiscale_lpips(network, x, y) + 0.1 * losses.coarse_mae(x, y)

    value, gradient = jax.jit(jax.value_and_grad(loss))(x)
    np.testing.assert_allclose(value, golden[f"{side}/loss"], rtol=1e-5)
    recorded_corner = golden[f"{side}/gradient"]
    np.testing.assert_allclose(gradient[:8, :8], recorded_corner, rtol=0, atol=1e-4 * np.abs(recorded_corner).max())
    np.testing.assert_allclose(np.linalg.norm(gradient), golden[f"{side}/gradient_norm"], rtol=1e-4)
