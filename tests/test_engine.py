"""Lanes: a result depends on its problem, seed, config and lane count alone; what is judged is delivered."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pulse_jax
from pulse_jax import engine, presets, stylegan2
from pulse_jax.config import StyleGAN2Config
from pulse_jax.degradations import bicubic_float64
from pulse_jax.generator import Generator
from pulse_jax.search import Status

ARCHITECTURE = StyleGAN2Config(resolution=16, latent_dim=16, mapping_layers=2, channels=(12, 12, 8))
CONFIG = presets.pulse(steps=25, eps=2e-3)


@pytest.fixture(scope="module")
def generator():
    """A StyleGAN2 with random weights: what lanes do does not depend on training."""
    w = jnp.zeros((1, ARCHITECTURE.num_layers, 16))
    noise = tuple(jnp.zeros((1, *shape)) for shape in ARCHITECTURE.noise_shapes)
    params = {
        "mapping": stylegan2.Mapping(ARCHITECTURE).init(jax.random.key(0), w[:, 0])["params"],
        "synthesis": stylegan2.Synthesis(ARCHITECTURE).init(jax.random.key(1), w, noise)["params"],
    }
    return Generator(config=ARCHITECTURE, params=params).fitted(samples=4096)


@pytest.fixture(scope="module")
def targets(generator):
    images = np.clip(np.asarray(generator.sample(jax.random.key(5), 3)), 0, 1)
    return bicubic_float64(images, 4).astype(np.float32)


def _solve(generator, targets, **options):
    options = {"restarts": 2, "lanes": 4, "config": CONFIG} | options
    return {(s.index, s.restart): s for s in engine.solve(generator, targets, **options)}


@pytest.fixture(scope="module")
def solved(generator, targets):
    return _solve(generator, targets)


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


def test_everything_compiles_once_whatever_the_number_of_problems(generator, targets):
    config = presets.pulse(steps=7)
    before = engine._chunk._cache_size()
    for count, restarts in ((1, 1), (3, 2), (2, 5)):
        _solve(generator, targets[:count], restarts=restarts, config=config)
    assert engine._chunk._cache_size() == before + 1


def test_the_judged_error_is_that_of_the_delivered_picture(targets, solved):
    for (index, _), solution in solved.items():
        eight_bit = np.rint(solution.image * 255).astype(np.uint8)
        np.testing.assert_array_equal((eight_bit / 255).astype(np.float32), solution.image)
        low = bicubic_float64(eight_bit / 255, 4)
        error = np.mean((low - targets[index].astype(np.float64)) ** 2)
        np.testing.assert_allclose(solution.downscaling_error, error, rtol=1e-12)
        assert solution.feasible == (error <= CONFIG.eps)
        np.testing.assert_allclose(solution.downscaled, low, atol=1e-7)


def test_upsample_ranks_best_first_and_names_what_it_returns(generator, targets):
    solutions = pulse_jax.upsample(generator, targets, restarts=3, lanes=4, config=CONFIG)
    assert solutions.images.shape == (3, 3, 16, 16, 3)
    assert solutions.downscaled.shape == (3, 3, 4, 4, 3)
    assert solutions.latents.shape == (3, 3, ARCHITECTURE.num_layers, 16)
    assert [n.shape for n in solutions.noise] == [(3, 3, *shape) for shape in ARCHITECTURE.noise_shapes]
    for i in range(3):
        order = list(zip(~solutions.feasible[i], solutions.loss[i], strict=True))
        assert order == sorted(order)
        assert sorted(solutions.restart[i]) == [0, 1, 2]


def test_one_image_may_come_without_its_leading_axis(generator, targets, solved):
    solutions = pulse_jax.upsample(generator, targets[0], restarts=2, lanes=4, config=CONFIG)
    assert solutions.images.shape[:2] == (1, 2)


def test_a_given_start_is_where_the_search_begins(generator, targets, solved):
    first = solved[0, 0]
    start = engine.Start(first.latent[None, None], tuple(n[None, None] for n in first.noise))
    again = _solve(generator, targets[:1], restarts=1, start=start)[0, 0]
    assert again.loss <= first.loss
    if first.feasible:
        assert again.steps == 1
        np.testing.assert_array_equal(again.image, first.image)


def test_progress_counts_to_the_end(generator, targets):
    reports = []
    _solve(generator, targets, on_progress=reports.append)
    assert reports[-1].done == reports[-1].total == 6
    assert all(a.done <= b.done and a.steps <= b.steps for a, b in itertools.pairwise(reports))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"restarts": 0}, "restarts: expected 1 or more, got 0"),
        ({"lanes": 0}, "lanes: expected 1 or more, got 0"),
        ({"seed": -1}, "seed: expected 0 to 4294967295, got -1"),
        ({"seed": 2**32}, "seed: expected 0 to 4294967295"),
    ],
)
def test_bad_arguments_are_named(generator, targets, options, message):
    with pytest.raises(ValueError, match=message):
        _solve(generator, targets, **options)


def test_sizes_that_do_not_fit_are_named_with_those_that_do(generator, targets):
    assert engine.admissible_sizes(16, CONFIG) == [2, 4, 8, 16]
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
    with pytest.raises(ValueError, match="Gaussian fit"):
        _solve(bare, targets)
