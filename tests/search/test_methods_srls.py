"""SRLS's searches against numbers recorded from its authors' programs: losses, gradients, ways and starts."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convert import read_flow
from pulse_jax.generators.generator import Generator
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.objective import evaluate
from tests.golden_weights import GOLDENS, load

SIZE, LOOKS = 16, 10
FILES = [GOLDENS / "methods" / "flow" / name for name in ("best_model.pth", "wlatent_face1024.pkl")]
# A ball smaller than the program's by default, so that ten looks meet its border.
RECORDED = {
    "srls": ("srls", presets.srls()),
    "several": ("srls_several", presets.srls()),
    "robust": ("srls_robust", presets.srls_robust()),
    "rls": ("rls", presets.rls(latent_radius=0.15)),
    "rls_plus": ("fixed", presets.rls_plus(latent_radius=0.05)),
}
TERMS = {"mae": "MAE", "flow": "FLOW", "norm": "NORM", "cross": "CROSS"}


def picture(params, w, noise):
    """The function that stood for the generator."""
    flat = jnp.einsum("ld,ldp->p", jnp.tanh(w), params["image"]).reshape(SIZE, SIZE, 3)
    grain = sum(jnp.tile(image, (SIZE // len(image), SIZE // len(image), 1)) for image in noise)
    return jax.nn.sigmoid(flat + 0.2 * grain)


@functools.cache
def recorded(name):
    """One program's numbers, and a generator as it had."""
    golden = load("methods/rls_plus" if name == "rls_plus" else "methods/srls")
    below = RECORDED[name][0] + "/"
    found = {key.removeprefix(below): array for key, array in golden.items() if key.startswith(below)}
    params = {name: jnp.asarray(golden[f"generator/{name}"], jnp.float32) for name in ("image", "mapping", "shift")}
    layers, width, _ = params["image"].shape
    generator = Generator.from_function(
        picture,
        params,
        resolution=SIZE,
        latent_dim=width,
        num_layers=layers,
        noise_shapes=((4, 4, 1), (8, 8, 1), (8, 8, 1)),
        mapping=lambda params, z: jax.nn.leaky_relu(z @ params["mapping"] + params["shift"], 0.2),
    )
    mean = found["latent"][0][0] if name == "rls_plus" else found["mean"]
    generator = dataclasses.replace(generator, flow=read_flow(FILES), w_avg=jnp.asarray(mean))
    return found, generator, golden["target"]


def noise_at(found, look):
    """The noise inputs of a look; those of the earlier programs stay as they are."""
    images = [found[f"noise_{i}"] for i in range(3)]
    return tuple(jnp.asarray(image[look] if image.ndim == 3 else image)[..., None] for image in images)


def start(name, look=0):
    found, generator, target = recorded(name)
    config = RECORDED[name][1]
    given = jnp.asarray(found["latent"][look]), noise_at(found, look)
    return jax.jit(functools.partial(search.init, generator, config))(target, jax.random.key(0), *given)


@pytest.mark.parametrize("name", RECORDED)
def test_losses_and_gradients_are_the_programs_at_every_look(unchecked, name):
    found, generator, target = recorded(name)
    config = RECORDED[name][1]

    def loss(variables, fixed):
        return evaluate(generator, config, target, variables, fixed)

    gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
    fixed = start(name).fixed_noise
    # Of w, where the program takes the density of standardised w.
    constant = float(jnp.sum(jnp.log(generator.flow.std)))
    weights = dict(zip(seen_terms(config), config.numbers["weights"], strict=True))
    for look in range(LOOKS):
        variables = {"latent": jnp.asarray(found["latent"][look]), "noise": ()}
        if name == "rls_plus":
            variables["noise"] = noise_at(found, look)
        (value, seen), grads = gradient(variables, fixed)
        for theirs in TERMS.keys() & found.keys():
            term = TERMS[theirs]
            expected = np.squeeze(found[theirs][look]) + (constant if term == "FLOW" else 0)
            ours = seen.terms["MEAN_NORM" if (name, term) == ("robust", "NORM") else term]
            np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6, err_msg=f"{term} of look {look}")
        shift = weights.get("FLOW", 0.0) * constant
        np.testing.assert_allclose(value, np.squeeze(found["loss"][look]) + shift, rtol=1e-5)
        theirs = found["gradient"][look]
        np.testing.assert_allclose(grads["latent"], theirs, atol=1e-4 * np.abs(theirs).max(), err_msg=f"look {look}")
        for i, image in enumerate(grads["noise"]):
            theirs = found[f"noise_gradient_{i}"][look]
            np.testing.assert_allclose(image[..., 0], theirs, atol=1e-4 * np.abs(theirs).max())


def seen_terms(config):
    return [term.partition("*")[2] for term in config.loss.split("+")]


@pytest.mark.parametrize("name", RECORDED)
def test_a_search_goes_the_programs_way(unchecked, name):
    """All looks by itself, to 1e-4 of the way so far."""
    found, generator, _ = recorded(name)
    step = jax.jit(functools.partial(search.step, generator, RECORDED[name][1]))
    state = start(name)
    way = 0.0
    for look in range(1, LOOKS):
        state, _ = step(state)
        way += np.abs(found["latent"][look] - found["latent"][look - 1]).max()
        np.testing.assert_allclose(state.variables["latent"], found["latent"][look], atol=1e-4 * way)
        for ours, theirs in zip(state.variables["noise"], noise_at(found, look), strict=False):
            # Each look turns noise by about its rate, 0.01.
            np.testing.assert_allclose(ours, theirs, atol=1e-4 * 0.01 * look + 1e-5)


def test_the_first_search_starts_at_the_mean_and_others_at_the_programs_share_of_the_way(unchecked):
    found, generator, target = recorded("several")
    several, style = found["latent"][0], load("methods/srls")["srls_several/style"]
    np.testing.assert_array_equal(several, np.tile(several[:1], (len(several), 1)))
    mean = np.asarray(generator.w_avg)
    theirs = np.dot(several[0] - mean, style - mean) / np.sum((style - mean) ** 2)
    np.testing.assert_allclose(several[0], mean + theirs * (style - mean), atol=1e-6)

    config = presets.srls()
    begin = jax.jit(lambda key, first: search.init(generator, config, target, key, first=first).variables["latent"])
    np.testing.assert_allclose(begin(jax.random.key(1), True), np.tile(mean, (4, 1)), rtol=1e-6)
    for seed in range(3):
        rows = np.asarray(begin(jax.random.key(seed), False))
        z_key, _ = jax.random.split(jax.random.split(jax.random.key(seed))[0])
        style = np.asarray(generator.map(jax.random.normal(z_key, (1, generator.latent_dim))))[0]
        np.testing.assert_allclose(rows, np.tile(mean + theirs * (style - mean), (4, 1)), atol=1e-5)
