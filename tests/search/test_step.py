"""One problem's search: parity with the original program, stop rules, best of the trajectory, failures contained."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pulse_jax.generators.architectures import StyleGAN1Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.manifold.product import Sphere
from pulse_jax.optimizers.registry import make_optimizer
from pulse_jax.optimizers.schedules import schedule
from pulse_jax.search import presets
from pulse_jax.search import step as search
from pulse_jax.search.objective import Evaluation, decode, degrade, evaluate
from pulse_jax.search.problems import Status
from pulse_jax.search.space import Variables
from tests.golden_weights import load, nhwc, state_dict, stylegan1_synthesis


@pytest.fixture(scope="module")
def golden():
    return load("e_trajectory_adam")


@pytest.fixture(scope="module", params=["plain", "prepared"])
def original(golden, request):
    """The original program's generator and settings, at the golden's size; prepared, as the engine does it on CPUs."""
    architecture = StyleGAN1Config(resolution=64, latent_dim=64, channels=(32, 32, 32, 16, 8))
    params = {"mapping": {}, "synthesis": stylegan1_synthesis(state_dict(golden))}
    fit = GaussianFit(jnp.asarray(golden["fit_mean"]), jnp.asarray(golden["fit_std"]))
    generator = Generator(config=architecture, params=params, gaussian_fit=fit)
    generator = generator.prepared("cpu") if request.param == "prepared" else generator
    return generator, presets.pulse_2020(steps=10, zeroed_noise_layers=(9,))


class Step(NamedTuple):
    """What one step of both lanes sees, and where it ends."""

    before: Variables
    after: Variables
    rows: jax.Array
    image: jax.Array
    low_res: jax.Array
    seen: Evaluation


@pytest.fixture(scope="module")
def trajectory(golden, original):
    """The lanes before and after ten steps, and every `Step`."""
    generator, config = original
    targets = nhwc(golden["target_lr"])
    noise = tuple(nhwc(golden[f"noise_init/{i:02d}"]) for i in range(10))
    latents = jnp.asarray(golden["latent_init"])
    keys = jax.random.split(jax.random.key(0), 2)
    start = jax.vmap(functools.partial(search.init, generator, config))(targets, keys, latents, noise)

    def one(state):
        image, rows = decode(generator, config, state.variables, state.fixed_noise)
        after, seen = search.step(generator, config, state)
        low_res = degrade(config, image, 16)
        return after, Step(state.variables, after.variables, rows, image, low_res, seen)

    end, steps = jax.jit(lambda s: jax.lax.scan(lambda s, _: jax.vmap(one)(s), s, length=10))(start)
    return start, end, steps


@pytest.fixture(scope="module")
def points(golden, trajectory):
    """Where the original program stood before each of its ten steps, both lanes."""
    start, *_ = trajectory
    latents = [start.variables["latent"], *golden["latents"][:9]]
    noise = [
        jnp.stack([first, *(nhwc(golden[f"noise_traj/{i:02d}"][k]) for k in range(9))])
        for i, first in enumerate(start.variables["noise"])
    ]
    return {"latent": jnp.stack(latents), "noise": tuple(noise)}


def test_the_start_is_mapped_as_the_original_program_does(golden, trajectory):
    start, _, steps = trajectory
    np.testing.assert_allclose(steps.rows[0], golden["w0"], atol=1e-5)
    np.testing.assert_allclose(start.method.radii["latent"], golden["radii_latent"], rtol=1e-6)


def test_the_learning_rate_follows_the_original_program(golden, original):
    _, config = original
    rates = schedule(config.schedule, config.learning_rate, config.steps)(jnp.arange(10))
    np.testing.assert_allclose(rates, golden["lr"], atol=1e-6)


def test_losses_and_gradients_equal_the_original_programs_at_its_every_point(golden, original, trajectory, points):
    generator, config = original
    start, *_ = trajectory

    def one(variables, state):
        loss = functools.partial(evaluate, generator, config, state.target, fixed_noise=state.fixed_noise)
        return jax.grad(loss, has_aux=True)(variables)

    gradients, seen = jax.jit(jax.vmap(jax.vmap(one), in_axes=(0, None)))(points, start)
    for got, expected in zip(gradients["latent"], golden["grad_latent"], strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())
    first = [gradients["latent"][0], *(noise[0] for noise in gradients["noise"])]
    assert len(first) == 6
    for i, got in enumerate(first):
        expected = golden[f"grad_step0/{i:02d}"]
        expected = nhwc(expected) if i else expected
        np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())
    total, l2, geocross = golden["loss"].T
    np.testing.assert_allclose(seen.loss.sum(1), total, rtol=1e-5)
    np.testing.assert_allclose(seen.terms["L2"].sum(1), l2, rtol=1e-5)
    np.testing.assert_allclose(seen.terms["GEOCROSS"].sum(1), geocross, rtol=1e-5)


def test_the_optimiser_goes_the_original_programs_way_along_its_gradients(golden, original):
    _, config = original
    rate = schedule(config.schedule, config.learning_rate, config.steps)
    optimizer = make_optimizer(config.optimizer, rate, Sphere())
    latent = jnp.asarray(golden["latent_init"])
    state = optimizer.init(latent)
    for gradient, expected in zip(golden["grad_latent"], golden["latents"], strict=True):
        updates, state = optimizer.update(jnp.asarray(gradient), state, latent)
        latent = optax.apply_updates(latent, updates)
        np.testing.assert_allclose(latent, expected, atol=2e-6)


# From the sixth step on, one of the 65,000 activations of the last layer lies 4e-6 from its kink, nearer than rounding
# can tell; the original in float32 and in float64 happened to fall on one side. On the other side lies another path.
ALIKE, AFTERWARDS = 5, 5e-3


def test_latents_and_trained_noise_follow_the_original_program(golden, trajectory):
    *_, steps = trajectory
    expected = {"latent": golden["latents"]} | {
        i: np.stack([nhwc(one) for one in golden[f"noise_traj/{i:02d}"]]) for i in range(5)
    }
    got = {"latent": steps.after["latent"]} | dict(enumerate(steps.after["noise"]))
    assert got.keys() == expected.keys()
    for name in got:
        np.testing.assert_allclose(got[name][:ALIKE], expected[name][:ALIKE], atol=1e-4)
        np.testing.assert_allclose(got[name], expected[name], atol=AFTERWARDS)


def test_the_losses_of_a_search_follow_the_original_program(golden, trajectory):
    *_, steps = trajectory
    total, l2, geocross = golden["loss"].T
    for got, expected in (
        (steps.seen.loss, total),
        (steps.seen.terms["L2"], l2),
        (steps.seen.terms["GEOCROSS"], geocross),
    ):
        np.testing.assert_allclose(got.sum(1)[: ALIKE + 1], expected[: ALIKE + 1], rtol=1e-5)
        np.testing.assert_allclose(got.sum(1), expected, rtol=AFTERWARDS)


def test_the_downscaling_at_the_originals_best_step_is_the_one_it_saved(golden, trajectory):
    *_, steps = trajectory
    # It sums the loss over its batch of two: its best step is one for both. What it saves, it clips.
    best = golden["loss"][:, 0].argmin()
    np.testing.assert_allclose(jnp.clip(steps.low_res[best], 0, 1), nhwc(golden["final_lr"]), atol=AFTERWARDS)


def test_the_last_picture_is_the_one_the_original_saved(golden, trajectory):
    *_, steps = trajectory
    np.testing.assert_allclose(jnp.clip(steps.image[-1], 0, 1), nhwc(golden["final_hr"]), atol=AFTERWARDS)


def test_every_lane_keeps_its_own_best_point(trajectory):
    _, end, steps = trajectory
    assert np.all(steps.seen.delivered_error > 2e-3)  # no point is feasible: the loss alone decides
    for lane, best in enumerate(np.argmin(steps.seen.loss, axis=0)):
        # XLA may compute the loss for each of its uses, in another order of its sums; the point is one and the same.
        np.testing.assert_allclose(end.best_loss[lane], steps.seen.loss[best, lane], rtol=1e-6)
        for kept, seen in zip(jax.tree.leaves(end.best), jax.tree.leaves(steps.before), strict=True):
            np.testing.assert_array_equal(kept[lane], seen[best, lane])


RESOLUTION = 16


@pytest.fixture(scope="module")
def toy():
    """A linear-sigmoid generator: searching its z is a well-behaved problem with a planted solution."""
    weight = 0.3 * jax.random.normal(jax.random.key(1), (8, RESOLUTION * RESOLUTION * 3))

    def function(params, w, noise):
        return jax.nn.sigmoid(w[0] @ params).reshape(RESOLUTION, RESOLUTION, 3)

    return Generator.from_function(function, weight, resolution=RESOLUTION, latent_dim=8)


def _planted(generator, seed=2):
    z = jax.random.normal(jax.random.key(seed), (1, 8))
    z = z / jnp.linalg.norm(z) * 8**0.5
    return z, Bicubic(4).apply(generator.synthesize(z, ()))


def _run(generator, config, target, length, key=0):
    state = search.init(generator, config, target, jax.random.key(key))

    def one(state, _):
        state, _ = search.step(generator, config, state)
        return state, state

    return jax.jit(lambda s: jax.lax.scan(one, s, length=length))(state)


def test_a_planted_solution_is_found_again(toy):
    z, target = _planted(toy)
    config = presets.pulse(space="z", eps=1e-6, steps=300)
    state, _ = _run(toy, config, target, 300)
    assert state.status == Status.FEASIBLE
    result = search.finish(toy, config, state)
    # Eight numbers, 48 equations: the solution is unique.
    np.testing.assert_allclose(result.latent, z, atol=0.1)
    np.testing.assert_allclose(jnp.linalg.norm(result.latent), 8**0.5, rtol=1e-5)


def test_feasible_stops_at_the_first_feasible_point_and_then_stands_still(toy):
    _, target = _planted(toy)
    state, path = _run(toy, presets.pulse(space="z", steps=100), target, 100)
    assert state.status == Status.FEASIBLE
    stop = int(state.steps)
    assert 1 < stop < 100
    np.testing.assert_array_equal(path.status[stop - 1 :], Status.FEASIBLE)
    latents = path.variables["latent"]
    np.testing.assert_array_equal(latents[stop - 1 :], jnp.broadcast_to(latents[stop - 1], latents[stop - 1 :].shape))
    assert float(state.best_error) <= 1e-3 < float(path.best_error[stop - 2])


def test_never_takes_every_step(toy):
    _, target = _planted(toy)
    state, path = _run(toy, presets.pulse(space="z", steps=40, stop="never"), target, 60)
    assert int(state.steps) == 40
    assert state.status == Status.FEASIBLE
    assert np.all(path.status[:39] == Status.RUNNING)


def test_an_unreachable_target_ends_with_max_steps_and_its_best_point(toy):
    target = jnp.zeros((4, 4, 3)).at[::2].set(1.0)
    state, path = _run(toy, presets.pulse(space="z", steps=30), target, 30)
    assert state.status == Status.MAX_STEPS
    assert np.all(np.diff(path.best_loss) <= 0)
    assert float(state.best_error) > 1e-3


def test_plateau_ends_a_search_that_no_longer_improves(toy):
    target = jnp.zeros((4, 4, 3)).at[::2].set(1.0)
    config = presets.pulse(space="z", steps=2000, stop="plateau", patience=10)
    state, _ = _run(toy, config, target, 2000)
    assert state.status == Status.PLATEAU
    assert int(state.steps) < 2000


def test_a_target_of_nan_ends_as_nonfinite_with_a_finite_picture(toy):
    config = presets.pulse(space="z")
    state, _ = _run(toy, config, jnp.full((4, 4, 3), jnp.nan), 5)
    assert state.status == Status.NONFINITE
    assert int(state.steps) == 1
    result = search.finish(toy, config, state)
    np.testing.assert_array_equal(result.picture, np.zeros((RESOLUTION, RESOLUTION, 3), np.uint8))
    assert np.isfinite(result.latent).all()


def test_an_empty_lane_does_nothing(toy):
    _, target = _planted(toy)
    config = presets.pulse(space="z")
    state = search.empty(search.init(toy, config, target, jax.random.key(0)))
    after, _ = search.step(toy, config, state)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_start_is_uniform_on_the_sphere_or_gaussian(toy):
    _, target = _planted(toy)
    keys = jax.random.split(jax.random.key(3), 2000)

    def latents(config):
        return jax.vmap(lambda k: search.init(toy, config, target, k).variables["latent"][0])(keys)

    uniform, gaussian = latents(presets.pulse(space="z")), latents(presets.pulse_2020(space="z"))
    np.testing.assert_allclose(jnp.linalg.norm(uniform, axis=-1), 8**0.5, rtol=1e-6)
    assert jnp.std(jnp.linalg.norm(gaussian, axis=-1)) > 0.5
    for draws in (uniform, gaussian):
        np.testing.assert_allclose(jnp.cov(draws.T), jnp.eye(8), atol=0.15)


def test_given_starts_of_another_shape_are_refused(toy):
    _, target = _planted(toy)
    with pytest.raises(ValueError, match=r"latent: expected shape \(1, 8\), got \(2, 8\)"):
        search.init(toy, presets.pulse(space="z"), target, jax.random.key(0), jnp.zeros((2, 8)))
    with pytest.raises(ValueError, match="noise: expected shapes"):
        search.init(toy, presets.pulse(space="z"), target, jax.random.key(0), None, (jnp.zeros((4, 4, 1)),))
