"""Lanes: a result depends on its problem, seed, config and lane count alone; what is judged is delivered."""

import dataclasses
import hashlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pulse_jax
from pulse_jax.engine import lanes
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search import objective, presets
from pulse_jax.search import space as search_space_
from pulse_jax.search.problems import Start, Status, as_problems, image_number, problem_key
from pulse_jax.search.requirements import admissible_sizes
from tests.tiny_networks import tiny_generator

# An error that about half of these few searches reach in these few steps.
CONFIG = presets.pulse(space="w+", steps=25, eps=2e-2)


@pytest.fixture(scope="module")
def generator():
    """A StyleGAN2 with random weights: what lanes do does not depend on training."""
    return tiny_generator("stylegan2-16", contrast=0.1)


def _targets(generator, count, factor):
    images = np.clip(np.asarray(generator.sample(jax.random.key(5), count)), 0, 1)
    return Bicubic(factor).apply_float64(images).astype(np.float32)


@pytest.fixture(scope="module")
def targets(generator):
    """Two of the generator's own, and noise of high contrast, which it cannot reach."""
    noise = np.random.default_rng(0).integers(0, 2, (1, 4, 4, 3)).astype(np.float32)
    return np.concatenate([_targets(generator, 2, 4), noise])


@pytest.fixture(scope="module")
def smallest():
    """A StyleGAN2 of one block, for what needs a compilation of its own, and its targets."""
    generator = tiny_generator("stylegan2-4", contrast=0.1)
    return generator, _targets(generator, 3, 2)


def _solve(generator, targets, **options):
    options = {"restarts": 2, "lanes": 4, "config": CONFIG} | options
    of_problems = {name: options.pop(name) for name in ("restarts", "seed", "start") if name in options}
    problems = as_problems(targets, **of_problems)
    return {(s.index, s.restart): s for s in solve_stream(problems, generator, **options)}


@pytest.fixture(scope="module")
def solved(generator, targets):
    solutions = _solve(generator, targets)
    verdicts = {solution.feasible for solution in solutions.values()}
    assert verdicts == {True, False}, "these tests need searches that end within eps and searches that do not"
    return solutions


def _same(a, b):
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.latent, b.latent)
    for x, y in zip(a.noise, b.noise, strict=True):
        np.testing.assert_array_equal(x, y)
    assert (a.loss, a.downscaling_error, a.search_error) == (b.loss, b.downscaling_error, b.search_error)
    assert (a.status, a.steps, a.feasible) == (b.status, b.steps, b.feasible)


def test_every_problem_is_solved_once(solved):
    assert set(solved) == {(i, k) for i in range(3) for k in range(2)}


def test_company_changes_no_bit(generator, targets, solved):
    alone = _solve(generator, targets[1:2], restarts=1)
    _same(alone[0, 0], solved[1, 0])


def test_order_changes_no_bit(generator, targets, solved):
    turned = _solve(generator, targets[::-1])
    for (index, restart), solution in turned.items():
        _same(solution, solved[2 - index, restart])


def test_more_restarts_change_no_bit(generator, targets, solved):
    more = _solve(generator, targets, restarts=3)
    for key, solution in solved.items():
        _same(more[key], solution)


def test_a_neighbour_full_of_nans_changes_no_bit_and_is_told(generator, targets, solved):
    poisoned = np.concatenate([np.full_like(targets[:1], np.nan), targets])
    result = _solve(generator, poisoned)
    for (index, restart), solution in solved.items():
        _same(result[index + 1, restart], solution)
    for restart in range(2):
        assert result[0, restart].status == Status.NONFINITE
        assert not result[0, restart].feasible
        assert np.isfinite(result[0, restart].image).all()


def test_restarts_and_seeds_differ(generator, targets, solved):
    other = _solve(generator, targets[:1], restarts=1, seed=1)
    assert np.abs(solved[0, 0].latent - solved[0, 1].latent).max() > 0.1
    assert np.abs(solved[0, 0].latent - other[0, 0].latent).max() > 0.1


