"""Where several searches share a program, it is found out whether their places among its lanes change their bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pulse_jax
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator
from pulse_jax.search import presets
from pulse_jax.search.problems import as_problems

CONFIG = presets.pulse(loss="100*L2", space="z", steps=5)
INPUTS = np.random.default_rng(0).uniform(0.3, 0.7, (4, 4, 4, 3)).astype(np.float32)


def plain(w):
    return w


@jax.custom_batching.custom_vmap
def moved(w):
    """The same for one latent, and for the lane of one; of many lanes, what comes out differs a little by place."""
    return w


@jax.custom_batching.custom_vmap
def moved_lanes(w):
    return w


@moved.def_vmap
def _one_lane(size, batched, w):
    # A generator maps its function over the one latent of a lane first.
    assert size == 1 and batched == [True]
    return moved_lanes(w), True


@moved_lanes.def_vmap
def _many_lanes(size, batched, w):
    assert batched == [True]
    return w * (1 + 1e-6 * jnp.arange(size).reshape(size, *[1] * (w.ndim - 1))), True


@jax.custom_vjp
def leaning(w):
    """With the derivative of one that does not, since the rule has none."""
    return moved(w)


leaning.defvjp(lambda w: (moved(w), None), lambda nothing, cotangent: (cotangent,))


def painter(layer):
    def paint(params, w, noise):
        del params, noise
        return jnp.broadcast_to(jax.nn.sigmoid(layer(w)[0, :3]), (8, 8, 3))

    return Generator.from_function(paint, {}, resolution=8, latent_dim=4)


@pytest.mark.parametrize(
    ("layer", "lanes", "strict", "independent"),
    [
        (plain, 4, False, True),
        (leaning, 4, False, False),
        (leaning, 1, False, True),
        (leaning, 4, True, True),
    ],
)
def test_places_are_compared_once_for_each_program(together, layer, lanes, strict, independent):
    seen = []
    found = list(
        solve_stream(
            as_problems(INPUTS), painter(layer), config=CONFIG, lanes=lanes, strict=strict, on_chunk=seen.append
        )
    )
    assert len(found) == len(INPUTS)
    assert {progress.position_independent for progress in seen} == {independent}


def test_solutions_say_so(together):
    for layer, independent in ((plain, True), (leaning, False)):
        solutions = pulse_jax.upsample(painter(layer), INPUTS, config=CONFIG, lanes=4)
        assert solutions.position_independent is independent
