"""One suite of laws for every kind of manifold, and what holds trees of them together."""

import dataclasses
import functools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from pulse_jax.manifold import product as mf
from pulse_jax.manifold import sphere
from pulse_jax.manifold.product import Euclidean, L1Ball, NearStart, Sphere

MANIFOLD = {
    "sphere": Sphere(),
    "sphere over images": Sphere(axes=(-3, -2)),
    "sphere of fixed radius over a middle axis": Sphere(axes=(-2,), radius=2.5),
    "euclidean": Euclidean(),
}
SHAPES = {
    "sphere": jax.ShapeDtypeStruct((3, 8), jnp.float32),
    "sphere over images": jax.ShapeDtypeStruct((4, 4, 2), jnp.float32),
    "sphere of fixed radius over a middle axis": jax.ShapeDtypeStruct((3, 7, 2), jnp.float32),
    "euclidean": jax.ShapeDtypeStruct((4, 3), jnp.float32),
}
kinds = pytest.mark.parametrize("kind", MANIFOLD)


@functools.cache
def examples():
    """On the product of all kinds: two points, a vector at the first, and what the laws speak of."""

    def call(name, *trees):
        return jitted[name](*trees, radii=radii)

    # One small program for each function compiles much faster than all in one.
    names = ("project", "rescale", "normalize", "to_tangent", "exp", "log", "retract", "transport", "distance")
    jitted = {name: jax.jit(functools.partial(getattr(mf, name), MANIFOLD)) for name in names}
    draw = jax.jit(lambda key: mf.random_uniform(MANIFOLD, key, SHAPES))
    x, y, g = (draw(jax.random.key(seed)) for seed in range(3))
    radii = jax.jit(functools.partial(mf.radii, MANIFOLD))(x)
    v, log = call("to_tangent", x, g), call("log", x, y)
    return {
        "x": x,
        "y": y,
        "radii": radii,
        "g": g,
        "v": v,
        "projected": call("project", g),
        "rescaled": call("rescale", x),
        "retracted": call("retract", x, v),
        "log": log,
        "log back": call("log", y, x),
        "exp log": call("exp", x, log),
        "distance": call("distance", x, y),
        "norms": jax.jit(functools.partial(mf.norms, MANIFOLD))(v),
        "unit": call("normalize", v),
        "unit of zero": call("normalize", jax.tree.map(jnp.zeros_like, v)),
        "v carried": call("transport", x, y, v),
        "log carried": call("transport", x, y, log),
    }


def example(kind):
    """One kind's part, and its inner product by definition: a number per sphere, one for a whole flat space."""
    space = MANIFOLD[kind]
    axes = space.axes if isinstance(space, Sphere) else tuple(range(len(SHAPES[kind].shape)))
    return (
        {name: tree[kind] for name, tree in examples().items()},
        lambda a, b: np.sum(np.multiply(a, b, dtype=np.float64), axis=axes, keepdims=True),
    )


def close(a, b, atol=1e-5):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)


@kinds
def test_points_stay_on_the_manifold(kind):
    e, inner = example(kind)
    close(e["rescaled"], e["x"])
    if e["radii"] is not None:
        for name in ("x", "y", "projected", "retracted", "exp log"):
            close(inner(e[name], e[name]), np.broadcast_to(np.square(e["radii"]), e["radii"].shape))


@kinds
def test_exp_and_log_are_inverse(kind):
    e, inner = example(kind)
    close(e["exp log"], e["y"])
    close(np.sqrt(inner(e["log"], e["log"])), e["distance"])


@kinds
def test_tangent_vectors_stay_tangent(kind):
    e, inner = example(kind)
    # What to_tangent removes is orthogonal to what it leaves.
    close(inner(e["v"], e["g"] - e["v"]), 0.0)
    if e["radii"] is not None:
        for name, point in (("v", "x"), ("log", "x"), ("unit", "x"), ("v carried", "y"), ("log carried", "y")):
            close(inner(e[name], e[point]), 0.0, atol=1e-4)


@kinds
def test_transport_is_an_isometry_along_the_geodesic(kind):
    e, inner = example(kind)
    for a, b in (("v", "v"), ("log", "log"), ("v", "log")):
        close(inner(e[f"{a} carried"], e[f"{b} carried"]), inner(e[a], e[b]), atol=1e-4)
    close(e["log carried"], -e["log back"])


@kinds
def test_unit_steps(kind):
    e, inner = example(kind)
    one_radian = 1.0 if e["radii"] is None else e["radii"]
    close(np.sqrt(inner(e["v"], e["v"])), e["norms"])
    close(e["unit"], one_radian * e["v"] / e["norms"])
    assert np.all(e["unit of zero"] == 0.0)


def test_lanes_are_independent():
    @jax.jit
    @jax.vmap
    def lanes(x, v):
        radii = mf.radii(MANIFOLD, x)
        return mf.exp(MANIFOLD, x, v, radii=radii), radii

    e = examples()
    x, v = (jax.tree.map(lambda a: jnp.stack([a, 0.1 * a]), e[name]) for name in ("x", "log"))
    moved, radii = lanes(x, v)
    jax.tree.map(lambda a, b: close(a[0], b), moved, e["exp log"])
    jax.tree.map(lambda a, b: close(a[0], b), radii, e["radii"])