def test_everything_compiles_once_whatever_the_number_of_problems(smallest):
    generator, targets = smallest
    programs = (lanes.start_all, lanes._refill, lanes.run_chunk)

    def compiled(*sizes):
        for count, restarts in sizes:
            _solve(generator, targets[:count], restarts=restarts, config=presets.pulse(steps=7))
        return np.array([program.on("cpu")._cache_size() for program in programs])

    before = compiled()
    once = compiled((1, 1))
    # Another test may have compiled them before: on a CPU programs are the same for any number of lanes.
    assert np.all(once <= before + 1) and np.all(once >= 1)
    np.testing.assert_array_equal(compiled((3, 2), (2, 5)), once)


def _assert_judged(solution, target, eps):
    eight_bit = np.rint(solution.image * 255).astype(np.uint8)
    np.testing.assert_array_equal((eight_bit / 255).astype(np.float32), solution.image)
    low = Bicubic(len(eight_bit) // len(target)).apply_float64(eight_bit / 255)
    error = np.mean((low - target.astype(np.float64)) ** 2)
    np.testing.assert_allclose(solution.downscaling_error, error, rtol=1e-12)
    assert solution.feasible == (error <= eps)
    assert solution.feasible == (solution.status == Status.FEASIBLE)
    np.testing.assert_allclose(solution.downscaled, low, atol=1e-7)


def test_the_judged_error_is_that_of_the_delivered_picture(targets, solved):
    for (index, _), solution in solved.items():
        _assert_judged(solution, targets[index], CONFIG.eps)


def test_bfloat16_judges_what_it_delivers(smallest):
    generator, targets = smallest
    config = dataclasses.replace(CONFIG, precision="bfloat16", eps=5e-4)
    solutions = _solve(generator, targets, config=config)
    assert len(solutions) == 6
    for (index, _), solution in solutions.items():
        _assert_judged(solution, targets[index], config.eps)
    assert {solution.feasible for solution in solutions.values()} == {True, False}


@pytest.mark.slow
def test_a_smaller_output_is_the_generators_downscaled(generator, targets):
    config = dataclasses.replace(CONFIG, output_size=8)
    (solution,) = _solve(generator, targets[:1], restarts=1, config=config).values()
    assert solution.image.shape == (8, 8, 3) and solution.downscaled.shape == (4, 4, 3)
    _assert_judged(solution, targets[0], CONFIG.eps)
    variables = search_space_.Variables(latent=jnp.asarray(solution.latent), noise=())
    whole, _ = objective.decode(generator, CONFIG, variables, tuple(map(jnp.asarray, solution.noise)))
    np.testing.assert_allclose(
        solution.image, np.clip(Bicubic(2).apply_float64(np.asarray(whole)), 0, 1), atol=0.51 / 255
    )
    with pytest.raises(ValueError, match="low_res: expected a side of 2, 4, 8, got 16"):
        _solve(generator, np.zeros((1, 16, 16, 3)), config=config)
    for size in (5, 32, 1):
        with pytest.raises(ValueError, match=f"output_size: expected 16 or a part .*, got {size}"):
            _solve(generator, targets, config=dataclasses.replace(CONFIG, output_size=size))


def test_a_problems_key_is_made_as_documented(targets, solved):
    pixels = targets[1]
    shape = b"".join(size.to_bytes(8, "little") for size in pixels.shape)
    digest = hashlib.sha256(shape + pixels.astype("<f4").tobytes()).hexdigest()
    expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), int(digest[:8], 16)), 1)
    np.testing.assert_array_equal(
        jax.random.key_data(problem_key(0, image_number(pixels), 1)), jax.random.key_data(expected)
    )
    np.testing.assert_array_equal(solved[1, 1].key, jax.random.key_data(expected))


def test_upsample_ranks_best_first_and_names_what_it_returns(generator, targets):
    solutions = pulse_jax.upsample(generator, targets, restarts=3, lanes=4, config=CONFIG)
    assert solutions.images.shape == (3, 3, 16, 16, 3)
    assert solutions.downscaled.shape == (3, 3, 4, 4, 3)
    assert solutions.latents.shape == (3, 3, generator.num_layers, generator.latent_dim)
    assert [n.shape for n in solutions.noise] == [(3, 3, *shape) for shape in generator.noise_shapes]
    for i in range(3):
        order = list(zip(~solutions.feasible[i], solutions.loss[i], strict=True))
        assert order == sorted(order)
        assert sorted(solutions.restart[i]) == [0, 1, 2]


