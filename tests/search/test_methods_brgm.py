"""BRGM's two programs, looks and ways, against what they computed (`goldens/methods`)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.registry import DEGRADATIONS
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.objective import evaluate
from tests.drawn_networks import apart, generator_of, perceptual
from tests.golden_weights import drawn, load
from tests.toys.degradation import Blocks

LOOKS = 11
WIDTH, ROWS, SIZE = 8, 4, 32
# Of the function that stood for the first program's network.
NOISE = tuple((side, side, 1) for side in (4, 8, 16, 32))
programs = pytest.mark.parametrize("name", ["brgm", "brgm_2"])
cases = pytest.mark.parametrize("case", ["inversion", "super_resolution"])


class FourPixels(Blocks):
    """The second program's D at factor 2: its bicubic filter without antialiasing, 4×4 pixels at any factor."""

    def apply(self, image):
        taps = (-0.09375, 0.59375, 0.59375, -0.09375)
        for axis in (0, 1):
            padding = [(1, 1) if axis == padded else (0, 0) for padded in range(3)]
            padded = jnp.moveaxis(jnp.pad(image, padding, mode="edge"), axis, 0)
            count = image.shape[axis] // 2
            image = jnp.moveaxis(sum(tap * padded[i : i + 2 * count : 2] for i, tap in enumerate(taps)), 0, axis)
        return image


@pytest.fixture(autouse=True)
def degradations(monkeypatch):
    """The programs' own, which the presets leave for PULSE's."""
    monkeypatch.setitem(DEGRADATIONS, "means", Blocks)
    monkeypatch.setitem(DEGRADATIONS, "four_pixels", FourPixels)


def _function(params, w, noise):
    image = jnp.einsum("ld,ldhwc->hwc", jnp.tanh(w), params["image"])
    return jax.nn.sigmoid(image + 0.2 * sum(jnp.tile(n, (SIZE // len(n), SIZE // len(n), 1)) for n in noise))


def _mapping(params, z):
    return jax.nn.leaky_relu(z @ params["mapping"] + params["shift"], 0.2)


def smooth(golden):
    """The function that stood for the first program's network."""
    params = {
        "image": np.float32(0.5) * drawn((ROWS, WIDTH, SIZE, SIZE, 3), 2050),
        "mapping": np.float32(WIDTH**-0.5) * drawn((WIDTH, WIDTH), 2051),
        "shift": np.float32(0.5) * drawn((WIDTH,), 2052),
    }
    sizes = {"resolution": SIZE, "latent_dim": WIDTH, "num_layers": ROWS, "noise_shapes": NOISE}
    generator = Generator.from_function(_function, jax.tree.map(jnp.asarray, params), **sizes, mapping=_mapping)
    known = {"w_avg": jnp.asarray(golden["w_avg"]), "w_std": jnp.asarray(golden["w_std"]), "perceptual": perceptual()}
    return dataclasses.replace(generator, **known)


def problem(name, case):
    """What a program was given, as this project takes it, the weights of its terms, and what it computed."""
    golden = load(f"methods/{name}")
    recorded = {key.removeprefix(f"{case}/"): array for key, array in golden.items() if key.startswith(case)}
    target = golden["picture"] / 255 if case == "inversion" else recorded["target"]
    if name == "brgm":
        generator = smooth(golden)
        noise = [drawn((1, 1, *shape[:2]), 2053, i).reshape(shape) for i, shape in enumerate(NOISE)]
        steps = 5000 if case == "inversion" else 1000
        config = presets.brgm(perceptual=True, steps=steps, degradation="means")
        terms = {"perceptual": ("LPIPS", 1), "cosine": ("COLINEAR", 3)}
        target = target if case == "inversion" else (target + 1) / 2
    else:
        generator = generator_of(golden)
        stream = np.random.RandomState(2043)
        noise = [stream.standard_normal(shape).astype(np.float32) for shape in generator.noise_shapes]
        config = presets.brgm_2(perceptual=True, degradation="means" if case == "inversion" else "four_pixels")
        terms = {"perceptual": ("VGG", 1e7), "cosine": ("COLINEAR_SUM", 0.1)}
        if case == "super_resolution":
            # As the program does above a factor of 16.
            config = dataclasses.replace(config, loss=config.loss.replace("0.1*COLINEAR_SUM", "1*COLINEAR_SUM"))
            terms["cosine"] = ("COLINEAR_SUM", 1)
            target = target / 255
    terms |= {"pixel": ("L2", 65.025), "prior": ("WPRIOR", 100)}
    return generator, config, jnp.asarray(target, jnp.float32), tuple(map(jnp.asarray, noise)), terms, recorded


@programs
@cases
def test_every_look_is_the_programs(unchecked, name, case):
    """Losses and terms to 1e-5, gradients to 1e-4 of their length."""
    generator, config, target, noise, terms, recorded = problem(name, case)

    @jax.jit
    def look(latent):
        variables = {"latent": latent, "noise": ()}
        return jax.grad(lambda v: evaluate(generator, config, target, v, noise), has_aux=True)(variables)

    for t in range(LOOKS):
        gradient, seen = look(recorded["latent"][t])
        np.testing.assert_allclose(seen.loss, recorded["loss"][t], rtol=1e-5)
        for key, (term, weight) in terms.items():
            # The programs' 1 − cos has lost its digits where rows nearly coincide.
            np.testing.assert_allclose(weight * seen.terms[term], recorded[key][t], rtol=1e-5, atol=1e-6)
        assert apart(gradient["latent"], recorded["latent_gradient"][t]) < 1e-4


@pytest.mark.slow
@programs
@cases
def test_a_search_goes_the_programs_way(unchecked, name, case):
    """Start and all steps by itself, with the program's noise: rates, optimiser and loss together."""
    generator, config, target, noise, _, recorded = problem(name, case)
    begin = functools.partial(search.init, generator, config, target, noise=noise)
    state = jax.jit(begin)(jax.random.key(0))
    np.testing.assert_allclose(state.variables["latent"], recorded["latent"][0], rtol=1e-6, atol=1e-7)
    step = jax.jit(functools.partial(search.step, generator, config))
    for t in range(1, LOOKS):
        state, seen = step(state)
        np.testing.assert_allclose(seen.loss, recorded["loss"][t - 1], rtol=1e-5)
        way = recorded["latent"][t] - recorded["latent"][0]
        if np.any(way):  # the first rate of a ramp is 0
            assert apart(state.variables["latent"], recorded["latent"][t], way) < 1e-4


def test_the_mean_and_spread_of_w_are_the_programs(unchecked):
    """The first program's start lies off the mean by a share of σ, which the prior of w takes too."""
    golden = load("methods/brgm")
    generator, config, *_ = problem("brgm", "inversion")
    z = np.random.RandomState(111).standard_normal((10_000, WIDTH)).astype(np.float32)
    w = np.asarray(jax.jit(generator.map)(z), np.float64)
    np.testing.assert_allclose(w.mean(axis=0), golden["w_avg"], atol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(np.sum((w - w.mean(axis=0)) ** 2, -1))), golden["w_std"], rtol=1e-5)
    start = golden["inversion/latent"][0]
    np.testing.assert_allclose((start - golden["w_avg"]) / golden["w_std"], config.mean_offset, rtol=1e-5)
