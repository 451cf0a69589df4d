"""The projector of StyleGAN2-ADA, its looks and its way, against what it computed (`goldens/methods`)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.generator import Generator
from pulse_jax.optimizers.schedules import schedule
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.objective import evaluate
from tests.drawn_networks import apart, generator_of
from tests.golden_weights import load

LOOKS = 10
# The looks whose gradients of noise were kept.
KEPT = (0, 4, 9)
forms = pytest.mark.parametrize("form", ["perceptual", "pixel"])


@functools.cache
def problem(form):
    """What the program was given, as this project takes it, and what it computed."""
    golden = load("methods/stylegan2_projector")
    recorded = {key.removeprefix(f"{form}/"): array for key, array in golden.items() if key.startswith(f"{form}/")}
    config = presets.stylegan2_projector(perceptual=form == "perceptual")
    return generator_of(golden), config, jnp.asarray(golden["target"] / np.float32(255)), golden | recorded


def drawn_noise(generator):
    """The noise images that the program started from, made normal, and what it drew for w at each look."""
    stream = np.random.RandomState(2043)
    images = [stream.standard_normal(shape[:2]).astype(np.float32)[..., None] for shape in generator.noise_shapes]
    images = [(image - image.mean()) / image.std() for image in images]
    return tuple(map(jnp.asarray, images)), [stream.standard_normal((1, 8)).astype(np.float32) for _ in range(LOOKS)]


def split(flat, generator):
    sizes = np.cumsum([np.prod(shape) for shape in generator.noise_shapes])[:-1]
    return tuple(part.reshape(s) for part, s in zip(np.split(flat, sizes), generator.noise_shapes, strict=True))


def joined(images):
    return np.concatenate([np.ravel(image) for image in images])


def test_the_start_is_the_programs(unchecked):
    """The picture that it looked at first, and the moments of w, which it takes of 10,000 samples."""
    generator, _, _, golden = problem("perceptual")
    noise, _ = drawn_noise(generator)
    rows = jnp.broadcast_to(golden["looked"][0], (generator.num_layers, generator.latent_dim))
    image = jax.jit(Generator.synthesize)(generator, rows, noise)
    np.testing.assert_allclose(255 * np.asarray(image), golden["image"], atol=1e-5 * np.abs(golden["image"]).max())
    z = np.random.RandomState(123).standard_normal((10_000, 8)).astype(np.float32)
    w = np.asarray(jax.jit(Generator.map)(generator, z), np.float64)
    np.testing.assert_allclose(w.mean(axis=0), golden["w_avg"], atol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(np.sum((w - w.mean(axis=0)) ** 2, -1))), golden["w_std"], rtol=1e-5)


@forms
def test_every_look_is_the_programs(unchecked, form):
    """Loss and terms to 1e-5, gradients of w and noise to 1e-4 of their length; of the pixel form the first look's."""
    generator, config, target, recorded = problem(form)
    start, _ = drawn_noise(generator)
    noises = [joined(start), *recorded["noise"][: LOOKS - 1]] if form == "perceptual" else [joined(start)]

    @jax.jit
    def look(latent, noise):
        variables = {"latent": latent, "noise": noise}
        return jax.grad(lambda v: evaluate(generator, config, target, v, (None,) * len(noise)), has_aux=True)(variables)

    for t, noise in enumerate(noises):
        gradient, seen = look(recorded["looked"][t], split(noise, generator))
        np.testing.assert_allclose(seen.loss, recorded["loss"][t], rtol=1e-5)
        name = "LPIPS" if form == "perceptual" else "L2"
        np.testing.assert_allclose(seen.terms[name], recorded["distance"][t], rtol=1e-5)
        np.testing.assert_allclose(seen.terms["NOISE"], recorded["regularizer"][t], rtol=1e-5)
        assert apart(gradient["latent"], recorded["latent_gradient"][t]) < 1e-4
        if form == "perceptual" and t in KEPT:
            assert apart(joined(gradient["noise"]), recorded["noise_gradient"][KEPT.index(t)]) < 1e-5


@pytest.mark.slow
@forms
def test_a_search_goes_the_programs_way(unchecked, monkeypatch, form):
    """From the mean of w and the program's noise all by itself, but for what is drawn for w."""
    generator, config, target, recorded = problem(form)
    noise, draws = drawn_noise(generator)
    begin = functools.partial(search.init, generator, config, target, noise=noise)
    state = jax.jit(begin)(jax.random.key(0))

    @jax.jit
    def step(state, draw):
        with monkeypatch.context() as patch:
            patch.setattr(jax.random, "normal", lambda key, shape: draw)
            looked_at = search._looked_at(generator, config, state, config.numbers)["latent"]
            return *search.step(generator, config, state), looked_at

    start = joined(noise)
    for t in range(LOOKS):
        way = recorded["latent"][t] - recorded["latent"][0]
        assert np.linalg.norm(state.variables["latent"] - recorded["latent"][t]) <= 1e-4 * np.linalg.norm(way) + 1e-6
        if t > 1 and (form == "perceptual" or t == LOOKS - 1):
            expected = recorded["noise"][t - 1 if form == "perceptual" else 0]
            # The first way is short beside the images' own rounding.
            assert apart(joined(state.variables["noise"]), expected, expected - start) < (3e-4 if t == 2 else 1e-4)
        state, seen, looked_at = step(state, draws[t])
        np.testing.assert_allclose(looked_at, recorded["looked"][t], atol=1e-5)
        np.testing.assert_allclose(seen.loss, recorded["loss"][t], rtol=1e-5)


def test_rates_and_noise_die_away_as_the_programs(unchecked, monkeypatch):
    """At every fiftieth of the 1,000 steps."""
    generator, config, target, golden = problem("pixel")
    rate = schedule(config.schedule, config.learning_rate, config.steps)
    state = search.init(generator, config, target, jax.random.key(0))
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: jnp.ones(shape))
    assert config.steps == 1000 == 50 * len(golden["rate"])
    for count, expected, scale in golden["rate"]:
        np.testing.assert_allclose(rate(count), expected, rtol=1e-5, atol=1e-9)
        looked_at = search._looked_at(generator, config, state._replace(steps=jnp.int32(count)), config.numbers)[
            "latent"
        ]
        np.testing.assert_allclose(looked_at - state.variables["latent"], scale, rtol=1e-4, atol=1e-6)
