"""Any optax optimiser on a manifold: against ours and plain optax, on spheres, and what is refused."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from pulse_jax import optimizers
from pulse_jax.manifold import product, sphere
from pulse_jax.manifold.product import Euclidean, Sphere
from pulse_jax.optimizers import conversion
from tests.optimizers.test_optimizers import LIKE, MANIFOLD, descend

# Rates at which 300 steps suffice; others go by their own scale, or hold large steps back.
RATES = {"adadelta": 30.0, "adagrad": 0.5, "fromage": 0.02, "lars": 2.0, "sm3": 0.5, "noisy_sgd": 0.02}
EVERY = sorted(
    name
    for name in dir(optax)
    if inspect.isfunction(getattr(optax, name))
    and next(iter(inspect.signature(getattr(optax, name)).parameters), "") == "learning_rate"
    and not name.startswith(("scale_by", "_"))
    and name != "optimistic_adam"  # which warns that it goes
)
# These take no schedule, or one of another kind.
CONSTANT = {"fromage", "lars", "rprop", "sm3"}
REFUSED = {"lbfgs": "needs more", "polyak_sgd": "needs more"}
QUICK = {"adam", "amsgrad", "lion"}
WORKING = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in EVERY if name not in REFUSED]


def start(key):
    return product.random_uniform(MANIFOLD, jax.random.key(key), LIKE)


@pytest.mark.parametrize("name", WORKING)
@pytest.mark.filterwarnings("ignore:Specifying a key")
def test_every_optimiser_of_optax_descends_and_stays(name):
    x, target = start(0), start(1)
    rates = RATES.get(name, 0.1) if name in CONSTANT else optax.linear_schedule(RATES.get(name, 0.1), 0.0, 300)
    optimizer = optimizers.riemannian(getattr(optax, name)(rates), MANIFOLD)
    last, path = jax.jit(
        lambda x: descend(optimizer, x, lambda p: jax.tree.map(jnp.subtract, p, target), 300)
    )(x)  # fmt: skip
    radii = product.radii(MANIFOLD, x)
    norms = jax.vmap(lambda p: product.norms(MANIFOLD, p))(path)
    drift = jax.tree.map(lambda n, r: float(jnp.max(jnp.abs(n / r - 1))), norms, radii)
    left, before = (product.distance(MANIFOLD, p, target, radii=radii) for p in (last, x))
    assert max(jax.tree.leaves(drift)) < 1e-5
    shares = jax.tree.map(lambda a, b: float(jnp.max(a / b)), left, before)
    assert max(jax.tree.leaves(shares)) < 0.3, shares


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused(name):
    with pytest.raises(ValueError, match=f"optimizer: .*{REFUSED[name]}"):
        optimizers.riemannian(getattr(optax, name)(), Sphere()).init(jnp.ones(4))


def test_histories_and_riddles_are_refused():
    def remembers(params):
        return jax.tree.map(lambda x: jnp.zeros((3, *x.shape)), params)

    def shifts(updates, state, params=None):
        return updates, jax.tree.map(lambda s, g: s + g + 1.0, state, updates)

    history = optax.GradientTransformation(remembers, lambda g, state, params=None: (g, state))
    riddle = optax.GradientTransformation(lambda p: jax.tree.map(jnp.zeros_like, p), shifts)
    with pytest.raises(ValueError, match=r"keeps a history,.*\(3, 4\)"):
        optimizers.riemannian(history, Sphere()).init(jnp.ones(4))
    with pytest.raises(ValueError, match="nobody can tell"):
        optimizers.riemannian(riddle, Sphere()).init(jnp.ones(4))


def test_momentum_is_that_of_the_transported_trace():
    x, target = start(2), start(3)
    ours = optimizers.riemannian_momentum(0.05, MANIFOLD, decay=0.9)
    theirs = optimizers.riemannian(optax.sgd(0.05, momentum=0.9), MANIFOLD)
    paths = [
        jax.jit(lambda x, o=o: descend(o, x, lambda p: jax.tree.map(jnp.subtract, p, target), 30)[1])(x)
        for o in (ours, theirs)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), *paths)


@pytest.mark.parametrize("name", ["adam", "lion", "rmsprop", "schedule_free_sgd"])
def test_flat_variables_get_what_optax_gives_them(name):
    plain = getattr(optax, name, None) or getattr(optax.contrib, name)
    x = jnp.array([[1.0, -2.0], [0.5, 3.0]])
    paths = [
        jax.jit(lambda x, o=o: descend(o, x, lambda p: p**3 - 1.0, 20)[1])(x)
        for o in (plain(0.1), optimizers.riemannian(plain(0.1), Euclidean()))
    ]
    np.testing.assert_allclose(*paths, rtol=1e-5, atol=1e-6)


def test_what_stands_first_clips_on_the_tangent():
    x = jnp.array([3.0, 0.0, 0.0])
    chain = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(1.0))
    optimizer = optimizers.riemannian(chain, Sphere())
    # A gradient of 1,000 along the radius has no part in it; of the tangent's 4 half a unit is left.
    updates, _ = optimizer.update(jnp.array([1000.0, 4.0, 0.0]), optimizer.init(x), x)
    np.testing.assert_allclose(sphere.distance(x, x + updates, radius=3.0), 0.5, rtol=1e-4)


def test_leaves_are_told_apart_by_what_they_do():
    def kinds(optimizer):
        return [leaf.kind for leaf in conversion._kinds(optimizer, Sphere(), jnp.ones((2, 8)))]

    assert kinds(optax.adam(0.1)) == ["other", "tangent", "other"]  # count, mu, nu
    assert kinds(optax.sgd(0.1, momentum=0.9, nesterov=True)) == ["tangent"]
    assert kinds(optax.adagrad(0.1)) == ["other"]
    assert kinds(optax.contrib.schedule_free_sgd(0.1)).count("point") == 1


def test_searches_side_by_side_are_each_its_own():
    optimizer = optimizers.riemannian(optax.adam(0.1), Sphere())
    xs = sphere.random_uniform(jax.random.key(0), (3, 16), radius=4.0)
    targets = sphere.random_uniform(jax.random.key(1), (3, 16), radius=4.0)

    def run(x, target):
        return descend(optimizer, x, lambda p: p - target, 20)[0]

    together = jax.jit(jax.vmap(run))(xs, targets)
    for x, target, found in zip(xs, targets, together, strict=True):
        np.testing.assert_allclose(found, run(x, target), rtol=2e-5, atol=2e-5)