def test_one_image_may_come_without_its_leading_axis(generator, targets, solved):
    solutions = pulse_jax.upsample(generator, targets[0], restarts=2, lanes=4, config=CONFIG)
    assert solutions.images.shape[:2] == (1, 2)


def test_a_given_start_is_where_the_search_begins(generator, targets, solved):
    chosen = [next(s for s in solved.values() if s.feasible), next(s for s in solved.values() if not s.feasible)]
    start = Start(
        np.stack([[s.latent] for s in chosen]),
        tuple(np.stack([[s.noise[i]] for s in chosen]) for i in range(len(generator.noise_shapes))),
    )
    again = _solve(generator, targets[[s.index for s in chosen]], restarts=1, start=start)
    assert again[0, 0].steps == 1
    np.testing.assert_array_equal(again[0, 0].image, chosen[0].image)
    assert again[0, 0].loss == chosen[0].loss
    # The first look is at the old best point: what is delivered is no worse.
    assert again[1, 0].steps > 1
    assert again[1, 0].feasible or again[1, 0].loss <= chosen[1].loss
    for i, solution in enumerate(chosen):
        for given, kept in zip(solution.noise, again[i, 0].noise, strict=True):
            np.testing.assert_array_equal(given, kept)


def test_progress_counts_to_the_end(generator, targets):
    reports = []
    _solve(generator, targets, on_chunk=reports.append)
    assert reports[-1].done == 6
    assert all(a.done <= b.done and a.steps <= b.steps for a, b in itertools.pairwise(reports))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"restarts": 0}, "restarts: expected a whole number, 1 or more, got 0"),
        ({"lanes": 0}, "lanes: expected a whole number, 1 or more, got 0"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"seed": 2**32}, "seed: expected a whole number from 0 to 4294967295"),
    ],
)
def test_bad_arguments_are_named(generator, targets, options, message):
    with pytest.raises(ValueError, match=message):
        _solve(generator, targets, **options)


def test_sizes_that_do_not_fit_are_named_with_those_that_do(generator, targets):
    assert admissible_sizes(16, CONFIG) == [2, 4, 8, 16]
    with pytest.raises(ValueError, match="low_res: expected a side of 2, 4, 8, 16, got 5"):
        _solve(generator, np.zeros((1, 5, 5, 3)))
    with pytest.raises(ValueError, match="square RGB"):
        _solve(generator, np.zeros((1, 4, 8, 3)))


def test_no_images_give_no_solutions(generator, targets):
    assert _solve(generator, targets[:0]) == {}
    with pytest.raises(ValueError, match="at least one image"):
        pulse_jax.upsample(generator, targets[:0], config=CONFIG)


def test_a_generator_without_a_fit_cannot_be_searched_in_w(generator, targets):
    bare = Generator(config=generator.config, params=generator.params)
    with pytest.raises(ValueError, match="gaussian_fit"):
        _solve(bare, targets)


def test_the_authors_program_refills_lanes_with_searched_noise():
    generator = tiny_generator("stylegan1-4", contrast=0.1)
    targets = _targets(generator, 2, 2)
    config = presets.pulse_2020(steps=12, trainable_noise_layers=1)
    together = pulse_jax.upsample(generator, targets, restarts=3, lanes=2, config=config)
    assert np.all(together.steps == 12)
    assert np.all(together.status == np.where(together.feasible, Status.FEASIBLE, Status.MAX_STEPS))
    alone = pulse_jax.upsample(generator, targets[1], restarts=1, lanes=2, config=config)
    for i in range(2):
        order = list(zip(~together.feasible[i], together.loss[i], strict=True))
        assert order == sorted(order)
        for k in range(3):
            key = jax.random.wrap_key_data(jnp.asarray(together.keys[i, k]))
            start, fixed = search_space_.start(generator, config, key, jnp.asarray(targets[i], jnp.float32))
            np.testing.assert_array_equal(together.noise[1][i, k], fixed[1])
            noise, (drawn,) = together.noise[0][i, k], start["noise"]
            assert np.abs(noise - drawn).max() > 0.1
            np.testing.assert_allclose(np.linalg.norm(noise), jnp.linalg.norm(drawn), rtol=1e-4)
    (k,) = np.flatnonzero(together.restart[1] == 0)
    assert isinstance(alone.position_independent, bool)
    arrays = ([x for x in jax.tree.leaves(vars(of)) if isinstance(x, np.ndarray)] for of in (alone, together))
    for one, many in zip(*arrays, strict=True):
        np.testing.assert_array_equal(one[0, 0], many[1, k])