def test_axes_are_the_spheres_coordinates():
    space = Sphere(axes=(-3, -2))
    x, y, v = jax.random.normal(jax.random.key(0), (3, 2, 4, 5, 3))
    radius = jnp.sqrt(jnp.sum(x**2, axis=(1, 2), keepdims=True))

    def channels(a):
        return jnp.moveaxis(a, -1, 1).reshape(2, 3, 20)

    def images(a):
        return jnp.moveaxis(a.reshape(2, 3, 4, 5), 1, -1)

    @jax.jit
    def both(x, y, v):
        flat = {"radius": radius[:, 0, 0]}
        return (
            space.transport(x, y, v, radius=radius),
            images(sphere.transport(channels(x), channels(y), channels(v), **flat)),
            space.distance(x, y, radius=radius),
            sphere.distance(channels(x), channels(y), **flat)[:, None, None],
            Sphere(axes=(-2, -3)).transport(x, y, v, radius=radius),
        )

    carried, expected, lengths, expected_lengths, other = both(x, y, v)
    close(carried, expected)
    assert lengths.shape == expected_lengths.shape == (2, 1, 1, 3)
    close(lengths, expected_lengths)
    # The order in which the axes are named does not matter.
    close(other, carried)


def test_radii_come_from_the_start_or_are_fixed():
    x = {"latent": jnp.array([[3.0, 4.0], [0.0, 0.0]]), "noise": (2.0 * jnp.ones((3, 3, 2)),), "rest": jnp.ones(4)}
    manifold = {"latent": Sphere(), "noise": Sphere(axes=(-3, -2)), "rest": Euclidean()}
    radii = mf.radii(manifold, x)
    np.testing.assert_allclose(radii["latent"], [[5.0], [1e-9**0.5]], rtol=1e-6)
    np.testing.assert_allclose(radii["noise"][0], [[[6.0, 6.0]]], rtol=1e-6)
    assert radii["rest"] is None
    fixed = mf.radii(dataclasses.replace(manifold["latent"], radius=0.5), x["latent"])
    assert fixed.shape == (2, 1) and not fixed.weak_type
    assert jnp.all(fixed == 0.5)


def test_rescaling_is_the_programs():
    x = np.array([[3e-5, 4e-5], [3.0, 4.0]], np.float32)
    expected = x / np.sqrt(np.sum(x.astype(np.float64) ** 2, 1, keepdims=True) + 1e-9) * 2.0
    close(mf.rescale(Sphere(), jnp.asarray(x), radii=jnp.full((2, 1), 2.0)), expected, atol=0)


def test_random_starts():
    e = examples()
    assert jax.tree.map(lambda a: (a.shape, a.dtype), e["x"]) == jax.tree.map(lambda a: (a.shape, a.dtype), SHAPES)
    # The norm of standard normal vectors, where no radius is fixed.
    close(e["radii"]["sphere"], 8**0.5)
    close(e["radii"]["sphere over images"], 4.0)
    like = SHAPES["sphere"]
    fixed = mf.random_uniform(Sphere(radius=2.0), jax.random.key(0), like)
    np.testing.assert_allclose(mf.norms(Sphere(), fixed), 2.0 * np.ones((3, 1)), rtol=1e-5)
    # Variables of one shape differ, and so do keys.
    pair = mf.random_uniform(Sphere(), jax.random.key(0), [like] * 2)
    assert not np.allclose(pair[0], pair[1])
    assert not np.allclose(pair[0], mf.random_uniform(Sphere(), jax.random.key(1), [like] * 2)[0])


def test_a_manifold_is_a_prefix():
    x = {"latent": jnp.ones((3, 8)), "noise": [jnp.ones((r, r, 2)) for r in (4, 8)]}
    assert mf.expand(Sphere(), x) == {"latent": Sphere(), "noise": [Sphere(), Sphere()]}
    product = {"latent": Sphere(), "noise": [Sphere(axes=(-3, -2)), Euclidean()]}
    assert mf.expand(product, x) == product
    assert mf.expand({"latent": Sphere(), "noise": Sphere()}, {**x, "noise": ()}) == {"latent": Sphere(), "noise": ()}


