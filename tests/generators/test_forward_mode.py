"""J v through generators: against finite differences and against Jᵀ u, in float64; for lanes; and within searches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.generators.forward_mode import linearize
from pulse_jax.generators.networks import fast_convolutions, stylegan1, stylegan2
from pulse_jax.search import presets
from pulse_jax.search.methods.registry import METHODS
from tests.tiny_networks import searchable_generator, tiny_generator
from tests.toys.methods import gauss_newton_step

NETWORKS = {"stylegan1": stylegan1, "stylegan2": stylegan2}


def _synthesis(name):
    """A network as a function of w and noise, a point and two directions, in float64."""
    generator = tiny_generator(name, contrast=0.1)
    module = NETWORKS[name.split("-")[0]].Synthesis(generator.config, dtype=jnp.dtype("float64"))
    params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), generator.params["synthesis"])
    shapes = {
        "w": (1, generator.num_layers, generator.latent_dim),
        "noise": tuple((1, *shape) for shape in generator.noise_shapes),
    }

    def drawn(seed):
        rng = np.random.default_rng(seed)
        is_shape = lambda leaf: isinstance(leaf, tuple) and isinstance(leaf[0], int)  # noqa: E731
        return jax.tree.map(lambda shape: jnp.asarray(rng.standard_normal(shape)), shapes, is_leaf=is_shape)

    def draw(variables):
        return module.apply({"params": params}, variables["w"], variables["noise"])

    return draw, drawn(1), drawn(2), drawn(3)


def _dot(a, b):
    return sum(jnp.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stylegan1-16", "stylegan2-16"])
def test_a_product_is_what_finite_differences_say_and_what_the_transpose_does(name):
    with jax.enable_x64(True):
        draw, point, tangent, _ = _synthesis(name)
        length = 1e-6

        @jax.jit
        def products(point, tangent):
            picture, push, pull = linearize(draw, point)
            ends = [jax.tree.map(lambda x, v, s=s: x + s * length * v, point, tangent) for s in (1, -1)]
            slope = (draw(ends[0]) - draw(ends[1])) / (2 * length)
            changed = push(tangent)
            there, back = _dot(changed, jnp.cos(picture)), _dot(tangent, pull(jnp.cos(picture)))
            return picture, draw(point), changed, slope, there, back

        picture, same, changed, slope, there, back = products(point, tangent)
        assert picture.dtype == changed.dtype == jnp.float64
        np.testing.assert_allclose(picture, same, atol=1e-12)
        # Central differences of length 1e-6: off by some 1e-10 of a picture's size over 1e-6.
        np.testing.assert_allclose(changed, slope, atol=1e-7 * np.abs(slope).max())
        np.testing.assert_allclose(there, back, rtol=1e-11)


@pytest.mark.slow
def test_forms_of_kernels_are_pushed_through_too():
    """Both forms are linear in their input: the product is the function itself."""
    rng = np.random.default_rng(0)
    x, v = (jnp.asarray(rng.standard_normal((1, 8, 8, 2)), jnp.float32) for _ in range(2))
    kernel = jnp.asarray(rng.standard_normal((3, 3, 2, 3)), jnp.float32)
    by_form = [
        (fast_convolutions.winograd_conv, fast_convolutions.winograd(kernel)),
        (fast_convolutions.upsampling_conv, fast_convolutions.upsampling(kernel)),
    ]
    for convolve, form in by_form:
        value, push, _ = linearize(functools.partial(convolve, form=form), x)
        np.testing.assert_allclose(value, convolve(x, form), rtol=1e-6)
        np.testing.assert_allclose(push(v), convolve(v, form), atol=1e-4)


def test_the_whole_jacobians_of_two_lanes_are_those_of_reverse_mode():
    generator = searchable_generator()
    noise = tuple(jnp.zeros(shape) for shape in generator.noise_shapes)
    w = jnp.asarray(np.random.default_rng(0).standard_normal((2, generator.num_layers, 8)), jnp.float32)

    @jax.jit
    @jax.vmap
    def both(w):
        corner = lambda w: generator.synthesize(w, noise)[:2, :2]  # noqa: E731
        basis = jnp.eye(w.size).reshape(-1, *w.shape)
        columns = jax.vmap(linearize(corner, w)[1])(basis)
        return jnp.moveaxis(columns, 0, -1).reshape(2, 2, 3, *w.shape), jax.jacrev(corner)(w)

    forward, reverse = both(w)
    np.testing.assert_allclose(forward, reverse, atol=1e-5 * np.abs(reverse).max())


@pytest.mark.slow
def test_searches_of_a_network_may_take_products(monkeypatch):
    monkeypatch.setitem(METHODS, "gauss_newton_step", gauss_newton_step)
    config = presets.pulse(method="gauss_newton_step", loss="100*L2", eps=1e-9, steps=6)
    targets = np.random.default_rng(0).uniform(0.45, 0.55, (2, 2, 2, 3)).astype(np.float32)
    solutions = upsample(searchable_generator(), targets, config=config)
    np.testing.assert_array_equal(solutions.evaluations, 18)
    assert np.isfinite(solutions.loss).all()
