"""CSGM's search against numbers recorded from its authors' program: scales, gradients, ways."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations import registry
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.objective import evaluate
from tests.golden_weights import load
from tests.toys.degradation import Blocks

SIZE, FACTOR, LOOKS = 16, 4, 10
# The program's measurements weigh super-resolution by f⁴, SQUARES by f².
SCALE = FACTOR**2
RECORDED = {
    "superres": f"{SCALE}*SQUARES",
    "superres_prior": f"{SCALE}*SQUARES+0.001*LATENT",
}


@pytest.fixture
def blocks(monkeypatch):
    """The program's D, means of blocks, under a name."""
    monkeypatch.setitem(registry.DEGRADATIONS, "blocks", Blocks)


@functools.cache
def recorded():
    golden = load("methods/csgm")
    params = {name: jnp.asarray(golden[name], jnp.float32) for name in ("mapping", "image")}

    def picture(params, z, noise):
        flat = jnp.tanh(z[0] @ params["mapping"]) @ params["image"]
        return (jnp.tanh(flat).reshape(SIZE, SIZE, 3) + 1) / 2

    generator = Generator.from_function(picture, params, resolution=SIZE, latent_dim=len(params["mapping"]))
    # The program's images are in [−1, 1].
    return golden, generator, (golden["target"] + 1) / 2


@pytest.mark.parametrize("name", RECORDED)
def test_losses_gradients_and_the_way_are_the_programs(unchecked, blocks, name):
    golden, generator, target = recorded()
    config = presets.csgm(degradation="blocks", loss=RECORDED[name])
    latents = jnp.asarray(golden[f"{name}/latent"])[:, None]
    begin = functools.partial(search.init, generator, config)
    state = jax.jit(begin)(target, jax.random.key(0), latents[0])

    def loss(latent):
        return evaluate(generator, config, target, {"latent": latent, "noise": ()}, ())

    gradient, step = jax.jit(jax.grad(loss, has_aux=True)), jax.jit(functools.partial(search.step, generator, config))
    for look in range(LOOKS):
        grads, seen = gradient(latents[look])
        theirs = {key: golden[f"{name}/{key}"][look] for key in ("data", "prior", "loss", "gradient")}
        np.testing.assert_allclose(SCALE * seen.terms["SQUARES"], theirs["data"], rtol=1e-5)
        if "LATENT" in seen.terms:
            np.testing.assert_allclose(seen.terms["LATENT"], theirs["prior"], rtol=1e-5)
        np.testing.assert_allclose(seen.loss, theirs["loss"], rtol=1e-5)
        np.testing.assert_allclose(grads[0], theirs["gradient"], atol=1e-4 * np.abs(theirs["gradient"]).max())
        # Adam moves by 0.1 a look; a coordinate whose gradient all but vanishes turns on its rounding.
        np.testing.assert_allclose(state.variables["latent"], latents[look], atol=1e-4 * 0.1 * max(look, 1))
        state, _ = step(state)


def test_the_presets_scale_is_that_of_gaussian_measurements(unchecked, blocks):
    """Their mean over m of (Az − y)², the program's with 500 rows; over 40 matrices it varies by 1 %."""
    golden, generator, target = recorded()
    config = presets.csgm(degradation="blocks")
    latent = jnp.asarray(golden["gaussian/latent"])[None]
    _, seen = evaluate(generator, config, target, {"latent": latent, "noise": ()}, ())
    image = generator.synthesize(latent, ())
    whole = np.sum((2 * np.asarray(image) - 1 - np.repeat(np.repeat(golden["target"], FACTOR, 0), FACTOR, 1)) ** 2)
    np.testing.assert_allclose(golden["gaussian/mean_of_40"], whole, rtol=0.05)
    # What D does not see is missing from it.
    within = np.asarray(image) - np.asarray(Blocks(FACTOR).pseudo_inverse(Blocks(FACTOR).apply(image)))
    np.testing.assert_allclose(seen.terms["SQUARES"] + np.sum((2 * within) ** 2), whole, rtol=1e-5)
