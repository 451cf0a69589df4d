"""Optimisers against known minima, formulas worked out by hand, and the program's recorded schedules."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pulse_jax import optimizers
from pulse_jax.manifold import product, sphere
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.optimizers import adaptive, descent, links, momentum, projection, registry, schedules
from pulse_jax.search.config import SearchConfig
from tests.golden_weights import load

GOLDEN = load("f_schedules")

MANIFOLD = {"latent": Sphere(), "noise": Sphere(axes=(-3, -2))}
LIKE = {"latent": jax.ShapeDtypeStruct((2, 16), jnp.float32), "noise": jax.ShapeDtypeStruct((4, 4, 1), jnp.float32)}

EVERY = {name: functools.partial(registry.make_optimizer, name) for name in registry.OPTIMIZERS} | {
    "riemannian_adam per coordinate": functools.partial(optimizers.riemannian_adam, second_moment="coordinate"),
    "riemannian_momentum as it is": optimizers.riemannian_momentum,
}
every = pytest.mark.parametrize("name", EVERY)


def start(key=0):
    return product.random_uniform(MANIFOLD, jax.random.key(key), LIKE)


def unit(*entries):
    return jnp.array(entries) / math.sqrt(sum(e * e for e in entries))


def descend(optimizer, params, gradient, steps):
    """The variables after some steps, and those of every step."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    (params, _), path = jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)
    return params, path


@every
def test_finds_the_minimum_and_stays_on_the_sphere(name):
    x, target = start(0), start(1)
    optimizer = EVERY[name](schedules.schedule("linear1cycledrop", 0.05, 1000), MANIFOLD)

    # On a sphere |x - target|² / 2 is the linear functional -<x, target> and a constant: its minimum is the target. (In
    # the ambient space that functional's own gradient is constant, and Adam would follow its sign.)
    @jax.jit
    @jax.vmap
    def run(x):
        radii = product.radii(MANIFOLD, x)
        last, path = descend(optimizer, x, lambda p: jax.tree.map(jnp.subtract, p, target), 1000)
        drift = jax.tree.map(
            lambda n, r: jnp.max(jnp.abs(n / r - 1.0)), jax.vmap(lambda p: product.norms(MANIFOLD, p))(path), radii
        )
        left = jax.tree.map(lambda d, r: jnp.max(d / r), product.distance(MANIFOLD, last, target, radii=radii), radii)
        return drift, left, jax.tree.map(lambda a: a[0], path)

    drift, left, first = run(jax.tree.map(lambda a, b: jnp.stack([a, b]), x, target))
    assert np.max(jax.tree.leaves(drift)) <= 1e-5
    assert np.max([angle[0] for angle in jax.tree.leaves(left)]) <= 1e-2
    # The second run starts where the gradient is zero, and its first step goes nowhere.
    for stayed, goal in zip(jax.tree.leaves(first), jax.tree.leaves(target), strict=True):
        np.testing.assert_allclose(stayed[1], goal, atol=1e-6)


def test_projected_is_the_programs_formula():
    rng = np.random.default_rng(0)
    p, gradients = rng.standard_normal((3, 5)), rng.standard_normal((4, 3, 5))
    params = jnp.asarray(p, jnp.float32)
    optimizer = projection.projected(optax.sgd(0.3, momentum=0.9), Sphere())
    state = optimizer.init(params)
    radius = np.sqrt(np.sum(p**2, 1, keepdims=True) + 1e-9)
    velocity = np.zeros_like(p)
    for g in gradients:
        velocity = 0.9 * velocity + g
        p = p - 0.3 * velocity
        p = p / np.sqrt(np.sum(p**2, 1, keepdims=True) + 1e-9) * radius
        updates, state = optimizer.update(jnp.asarray(g, jnp.float32), state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params, p, rtol=1e-5, atol=1e-6)


PLAIN = {
    "riemannian_sgd": optax.sgd,
    "riemannian_momentum as it is": functools.partial(optax.sgd, momentum=0.9),
    "riemannian_adam": optax.adam,
    "riemannian_adam per coordinate": optax.adam,
    "projected_adam": optax.adam,
    "projected_adamax": optax.adamax,
}