def test_manifolds_are_static():
    assert hash(Sphere(axes=(-3, -2))) == hash(Sphere(axes=(-3, -2)))
    assert Sphere() != Sphere(radius=1.0)
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def norms(space, v):
        traces.append(space)
        return space.norms(v)

    for space in (Sphere(), Sphere(axes=(-1,)), Euclidean(), Euclidean()):
        norms(space, jnp.ones((2, 3)))
    assert traces == [Sphere(), Euclidean()]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: Sphere(axes=()), r"axes: expected different negative axes, got \(\)"),
        (lambda: Sphere(axes=(0,)), "axes: expected different negative axes"),
        (lambda: Sphere(axes=(-1, -1)), "axes: expected different negative axes"),
        (lambda: Sphere(radius=0.0), "radius: expected a positive number or None, got 0.0"),
        (lambda: Sphere(radius=float("nan")), "radius: expected a positive number or None, got nan"),
        (lambda: mf.radii({"a": Sphere()}, {"b": jnp.ones(3)}), "manifold: expected a prefix of the variables"),
        (lambda: mf.radii({"a": 1.0}, {"a": jnp.ones(3)}), "expected a pytree of Sphere and Euclidean, got 1.0"),
        (
            lambda: mf.radii({"a": Sphere(axes=(-3, -2))}, {"a": [jnp.ones((4, 4))]}),
            r"variable\['a'\]\[0\]: expected at least 3 axes .* got shape \(4, 4\)",
        ),
        (
            lambda: mf.exp(Sphere(), jnp.ones((2, 3)), jnp.ones((1, 3)), radii=jnp.ones((2, 1))),
            r"v: expected the shape of x, \(2, 3\); got \(1, 3\)",
        ),
        (lambda: Euclidean().transport(jnp.ones(2), jnp.ones(2), jnp.ones(1), radius=None), "v: expected the shape"),
    ],
)
def test_what_does_not_fit_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        function()


def test_euclidean_vectors_lie_along_their_axes():
    rows = Euclidean(axes=(-1,))
    v = jnp.asarray([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    np.testing.assert_allclose(rows.norms(v), [[5.0], [0.0], [2.0]])
    np.testing.assert_allclose(rows.normalize(v, radius=None), [[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]])
    np.testing.assert_allclose(Euclidean().norms(v), [[29**0.5]], rtol=1e-6)
    np.testing.assert_allclose(rows.distance(v, 0.0 * v, radius=None), [[5.0], [0.0], [2.0]])


def test_a_centred_sphere_has_no_mean():
    space = Sphere(axes=(-3, -2), centred=True)
    start, x, v = (jax.random.normal(jax.random.key(i), (8, 8, 2)) + 0.3 * i for i in range(3))
    radius = space.radii(start)
    for point in (space.project(x, radius=radius), space.rescale(x, radius=radius)):
        np.testing.assert_allclose(jnp.mean(point, axis=(0, 1)), 0.0, atol=1e-6)
        np.testing.assert_allclose(jnp.linalg.norm(point, axis=(0, 1)), radius[0, 0], rtol=1e-5)
    point = space.project(x, radius=radius)
    tangent = space.to_tangent(point, v, radius=radius)
    np.testing.assert_allclose(jnp.mean(tangent, axis=(0, 1)), 0.0, atol=1e-6)
    moved = space.exp(point, tangent, radius=radius)
    np.testing.assert_allclose(jnp.mean(moved, axis=(0, 1)), 0.0, atol=1e-5)


@given(st.sampled_from([1, 2, 7, 40]), st.floats(0.01, 2.0), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_the_l1_balls_projection_is_the_nearest_point(size, most, seed):
    x = 2 * np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    point = np.asarray(L1Ball(mean_absolute=most).project(jnp.asarray(x), radius=None), np.float64)
    if np.abs(x).sum() <= most * size:
        np.testing.assert_array_equal(point, x)
        return
    np.testing.assert_allclose(np.abs(point).sum(), most * size, rtol=1e-4)
    # Optimal (Karush, Kuhn and Tucker): what is left shrinks by one threshold, what is gone was below it.
    threshold = (np.abs(x) - np.abs(point))[point != 0]
    np.testing.assert_allclose(threshold, threshold[0], atol=1e-5)
    assert np.all(np.abs(x[point == 0]) <= threshold[0] + 1e-5)
    assert np.all(point * x >= 0)


def test_a_ball_takes_part_in_a_product():
    manifold = {"a": Sphere(), "b": L1Ball(mean_absolute=0.5)}
    point = {"a": jnp.ones((2, 3)), "b": jnp.asarray([4.0, 0.0, 0.0, 0.0])}
    radii = mf.radii(manifold, point)
    np.testing.assert_allclose(mf.rescale(manifold, point, radii=radii)["b"], [2.0, 0.0, 0.0, 0.0])


def test_each_vector_stays_in_a_ball_around_its_start():
    space = {"w": NearStart(norm=2.0)}
    start = {"w": jnp.asarray([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])}
    radii = mf.radii(space, start)
    moved = {"w": start["w"] + jnp.asarray([[4.0, 0.5, 0.0], [0.5, -1.0, 0.5]])}
    np.testing.assert_allclose(mf.rescale(space, moved, radii=radii)["w"], [[3.0, 2.0, 3.0], [0.5, -1.0, 0.5]])
    np.testing.assert_allclose(mf.project(space, moved, radii=radii)["w"], [[3.0, 2.0, 3.0], [0.5, -1.0, 0.5]])
    with pytest.raises(ValueError, match="radius: expected the start"):
        NearStart(axes=(-2, -1)).project(start["w"], radius=start["w"])