def test_a_planted_solution_is_found_again():
    """A user's perceptron of two hidden layers: four numbers, 48 equations."""
    rng = np.random.default_rng(0)
    shapes = ((4, 24), (24, 24), (24, 16 * 16 * 3))
    weights = [jnp.asarray(1.4 * rng.standard_normal(shape) / shape[0] ** 0.5, jnp.float32) for shape in shapes]

    def perceptron(weights, w, noise):
        hidden = jnp.tanh(jnp.tanh(w[0] @ weights[0]) @ weights[1])
        return jax.nn.sigmoid(hidden @ weights[2]).reshape(16, 16, 3)

    generator = Generator.from_function(perceptron, weights, resolution=16, latent_dim=4)
    z = rng.standard_normal((1, 4)).astype(np.float32)
    z *= 2 / np.linalg.norm(z)
    picture = np.asarray(generator.synthesize(jnp.asarray(z), ()))
    low_res = Bicubic(4).apply_float64(picture)
    config = presets.pulse(space="z", eps=1e-5, steps=300)
    solutions = pulse_jax.upsample(generator, low_res, restarts=6, lanes=6, config=config)
    assert solutions.feasible.all()
    np.testing.assert_allclose(solutions.images[0], np.broadcast_to(picture, (6, 16, 16, 3)), atol=0.1)
    # Points drawn at random on this sphere lie 2.8 apart.
    assert np.linalg.norm(solutions.latents[0, 0] - z) < 0.3


@pytest.mark.parametrize(
    "settings, status",
    [({"eps": 1e-6}, Status.NONFINITE), ({"eps": 8e-3, "stop": "never"}, Status.FEASIBLE)],
    ids=["infeasible before", "feasible before"],
)
def test_the_best_point_before_a_nan_is_delivered(settings, status):
    def fragile(weight, w, noise):
        image = jax.nn.sigmoid(w[0] @ weight).reshape(8, 8, 3)
        return jnp.where(w[0, 0] > 1.0, jnp.nan, image)

    generator = Generator.from_function(
        fragile, 0.5 * jax.random.normal(jax.random.key(1), (8, 8 * 8 * 3)), resolution=8, latent_dim=8
    )
    rng = np.random.default_rng(0)

    directions = rng.standard_normal((3, 7))

    def on_the_sphere(first):
        rest = directions.copy()
        rest *= np.sqrt(8 - np.square(first))[:, None] / np.linalg.norm(rest, axis=1, keepdims=True)
        return np.concatenate([np.asarray(first)[:, None], rest], axis=1).astype(np.float32)[:, None]

    # The first search is drawn into the region without pictures, the others stay away from it.
    goals, starts = on_the_sphere([2.0, -1.5, -1.5]), on_the_sphere([0.0, -1.0, -1.0])
    images = jax.nn.sigmoid(goals[:, 0] @ generator.params).reshape(3, 8, 8, 3)
    targets = Bicubic(2).apply_float64(np.asarray(images)).astype(np.float32)
    config = presets.pulse(space="z", steps=30, **settings)

    def solve(chosen):
        start = Start(starts[chosen][:, None])
        return _solve(generator, targets[chosen], restarts=1, lanes=2, config=config, start=start)

    together, without = solve(slice(0, 3)), solve(slice(1, 3))
    broken = together[0, 0]
    assert broken.status == status
    assert broken.feasible == (status == Status.FEASIBLE)
    assert 1 < broken.steps < 30
    assert broken.latent[0, 0] <= 1.0
    shown = np.asarray(generator.synthesize(jnp.asarray(broken.latent), ()))
    np.testing.assert_allclose(broken.image, shown, atol=0.51 / 255)
    at_start = np.asarray(generator.synthesize(jnp.asarray(starts[0]), ()))
    assert broken.downscaling_error < np.mean((Bicubic(2).apply_float64(at_start) - targets[0]) ** 2)
    for index in (1, 2):
        _same(together[index, 0], without[index - 1, 0])
        assert together[index, 0].status != Status.NONFINITE
