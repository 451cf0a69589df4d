"""L-BFGS on manifolds: how fast it must be where theory says so; laws of all such methods are in `test_descent.py`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.batch import upsample
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.priors.surrogate import with_jacobian
from pulse_jax.search import presets
from pulse_jax.search.methods.protocol import Setting
from pulse_jax.search.methods.registry import METHODS
from tests import made_up_surrogate as made_up
from tests.search.methods.driver import FLAT, NOISE, D, driven, look_at, spread, start_of
from tests.tiny_networks import searchable_generator

_driven = functools.partial(driven, "riemannian_lbfgs")
MATRIX = spread()


def quadratic(latent):
    return 0.5 * jnp.sum((latent - 0.3) * ((latent - 0.3) @ MATRIX))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_faster_than_steepest_descent_can_be(seed):
    """A condition of 30: a step of steepest descent on a quadratic leaves at best (29/31)² of the error, in 30 steps
    2 %; superlinear convergence leaves what rounding does."""
    _, losses = _driven(quadratic, FLAT, start_of(seed=seed), 40, largest=5.0)
    error = np.minimum.accumulate(losses) / losses[0]
    assert error[30] < 1e-2 * (29 / 31) ** 60 and error[-1] < 1e-9


def test_a_refused_trial_is_an_update_and_the_next_one_is_shorter():
    """A valley so narrow that the first step overshoots it."""

    def narrow(latent):
        return 1e4 * jnp.sum(jnp.square(latent[:, 0])) + 1e-3 * jnp.sum(jnp.square(latent))

    start = jnp.zeros((1, D)).at[0, 0].set(0.01)
    points, losses = _driven(narrow, FLAT, start, 30, largest=3.0)
    moved = np.abs(points[1:, 0, 0] - 0.01)
    assert losses[1] > losses[0] and losses[2] > losses[0]
    np.testing.assert_allclose(moved[1] / moved[0], 0.3, rtol=1e-3)
    assert losses[-1] < 1e-3 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"geometry": "euclidean", "space": "w", "coordinates": "plain"}])
def test_searches_find_more_with_it_in_the_same_number_of_looks(settings):
    generator = searchable_generator()
    targets = np.random.default_rng(0).uniform(0.45, 0.55, (6, 2, 2, 3)).astype(np.float32)
    found = {}
    for method in ("gradient", "riemannian_lbfgs"):
        config = presets.pulse(
            method=method, loss="100*L2", eps=1e-9, steps=25, learning_rate=0.3, start="gaussian", **settings
        )
        found[method] = upsample(generator, targets, config=config).downscaling_error
    assert np.median(found["riemannian_lbfgs"]) < np.median(found["gradient"])


def _with_surrogate(surrogate, loss_of, start, looks):
    """The losses of looks at a problem whose residual is given, each look a step of a method that has the surrogate."""
    config = presets.pulse(method="riemannian_lbfgs")
    architecture = StyleGAN2Config(resolution=8, latent_dim=made_up.WIDTH, channels=(4, 4))
    numbers = {**config.numbers, "learning_rate": 50.0}
    method = METHODS["riemannian_lbfgs"](Setting(config, numbers, FLAT, architecture, surrogate))
    point = {"latent": start, "noise": NOISE}
    state, losses = method.init(point, jax.random.key(0)), []

    @jax.jit
    def look(point, state):
        seen = look_at(lambda latent: jnp.mean(jnp.square(loss_of(latent))), point)
        seen = seen._replace(residual=loss_of(point["latent"]))
        return *method.update(jax.random.key(0), state, seen), seen.loss

    for _ in range(looks):
        point, state, loss = look(point, state)
        losses.append(float(loss))
    return np.array(losses)


@pytest.mark.parametrize("side", [2, 4])
def test_a_surrogate_that_is_off_by_a_picture_still_leads_there_at_once(side):
    """Where the generator is the surrogate and one picture more, its Jacobian is right: the first step, which is damped
    by a hundredth, leaves a small share, and the next ones, scaled by what was seen, nearly nothing; inputs larger than
    the surrogate's are seen as it sees them."""
    surrogate = made_up.random_surrogate(linear=True, side=2, scale=3.0)
    rng = np.random.default_rng(0)
    off = jnp.asarray(rng.standard_normal((side, side, 3)), jnp.float32)
    start, goal = (jnp.asarray(rng.standard_normal((made_up.LAYERS, made_up.WIDTH)), jnp.float32) for _ in range(2))
    larger = np.kron(np.eye(2), np.ones((side // 2, 1)))[:, :2] if side > 2 else np.eye(2)

    def picture(latent):
        image, _ = with_jacobian(surrogate, jnp.einsum("ld,ldk->k", latent, surrogate.basis))
        return jnp.einsum("ph,qw,hwc->pqc", larger, larger, image.reshape(2, 2, 3)) + off

    with_it = _with_surrogate(surrogate, lambda latent: picture(latent) - picture(goal), start, 8)
    without = _with_surrogate(None, lambda latent: picture(latent) - picture(goal), start, 8)
    assert with_it[1] < 0.02 * with_it[0] and with_it.min() < 1e-4 * with_it[0]
    assert without.min() > 10 * with_it.min()
