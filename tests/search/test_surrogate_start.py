"""Starts that a surrogate leads near the input, in searches; where it is exact, the first look is at a solution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.priors.gaussian import w_to_whitened, whitened_to_w
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search import presets, step
from pulse_jax.search.problems import as_problems
from pulse_jax.search.requirements import would_be_faster
from tests.linear_networks import FACTOR, LAYERS, WIDTH, linear_generator, with_exact_surrogate

CONFIG = presets.pulse(start="surrogate", method="riemannian_lbfgs", loss="100*L2", eps=1e-4, steps=20)


def inputs(count):
    """Low-resolution versions of the generator's pictures of points on the spheres."""
    generator = linear_generator()
    rows = jax.random.normal(jax.random.key(7), (count, LAYERS, WIDTH))
    rows *= WIDTH**0.5 / jnp.linalg.norm(rows, axis=-1, keepdims=True)
    assert generator.gaussian_fit is not None
    pictures = np.asarray(generator.synthesize(whitened_to_w(rows, generator.gaussian_fit), ()))
    return Bicubic(FACTOR).apply_float64(np.clip(pictures, 0, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def generator():
    return with_exact_surrogate(linear_generator())


@pytest.mark.slow
def test_a_start_is_nearer_than_the_face_that_it_comes_from_and_each_is_another(generator):
    target = inputs(1)[0]
    starts = jax.jit(jax.vmap(lambda key: step.init(generator, CONFIG, jnp.asarray(target), key).variables["latent"]))
    keys = jax.random.split(jax.random.key(0), 8)
    rows = starts(keys)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), WIDTH**0.5, rtol=1e-5)

    def error(rows):
        pictures = np.asarray(generator.synthesize(whitened_to_w(rows, generator.gaussian_fit), ()))
        return np.mean(np.square(Bicubic(FACTOR).apply_float64(pictures) - target), axis=(1, 2, 3))

    z = jax.vmap(lambda key: jax.random.normal(jax.random.split(key)[0], (1, WIDTH)))(keys)
    faces = w_to_whitened(generator.map(z), generator.gaussian_fit)
    faces = jnp.broadcast_to(faces / jnp.linalg.norm(faces, axis=-1, keepdims=True) * WIDTH**0.5, rows.shape)
    assert np.median(error(rows)) < 0.1 * np.median(error(faces))
    assert len({np.asarray(row).tobytes() for row in rows}) == 8
    one = step.init(generator, CONFIG, jnp.asarray(target), keys[3]).variables["latent"]
    np.testing.assert_allclose(rows[3], one, atol=1e-4)


@pytest.mark.slow
def test_fewer_looks_are_needed_than_from_a_uniform_point(generator):
    low = inputs(6)
    looks = {}
    for start in ("tiled", "surrogate"):
        config = presets.pulse(start=start, method="riemannian_lbfgs", loss="100*L2", eps=1e-4, steps=60)
        found = upsample(generator, low, restarts=2, config=config)
        assert found.feasible.mean() > 0.8
        looks[start] = np.median(found.steps)
    assert looks["surrogate"] < 0.5 * looks["tiled"]


def test_company_and_order_change_no_bit_of_such_searches(generator):
    low = inputs(4)

    def found(order, lanes):
        problems = as_problems(low[order])
        solutions = solve_stream(problems, generator, config=CONFIG, lanes=lanes)
        return {order[s.index]: (s.latent.tobytes(), s.image.tobytes(), s.steps) for s in solutions}

    alone = {number: found([number], 1)[number] for number in range(4)}
    assert found([0, 1, 2, 3], 2) == found([3, 2, 1, 0], 1) == alone


def test_without_a_surrogate_it_is_a_tiled_start_and_says_what_is_missing(generator):
    bare, target, key = linear_generator(), jnp.zeros((2, 2, 3)), jax.random.key(1)
    rows = step.init(bare, CONFIG, target, key).variables["latent"]
    tiled = presets.pulse(start="tiled", method="riemannian_lbfgs", loss="100*L2", eps=1e-4, steps=20)
    np.testing.assert_array_equal(rows, step.init(bare, tiled, target, key).variables["latent"])
    assert would_be_faster(bare, CONFIG) == "this generator's surrogate; pulse-jax fit-start GENERATOR makes it"
    assert would_be_faster(bare, tiled) is None and would_be_faster(generator, CONFIG) is None


@pytest.mark.parametrize("other", [{"space": "w"}, {"space": "z"}, {"geometry": "euclidean"}, {"coordinates": "plain"}])
def test_it_is_refused_where_rows_are_others(other):
    with pytest.raises(ValueError, match=r"^start: expected space w\+, whitened coordinates and geometry sphere"):
        presets.pulse(start="surrogate", **other)