@pytest.mark.parametrize("name", PLAIN)
def test_flat_variables_behave_as_in_optax(name):
    def path(optimizer, dtype):
        x = jnp.array([[1.0, -2.0], [0.5, 3.0]], dtype)
        return jax.jit(lambda x: descend(optimizer, x, lambda p: p**3 - 1.0, 20)[1])(x)

    with jax.enable_x64(True):
        expected = path(PLAIN[name](0.1), jnp.float64)
    np.testing.assert_allclose(path(EVERY[name](0.1, Euclidean()), jnp.float32), expected, rtol=2e-6, atol=2e-6)


def test_a_riemannian_step_follows_the_geodesic():
    x, g = 3.0 * unit(1.0, 2.0, 2.0), jnp.array([2.0, -1.0, 1.0])
    optimizer = optimizers.riemannian_sgd(0.4, Sphere())
    updates, _ = optimizer.update(g, optimizer.init(x), x)
    # The gradient's tangent part is g - x <x, g> / 9 = (16, -13, 5) / 9, of squared length 50 / 9.
    v = np.array([16.0, -13.0, 5.0]) / 9.0
    angle = 0.4 * math.sqrt(50.0) / 3.0 / 3.0
    expected = math.cos(angle) * np.asarray(x) - 3.0 * math.sin(angle) * v / np.linalg.norm(v)
    np.testing.assert_allclose(x + updates, expected, rtol=1e-5)


