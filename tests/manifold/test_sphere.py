"""The laws of the sphere's geometry, against mathematics and extended-precision numpy."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from pulse_jax.manifold import sphere

DIMENSIONS = (2, 3, 512)
# Tiny, ordinary and nearly antipodal angles, in radians; both sides of the change from series to closed form at 0.01.
ANGLES = (0.0, 1e-8, 1e-4, 0.0099, 0.0101, 0.5, 1.5, 2.0, 3.0, math.pi - 1e-3, math.pi - 1e-6, math.pi)
DTYPES = ("float32", "float64")

laws = settings(max_examples=25, deadline=None)
cases = given(
    d=st.sampled_from(DIMENSIONS),
    dtype=st.sampled_from(DTYPES),
    angle=st.sampled_from(ANGLES),
    radius=st.sampled_from((1.0, 22.6, 1e-3)),
    seed=st.integers(0, 2**32 - 1),
)


exp, log, transport, distance = map(jax.jit, (sphere.exp, sphere.log, sphere.transport, sphere.distance))


def measured(x, y, radius, v=None, a=None, b=None):
    """Everything that the laws speak of, in the precision of x, the results in extended precision.

    Vectors v, to step along, and a and b, to transport, are zero where not given.
    """
    with jax.enable_x64(x.dtype == np.float64):
        x, y, v, a, b = (jnp.zeros_like(x) if given is None else jnp.asarray(given) for given in (x, y, v, a, b))
        way, moved = log(x, y, radius=radius), exp(x, v, radius=radius)
        carried = transport(x, y, a, radius=radius)
        results = {
            "distance": distance(x, y, radius=radius),
            "log_xy": way,
            "log_yx": log(y, x, radius=radius),
            "exp_log": exp(x, way, radius=radius),
            "exp": moved,
            "log_exp": log(x, moved, radius=radius),
            "distance_exp": distance(x, moved, radius=radius),
            "a": carried,
            "b": transport(x, y, b, radius=radius),
            "a_and_back": transport(y, x, carried, radius=radius),
            "velocity": transport(x, y, way, radius=radius),
        }
        return {name: np.asarray(result).astype(np.longdouble) for name, result in results.items()}


def directions(seed, d, n):
    """n orthonormal vectors (at most d of them; the rest repeat) in extended precision."""
    rows = np.random.default_rng(seed).standard_normal((min(n, d), d)).astype(np.longdouble)
    for i in range(len(rows)):
        for _ in range(2):
            for j in range(i):
                rows[i] -= (rows[i] @ rows[j]) * rows[j]
            rows[i] /= np.sqrt(rows[i] @ rows[i])
    return [rows[i % len(rows)] for i in range(n)]


def pair(seed, d, angle, radius, dtype):
    """Two points at an angle, rounded to dtype, and the unit vector at the first towards the second."""
    x, u = directions(seed, d, 2)
    angle = np.longdouble(angle)
    # The rounded pi is not pi: the antipode is exact.
    y = -x if angle == np.longdouble(math.pi) else np.cos(angle) * x + np.sin(angle) * u
    return (radius * x).astype(dtype), (radius * y).astype(dtype), u


def length(v):
    return np.sqrt(np.sum(np.square(v.astype(np.longdouble)), axis=-1))


@laws
@cases
def test_distance_matches_extended_precision(d, dtype, angle, radius, seed):
    x, y, _ = pair(seed, d, angle, radius, dtype)
    eps = np.finfo(dtype).eps
    result = measured(x, y, radius)["distance"]
    wide = [a.astype(np.longdouble) for a in (x, y)]
    # Of the points as they are rounded, to a few units in the last place; of the ideal ones, to the points' rounding.
    of_rounded = 2 * np.longdouble(radius) * np.arctan2(length(wide[0] - wide[1]), length(wide[0] + wide[1]))
    assert abs(result - of_rounded) <= 8 * eps * of_rounded
    assert abs(result - radius * angle) <= 8 * eps * radius


@laws
@cases
def test_exp_inverts_log(d, dtype, angle, radius, seed):
    x, y, _ = pair(seed, d, angle, radius, dtype)
    result = measured(x, y, radius)
    v = result["log_xy"]
    eps = np.finfo(dtype).eps
    assert length(result["exp_log"] - y) <= 16 * eps * radius
    assert abs(v @ x) <= 16 * eps * radius * length(v)
    assert abs(length(v) - result["distance"]) <= 16 * eps * radius


@laws
@cases
def test_log_inverts_exp(d, dtype, angle, radius, seed):
    x, _, u = pair(seed, d, 0.0, radius, dtype)
    angle = min(angle, math.pi - 1e-3)
    v = (radius * angle * u).astype(dtype)
    back = measured(x, x, radius, v=v)["log_exp"]
    # Rounding the end point turns the direction by eps / sin(angle).
    assert length(back - v) <= 16 * np.finfo(dtype).eps * radius * max(1.0, angle / (math.pi - angle))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiny_steps_keep_their_relative_accuracy(dtype):
    # From a pole with all other coordinates zero, a small step is representable however small it is.
    x = np.eye(1, 3, dtype=dtype)[0]
    for size in (1e-8, 1e-15, 1e-30):
        v = (size * np.eye(3)[1]).astype(dtype)
        result = {k: r.astype(float) for k, r in measured(x, x, 1.0, v=v).items()}
        np.testing.assert_allclose(result["exp"], x + v, rtol=1e-6)
        np.testing.assert_allclose(result["log_exp"], v, rtol=1e-6)
        np.testing.assert_allclose(result["distance_exp"], size, rtol=1e-6)
    # A few units in the last place apart, without rounding: (3, -2, 6) has norm 7, and (2, 3, 0) is tangent there.
    v = 16 * np.finfo(dtype).eps * np.array([2.0, 3.0, 0.0], dtype)
    x = np.array([3.0, -2.0, 6.0], dtype)
    result = {k: r.astype(float) for k, r in measured(x, x + v, 7.0).items()}
    np.testing.assert_allclose(result["log_xy"], v, rtol=1e-5, atol=1e-5 * np.max(v))
    np.testing.assert_allclose(result["distance"], np.linalg.norm(v), rtol=1e-5)


@laws
@cases
def test_transport_is_an_isometry_between_tangent_spaces(d, dtype, angle, radius, seed):
    x, y, u = pair(seed, d, angle, radius, dtype)
    tolerance = 16 * np.finfo(dtype).eps
    base, _, w = directions(seed, d, 3)
    # The geodesic's own direction and one across it (in the plane there is none).
    a, b = (u + w if d > 2 else u).astype(dtype), (u - 2 * w if d > 2 else -3 * u).astype(dtype)
    result = measured(x, y, radius, a=a, b=b)
    ta, tb = result["a"], result["b"]
    assert abs(length(ta) - length(a)) <= tolerance * length(a)
    assert abs(ta @ tb - a.astype(np.longdouble) @ b) <= tolerance * length(a) * length(b)
    assert abs(ta @ y) <= tolerance * radius * length(a)
    assert length(result["a_and_back"] - a) <= tolerance * length(a)
    if angle <= 2.0:  # Where the rounded points still define the geodesic well.
        exact = a + (u @ a) * ((np.cos(np.longdouble(angle)) - 1) * u - np.sin(np.longdouble(angle)) * base)
        assert length(ta - exact) <= tolerance * length(a)


@laws
@cases
def test_transport_takes_the_geodesics_velocity_along(d, dtype, angle, radius, seed):
    x, y, _ = pair(seed, d, angle, radius, dtype)
    result = measured(x, y, radius)
    # Rounding turns the direction of a nearly antipodal pair, seen from its two ends, by eps / (pi - angle).
    turn = 1 / (math.pi - angle) if angle < math.pi else 1.0
    tolerance = 16 * np.finfo(dtype).eps * max(radius, length(result["log_xy"]) * max(1.0, turn))
    assert length(result["velocity"] + result["log_yx"]) <= tolerance


@pytest.mark.parametrize(("d", "dtype"), [(2, "float32"), (512, "float32"), (512, "float64")])
def test_a_thousand_steps_stay_on_the_sphere(d, dtype):
    radius = math.sqrt(d)
    with jax.enable_x64(dtype == "float64"):

        def step(carry, key):
            x, m = carry
            v = sphere.to_tangent(x, 0.1 * jax.random.normal(key, (d,), dtype), radius=radius)
            y = sphere.exp(x, v, radius=radius)
            return (y, sphere.transport(x, y, m, radius=radius)), None

        x = radius * np.eye(1, d, dtype=dtype)[0]
        m = np.eye(1, d, 1, dtype=dtype)[0]
        keys = jax.random.split(jax.random.key(1), 1000)
        y, carried = jax.jit(lambda carry: jax.lax.scan(step, carry, keys)[0])((x, m))
        assert abs(length(np.asarray(y)) / radius - 1) <= 1e-5
        assert abs(length(np.asarray(carried)) - 1) <= 1e-5
        assert abs(np.asarray(carried) @ np.asarray(y)) <= 1e-5 * radius


FUNCTIONS = {
    "norm": 1,
    "project": 1,
    "to_tangent": 2,
    "exp": 2,
    "log": 2,
    "retract": 2,
    "distance": 2,
    "transport": 3,
}


@jax.jit
def values_and_gradients(a, b, radius):
    """Every function at (a, b, b), and its gradient in a direction of unequal weights."""

    def both(name, *arrays):
        def weighted(*arrays):
            result = getattr(sphere, name)(*arrays, **({} if name == "norm" else {"radius": radius}))
            weights = jnp.cos(jnp.arange(result.size, dtype=result.dtype)).reshape(result.shape)
            return jnp.sum(weights * result), result

        (_, value), gradients = jax.value_and_grad(weighted, tuple(range(len(arrays))), has_aux=True)(*arrays)
        return value, gradients

    return {name: both(name, *(a, b, b)[:n]) for name, n in FUNCTIONS.items()}


def awkward_points(dtype):
    """Where geometry is not smooth, or floating point not harmless."""
    d = 5
    rng = np.random.default_rng(3)
    x, y = (v / np.linalg.norm(v) for v in rng.standard_normal((2, d)))
    pole, zero = np.eye(d)[0], np.zeros(d)
    bumped = np.nextafter(x.astype(dtype), dtype(2)).astype(dtype)
    sliver = -pole + 1e-30 * np.eye(d)[1]
    pairs = [(x, x), (x, -x), (x, y), (pole, pole), (pole, -pole), (x, bumped), (x, -bumped), (pole, sliver)]
    pairs += [
        (zero, zero),
        (x, zero),
        (zero, x),
        (x, -x * (1 + 1e-6)),
        (x, 1e-30 * y),
        (x, 1e-42 * y),
        (x, 10.0 * y),
        (x, 1e8 * y),
    ]
    return [(a.astype(dtype), b.astype(dtype)) for a, b in pairs]


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients_are_finite_everywhere(dtype):
    with jax.enable_x64(dtype == "float64"):
        for a, b in awkward_points(np.dtype(dtype).type):
            for scale in np.asarray([1.0, 1e-15, 1e15], dtype):
                for name, result in values_and_gradients(a * scale, b * scale, scale).items():
                    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(result)), (name, a, b, scale)


def test_nans_pass_through():
    nan = np.full(5, np.nan, np.float32)
    for name, (value, _) in values_and_gradients(nan, nan, np.float32(1.0)).items():
        assert np.all(np.isnan(value)), name


def test_at_the_same_point():
    radius = 3.0
    x, tangent = np.array([2.0, -1.0, 2.0]), np.array([1.0, 2.0, 0.0])
    result = measured(x, x, radius, a=tangent)
    assert np.all(result["exp"] == x)
    assert np.all(result["log_xy"] == 0.0)
    assert result["distance"] == 0.0
    np.testing.assert_allclose(result["a"].astype(float), tangent, rtol=1e-14, atol=1e-14)

    @jax.jit
    def differentials(x, v):
        exp = jax.jvp(lambda v: sphere.exp(x, v, radius=radius), (0 * v,), (v,))[1]
        log = jax.jvp(lambda y: sphere.log(x, y, radius=radius), (x,), (v,))[1]
        return exp, log, jax.grad(lambda y: sphere.distance(x, y, radius=radius))(x)

    with jax.enable_x64(True):
        exp, log, slope = differentials(x, tangent)
        # On the tangent space, those of exp at 0 and of log at x are the identity.
        np.testing.assert_allclose(exp, tangent, rtol=1e-14)
        np.testing.assert_allclose(log, tangent, rtol=1e-14, atol=1e-14)
        assert np.all(slope == 0.0)


def test_at_the_antipode():
    radius = 3.0
    x = np.array([2.0, -1.0, 2.0])
    # pi radius along the first coordinate axis: (1, 0, 0) made tangent is (5, 2, -4) / 9.
    v = math.pi * radius * np.array([5.0, 2.0, -4.0]) / math.sqrt(45.0)
    across = np.cross(x, v)
    result = {k: r.astype(float) for k, r in measured(x, -x, radius, a=v, b=across).items()}
    np.testing.assert_allclose(result["log_xy"], v, rtol=1e-14)
    np.testing.assert_allclose(result["exp_log"], -x, atol=1e-14)
    np.testing.assert_allclose(result["distance"], math.pi * radius, rtol=1e-15)
    # Along that geodesic the velocity turns over, and what is across it stays.
    np.testing.assert_allclose(result["a"], -v, rtol=1e-14)
    np.testing.assert_allclose(result["b"], across, atol=1e-13)
    # On the first axis itself, along the second.
    pole = np.array([-radius, 0.0, 0.0])
    turned = measured(pole, -pole, radius)["log_xy"].astype(float)
    np.testing.assert_allclose(turned, [0.0, math.pi * radius, 0.0], rtol=1e-14)

    @jax.jit
    def slopes(x, y):
        return [jax.jacobian(lambda y, f=f: f(x, y, radius=radius))(y) for f in (sphere.log, sphere.distance)]

    with jax.enable_x64(True):
        assert all(np.all(slope == 0.0) for slope in slopes(x, -x))


def test_gradients_match_finite_differences():
    radius, h = 2.0, 1e-5

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def errors(angle, vectors):
        x, u, w, *shifts = vectors
        x = sphere.project(x, radius=radius)
        u = sphere.project(sphere.to_tangent(x, u, radius=radius), radius=1.0)
        y = sphere.exp(x, radius * angle * u, radius=radius)
        functions = {
            "exp": (sphere.exp, (x, radius * angle * u)),
            "retract": (sphere.retract, (x, radius * angle * u)),
            "to_tangent": (sphere.to_tangent, (x, w)),
            "transport": (sphere.transport, (x, y, sphere.to_tangent(x, w, radius=radius))),
            # Of the points of the sphere only: what these are off it, nobody has said.
            "log": (lambda y, radius: sphere.log(x, sphere.project(y, radius=radius), radius=radius), (y,)),
        }
        result = {}
        for name, (function, arguments) in functions.items():
            moves = tuple(shifts[: len(arguments)])
            at = functools.partial(function, radius=radius)
            steps = np.array([h, -h])[:, None]
            ahead, behind = at(*(a + steps * m for a, m in zip(arguments, moves, strict=True)))
            _, slope = jax.jvp(at, arguments, moves)
            result[name] = jnp.max(jnp.abs(slope - (ahead - behind) / (2 * h)))
        velocity = -sphere.log(y, x, radius=radius)
        gradient = jax.grad(lambda y: sphere.distance(x, y, radius=radius))(y)
        result["distance"] = jnp.max(jnp.abs(gradient - velocity / sphere.norm(velocity)))
        return result

    with jax.enable_x64(True):
        vectors = np.random.default_rng(0).standard_normal((6, 4))
        for name, error in errors(np.array([1e-6, 0.009, 0.011, 1.0, 2.5]), vectors).items():
            assert np.all(error <= 1e-7), (name, error)


@pytest.mark.parametrize("d", [2, 512])
def test_projections(d):
    radius = 1.7
    x = sphere.random_uniform(jax.random.key(0), (d,), radius=radius)
    g = jax.random.normal(jax.random.key(1), (d,))
    v = sphere.to_tangent(x, g, radius=radius)
    scale = float(sphere.norm(g))
    assert abs(v @ x) <= 1e-6 * radius * scale
    np.testing.assert_allclose(sphere.to_tangent(x, v, radius=radius), v, atol=1e-6 * scale)
    # What is removed is normal: nothing tangent is closer to g.
    np.testing.assert_allclose(sphere.norm((g - v) - x * ((g - v) @ x) / radius**2), 0.0, atol=1e-6 * scale)
    np.testing.assert_allclose(sphere.norm(sphere.project(g, radius=radius)), radius, rtol=1e-6)
    np.testing.assert_allclose(sphere.project(3.0 * x, radius=radius), x, rtol=1e-6)
    # The retraction goes the same way as exp, atan(|v| / radius) far instead of |v| / radius.
    angle = math.atan(float(sphere.norm(v)) / radius)
    same = sphere.exp(x, v * (radius * angle / sphere.norm(v)), radius=radius)
    np.testing.assert_allclose(sphere.retract(x, v, radius=radius), same, atol=1e-6 * radius)


def test_the_zero_vector_has_no_projection():
    zero = np.zeros(5, np.float32)
    results = values_and_gradients(zero, zero, np.float32(2.0))
    for name in ("project", "norm"):
        assert all(np.all(leaf == 0.0) for leaf in jax.tree.leaves(results[name]))


def test_norm_neither_overflows_nor_vanishes():
    v = jnp.array([[3e-30, 4e-30], [3e30, 4e30]])
    np.testing.assert_allclose(sphere.norm(v), [5e-30, 5e30], rtol=1e-6)


def test_one_radius_per_sphere():
    radius = jnp.array([0.5, 1.0, 2.0])
    x, y, g = (sphere.random_uniform(jax.random.key(i), (4, 3, 6), radius=radius) for i in range(3))
    np.testing.assert_allclose(sphere.norm(x), np.broadcast_to(radius, (4, 3)), rtol=1e-6)
    v = sphere.to_tangent(x, g, radius=radius)
    calls = {
        "project": (g,),
        "to_tangent": (x, g),
        "exp": (x, v),
        "log": (x, y),
        "retract": (x, v),
        "transport": (x, y, v),
        "distance": (x, y),
    }

    @jax.jit
    def everything(calls, radius):
        return {name: getattr(sphere, name)(*arrays, radius=radius) for name, arrays in calls.items()}

    together = everything(calls, radius)
    alone = jax.jit(jax.vmap(everything, (1, 0), 1))(calls, radius)
    for name, result in together.items():
        np.testing.assert_allclose(result, alone[name], rtol=2e-6, atol=2e-6, err_msg=name)


def test_batches_broadcast():
    x = sphere.random_uniform(jax.random.key(0), (5, 1, 3), radius=1.0)
    y = sphere.random_uniform(jax.random.key(1), (4, 3), radius=1.0)
    lengths = jax.jit(sphere.distance)(x, y, radius=1.0)
    assert lengths.shape == (5, 4)
    np.testing.assert_allclose(lengths[2, 3], 2 * np.arcsin(np.linalg.norm(x[2, 0] - y[3]) / 2), rtol=1e-5)
    assert jax.eval_shape(sphere.log, x, y, radius=1.0).shape == (5, 4, 3)


def test_uniform_points():
    n, d, radius = 20_000, 3, 2.0
    x = sphere.random_uniform(jax.random.key(0), (n, d), radius=radius)
    assert x.shape == (n, d) and x.dtype == jnp.float32
    np.testing.assert_allclose(sphere.norm(x), radius, rtol=1e-6)
    # Archimedes: each coordinate of a point on the sphere in space is uniform between -radius and radius.
    for coordinate in np.sort(np.asarray(x), axis=0).T:
        expected = radius * (2 * (np.arange(n) + 0.5) / n - 1)
        assert np.max(np.abs(coordinate - expected)) <= 2 * radius * 1.95 / math.sqrt(n)  # Kolmogorov, 0.1 %
    np.testing.assert_allclose(x.T @ x / n, radius**2 / d * np.eye(d), atol=0.05)
    with jax.enable_x64(True):
        assert sphere.random_uniform(jax.random.key(0), (2, d), radius=1.0, dtype=jnp.float64).dtype == jnp.float64


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: sphere.exp(jnp.ones(3), jnp.ones(4), radius=1.0), "v: expected a last axis of 3"),
        (lambda: sphere.distance(jnp.ones((2, 3)), jnp.ones((5, 3)), radius=1.0), "expected leading axes that broad"),
        (lambda: sphere.project(jnp.ones((2, 3)), radius=jnp.ones(3)), r"got {'x': \(2,\), 'radius': \(3,\)}"),
        (lambda: sphere.norm(jnp.ones(())), "x: expected an array"),
        (lambda: sphere.random_uniform(jax.random.key(0), (), radius=1.0), "x: expected an array"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(function, message):
    # With the annotations checked they refuse some of these first, in their own words.
    with pytest.raises((ValueError, TypeCheckError), match=f"{message}|(?s:Type-check error.*)"):
        function()
