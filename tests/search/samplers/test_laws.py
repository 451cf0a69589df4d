"""Laws of every sampler; a new one joins by its name."""

import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.search.config import SamplerName
from pulse_jax.search.samplers.protocol import Chain
from pulse_jax.search.samplers.registry import SAMPLERS
from pulse_jax.search.samplers.tempering import exchange
from pulse_jax.system.keys import random_key
from tests.search.samplers.driver import SPHERES, run, setting_of

NAMES = (*SPHERES, "elliptical_slice")
RADII = jnp.asarray([[1.0], [3.0], [0.5]])


def starts(count=4, seed=0):
    x = np.random.default_rng(seed).standard_normal((count, 3, 6))
    return jnp.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), jnp.float32) * RADII


def tilted(x):
    return 3 * jnp.sum(x[..., 0])


def logarithm(x):
    """Not a number where the first coordinate of any row is negative."""
    return jnp.sum(jnp.log(x[..., 0]) ** 2)


def test_names_are_those_of_the_command_line():
    assert get_args(SamplerName) == tuple(SAMPLERS)


@pytest.mark.parametrize("name", SPHERES)
def test_every_row_stays_on_its_own_sphere(name):
    ends = run(name, tilted, starts(), 5, 60)
    np.testing.assert_allclose(np.linalg.norm(ends, axis=-1), np.tile(RADII[:, 0], (4, 1)), rtol=1e-5)
    assert np.all(np.abs(ends - starts()) > 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_does_not_depend_on_its_company(name):
    keys = jax.random.split(random_key(0), 4)
    together = run(name, tilted, starts(), 3, 40, keys=keys)
    alone = run(name, tilted, starts()[2:3], 3, 40, keys=keys[2:3])
    np.testing.assert_allclose(alone[0], together[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_other_numbers_compile_nothing(name):
    before = None
    for step, temperature, leapfrogs in ((0.1, 1.0, 4), (0.2, 0.5, 9)):
        run(name, tilted, starts(), 2, 30, step=step, temperature=temperature, leapfrogs=leapfrogs)
        before = before or run._cache_size()
    assert run._cache_size() == before


@pytest.mark.parametrize("name", NAMES)
def test_where_the_loss_is_no_number_no_chain_goes(name):
    ends = run(name, logarithm, jnp.abs(starts()), 12, 300)
    assert np.all(np.isfinite(ends)) and np.all(ends[..., 0] > 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_low_temperature_keeps_chains_where_the_loss_is_low(name):
    """Of exp(−κ x), κ = 150, on unit spheres nearly all lies near x = −1; of it times N(0, I), around −κ."""
    unit = starts()[:, :1]
    ends = run(name, tilted, unit, 40, 640, temperature=0.02, step=0.02)
    if name == "elliptical_slice":
        assert np.max(ends[..., 0]) < -2
    else:
        assert np.max(ends[..., 0]) < -0.5


@pytest.mark.parametrize("name", SPHERES)
def test_flat_spaces_are_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"manifold: expected spheres alone \(geometry sphere\) with {name}"):
        SAMPLERS[name](setting_of(name, {"latent": Sphere(), "noise": Euclidean()}))


def test_spheres_are_refused_by_ellipses():
    with pytest.raises(ValueError, match="expected flat spaces alone"):
        SAMPLERS["elliptical_slice"](setting_of("elliptical_slice", {"latent": Sphere()}))


def stacked(losses, transitions):
    count = len(losses)
    point = {"latent": jnp.arange(count, dtype=jnp.float32)[:, None]}
    return Chain(point, jnp.asarray(losses), point, jnp.full(count, transitions), jnp.zeros(count))


def test_exchanges_take_turns_and_lose_nothing():
    temperatures = jnp.asarray([1.0, 2.0, 4.0, 8.0])
    # The hotter of each pair has the lower loss: always exchanged.
    even, probability, turn = exchange(random_key(0), stacked([4.0, 3.0, 2.0, 1.0], 2), temperatures)
    assert np.array_equal(even.point["latent"][:, 0], [1, 0, 3, 2]) and np.array_equal(turn, [True, False, True])
    np.testing.assert_allclose(probability, 1)
    odd, _, turn = exchange(random_key(0), stacked([4.0, 3.0, 2.0, 1.0], 3), temperatures)
    assert np.array_equal(odd.point["latent"][:, 0], [0, 2, 1, 3]) and np.array_equal(turn, [False, True, False])
    assert np.array_equal(odd.loss, [4, 2, 3, 1])


def test_exchanges_have_metropolis_probability():
    """exp((1/T₁ − 1/T₂)(L₁ − L₂)) where the colder one has the lower loss."""
    chains, temperatures = stacked([1.0, 3.0], 0), jnp.asarray([1.0, 2.0])
    exchanged = jax.vmap(functools.partial(exchange, chains=chains, temperatures=temperatures))
    moved, probability, _ = exchanged(jax.random.split(random_key(1), 4000))
    np.testing.assert_allclose(probability[0], np.exp(-1.0), rtol=1e-6)
    share = float(np.mean(moved.loss[:, 0] == 3.0))
    assert abs(share - np.exp(-1)) < 4.5 * np.sqrt(np.exp(-1) * (1 - np.exp(-1)) / 4000)