@pytest.mark.parametrize("radius", [1.0, 50.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", ["normalized_gradient", "riemannian_momentum", "riemannian_adam"])
def test_the_learning_rate_is_an_angle(name, radius, scale):
    x, g = radius * unit(1.0, 2.0, -2.0, 4.0), scale * unit(4.0, 1.0, 0.0, -3.0)
    optimizer = registry.make_optimizer(name, 0.1, Sphere())
    updates, _ = optimizer.update(g, optimizer.init(x), x)
    np.testing.assert_allclose(sphere.distance(x, x + updates, radius=1.0), 0.1, rtol=1e-4)


def test_momentum_keeps_its_length():
    turn = math.radians(22.0)
    x, velocity = unit(1.0, 0.0, 0.0), unit(0.0, 1.0, 0.0)
    y = jnp.array([math.cos(turn), math.sin(turn), 0.0])
    trace = optimizers.transported_trace(0.9, Sphere())
    moments, state = trace.update(velocity, trace.init(x), x)
    np.testing.assert_allclose(moments, velocity, atol=1e-7)
    carried, _ = trace.update(jnp.zeros(3), state, y)
    # Turned with the geodesic, 0.9 long. Made tangent by projection it would be 0.9 · cos 22° = 0.9 · 0.927.
    np.testing.assert_allclose(carried, 0.9 * jnp.array([-math.sin(turn), math.cos(turn), 0.0]), atol=1e-6)
    np.testing.assert_allclose(sphere.norm(sphere.to_tangent(y, velocity, radius=1.0)), math.cos(turn), rtol=1e-6)


@pytest.mark.parametrize("second_moment", ["sphere", "coordinate"])
def test_riemannian_adam_matches_its_formula(second_moment):
    n, radius, rate = 5, 2.0, 0.3
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n)
    x *= radius / np.linalg.norm(x)
    gradients = rng.standard_normal((6, n))

    # The formula, with rotations in the plane of two points for the exponential map and the transport.
    m, v, expected, point = np.zeros(n), np.zeros(n), [], x
    for t, g in enumerate(gradients, 1):
        g = g - point * (point @ g) / radius**2
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * (np.mean(g**2) if second_moment == "sphere" else g**2)
        step = -rate * radius / math.sqrt(n) * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        step = step - point * (point @ step) / radius**2
        angle, u, base = np.linalg.norm(step) / radius, step / np.linalg.norm(step), point / radius
        point = radius * (math.cos(angle) * base + math.sin(angle) * u)
        m = m + (u @ m) * ((math.cos(angle) - 1.0) * u - math.sin(angle) * base)
        expected.append(point)

    with jax.enable_x64(True):
        optimizer = optimizers.riemannian_adam(rate, Sphere(radius=radius), second_moment=second_moment)
        params = jnp.asarray(x)
        state, update = optimizer.init(params), jax.jit(optimizer.update)
        for g, point in zip(gradients, expected, strict=True):
            updates, state = update(jnp.asarray(g), state, params)
            params = optax.apply_updates(params, updates)
            np.testing.assert_allclose(params, point, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["projected_sgd", "riemannian_adam", "normalized_gradient"])
def test_a_start_off_the_sphere_lands_on_it(name):
    x, g = jnp.array([[30.0, 40.0, 0.0]]), jnp.array([[0.0, 0.0, 1.0]])
    optimizer = registry.make_optimizer(name, 0.1, Sphere(radius=2.0))
    updates, _ = optimizer.update(g, optimizer.init(x), x)
    np.testing.assert_allclose(sphere.norm(x + updates), 2.0, rtol=1e-5)


def test_they_compose_with_optax():
    x, g = unit(1.0, 0.0, 0.0), jnp.array([0.0, 300.0, 400.0])
    chain = optax.chain(optax.clip_by_global_norm(1.0), optimizers.riemannian_sgd(0.25, Sphere()))
    updates, _ = chain.update(g, chain.init(x), x)
    # The clipped gradient has length 1, so the step is 0.25 long.
    expected = [math.cos(0.25), -0.6 * math.sin(0.25), -0.8 * math.sin(0.25)]
    np.testing.assert_allclose(x + updates, expected, atol=1e-6)
    # Polyak's step size needs the loss: extra arguments reach the wrapped optimiser. (1 - 0) / |g|² = 4e-6.
    polyak = projection.projected(optax.polyak_sgd(max_learning_rate=1.0), Sphere())
    updates, _ = polyak.update(g, polyak.init(x), x, value=1.0)
    moved = np.array([1.0, -300.0 / 250e3, -400.0 / 250e3])
    np.testing.assert_allclose(x + updates, moved / np.linalg.norm(moved), atol=1e-6)


def test_the_learning_rate_may_be_a_schedule_or_injected():
    x, g = unit(1.0, 0.0, 0.0), jnp.array([0.0, 1.0, 0.0])
    scheduled = optimizers.normalized_gradient(lambda count: 0.1 * (count + 1), Sphere())
    state, place = scheduled.init(x), x
    for rate in (0.1, 0.2, 0.3):
        updates, state = scheduled.update(g, state, place)
        np.testing.assert_allclose(sphere.distance(place, place + updates, radius=1.0), rate, rtol=1e-5)
        place = place + updates
    injected = optax.inject_hyperparams(optimizers.riemannian_adam)(learning_rate=0.1, manifold={"x": Sphere()})
    state = injected.init({"x": x})
    state.hyperparams["learning_rate"] = jnp.float32(0.3)
    updates, _ = injected.update({"x": g}, state, {"x": x})
    np.testing.assert_allclose(sphere.distance(x, x + updates["x"], radius=1.0), 0.3, rtol=1e-5)


@every
def test_states_keep_their_types(name):
    x = start()
    optimizer = EVERY[name](schedules.schedule("linear1cycle", 0.1, 10), MANIFOLD)
    state = optimizer.init(x)
    updates, after = jax.eval_shape(optimizer.update, x, state, x)

    def types(tree):
        return jax.tree.map(lambda a: (a.shape, a.dtype, a.weak_type), tree)

    # Equal types are what lets a compiled step be used again, and what `lax.scan` asks for.
    assert types(after) == types(jax.eval_shape(lambda: state))
    assert types(updates) == types(jax.eval_shape(lambda: x))


def test_one_compilation_serves_all_steps_with_donated_state():
    optimizer = optimizers.riemannian_adam(schedules.schedule("linear1cycle", 0.1, 10), MANIFOLD)
    traces = []

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state):
        traces.append(None)
        updates, state = optimizer.update(jax.tree.map(jnp.cos, params), state, params)
        return optax.apply_updates(params, updates), state

    params = start()
    state = optimizer.init(params)
    for _ in range(3):
        params, state = step(params, state)
    assert len(traces) == 1


def test_lanes():
    lanes = [start(key) for key in range(3)]
    optimizer = optimizers.riemannian_adam(0.1, MANIFOLD)

    def run(params):
        return descend(optimizer, params, lambda p: jax.tree.map(jnp.cos, p), 5)[0]

    together = jax.jit(jax.vmap(run))(jax.tree.map(lambda *a: jnp.stack(a), *lanes))
    alone = jax.jit(run)
    for index, lane in enumerate(lanes):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone(lane)), strict=True):
            np.testing.assert_allclose(a[index], b, rtol=1e-5, atol=1e-5)


def test_the_settings_know_every_optimiser_and_schedule():
    for name in registry.OPTIMIZERS:
        assert SearchConfig(optimizer=name).optimizer == name
    for name in schedules.SCHEDULES:
        assert SearchConfig(schedule=name).schedule == name


def test_every_public_name_is_offered_by_the_package():
    for module in (adaptive, descent, links, momentum, projection, registry, schedules):
        for name in module.__all__:
            assert getattr(optimizers, name) is getattr(module, name)


def test_a_new_optimiser_and_a_new_schedule_are_a_row_each(monkeypatch):
    """Signs of the gradient, as nothing here has: a link between the shared first and last ones."""

    def signs(rate, manifold):
        return optimizers.riemannian_chain(rate, manifold, optax.stateless(lambda g, _: jax.tree.map(jnp.sign, g)))

    with pytest.raises(ValueError, match="name: expected one of projected_adam"):
        registry.make_optimizer("signs", 0.1, Euclidean())
    monkeypatch.setitem(registry.OPTIMIZERS, "signs", signs)
    monkeypatch.setitem(schedules.SCHEDULES, "halves", lambda fraction: 0.5 ** (10 * fraction))
    optimizer = registry.make_optimizer("signs", schedules.schedule("halves", 0.8, 10), Euclidean())
    _, path = descend(optimizer, jnp.asarray([3.0, -3.0]), lambda p: 100.0 * p, 3)
    np.testing.assert_allclose(path, [[2.2, -2.2], [1.8, -1.8], [1.6, -1.6]], rtol=1e-6)
    # On a sphere the same row's direction is retracted: the point turns, and keeps its radius.
    optimizer = registry.make_optimizer("signs", 0.1, Sphere(radius=2.0))
    last, _ = descend(optimizer, jnp.asarray([[2.0, 0.0]]), lambda p: jnp.asarray([[0.0, 7.0]]), 1)
    np.testing.assert_allclose(last, [[2.0 * math.cos(0.05), -2.0 * math.sin(0.05)]], rtol=1e-6)


@pytest.mark.parametrize("key", GOLDEN)
def test_schedules_match_the_program(key):
    name, steps = key.split("/steps")
    rate = jax.jit(schedules.schedule(name, 0.4, int(steps)))
    rates = rate(jnp.arange(int(steps) + 1))
    assert rates.dtype == jnp.float32
    np.testing.assert_allclose(rates, 0.4 * GOLDEN[key], rtol=0, atol=1e-6)


def test_schedules_hold_their_last_rate():
    for name, last in {
        "fixed": 1.0,
        "linear1cycle": 0.1,
        "linear1cycledrop": 0.001,
        "ramps": 0.0,
        "long_ramps": 0.0,
    }.items():
        np.testing.assert_allclose(schedules.schedule(name, 2.0, 10)(jnp.array([10, 25])), 2.0 * last, atol=1e-6)


def test_ramps_are_the_projectors():
    rates = schedules.schedule("ramps", 0.1, 1000)(jnp.array([0, 25, 50, 400, 750, 875, 1000]))
    np.testing.assert_allclose(rates, 0.1 * np.array([0, 0.5, 1, 1, 1, 0.5, 0]), atol=1e-6)


def test_long_ramps_are_those_of_ilos_rounds():
    golden = load("methods/ilo")
    for part in range(4):
        recorded = golden[f"round{part}/rate"]
        rates = schedules.schedule("long_ramps", 0.1, len(recorded))(jnp.arange(len(recorded)))
        np.testing.assert_allclose(rates, recorded, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda: schedules.schedule("cosine", 0.1, 10),
            "name: expected one of fixed, linear1cycle, linear1cycledrop",
        ),
        (lambda: schedules.schedule("fixed", 0.1, 0), "steps: expected at least 1, got 0"),
        (
            lambda: registry.make_optimizer("adam", 0.1, Sphere()),
            "name: expected one of projected_adam, .*'adam'",
        ),
        (lambda: optimizers.riemannian_adam(0.1, Sphere(), second_moment="none"), "second_moment"),
    ]
    + [
        (lambda f=f: f(0.1, Sphere()).update(jnp.ones(3), f(0.1, Sphere()).init(jnp.ones(3))), "params: .* got None")
        for f in EVERY.values()
    ],
)
def test_what_cannot_work_is_refused(function, message):
    # An argument that its annotation rules out is refused by the annotation first, where those are checked.
    with pytest.raises((ValueError, TypeError), match=message):
        function()
