"""Searches that repel each other: they depend on their image's others, and on nothing else."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest

import pulse_jax
from pulse_jax.engine import lanes as engine_lanes
from pulse_jax.engine.stream import solve_stream
from pulse_jax.engine.tasks import TaskQueue
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.search import presets
from pulse_jax.search.problems import Problem, Status

SIDE, WIDTH, RESTARTS = 8, 6, 3
CONFIG = presets.fast(
    space="z", start="uniform", loss="100*L2", noise="zero", steps=30, eps=1e-4, learning_rate=0.3, repulsion=0.1
)


@pytest.fixture(scope="module")
def generator():
    def draw(params, w, noise):
        del noise
        return 0.5 + 0.3 * jax.numpy.tanh(params @ w[0]).reshape(SIDE, SIDE, 3)

    matrix = np.random.default_rng(0).standard_normal((SIDE * SIDE * 3, WIDTH)).astype(np.float32) / 10
    return pulse_jax.Generator.from_function(draw, matrix, resolution=SIDE, latent_dim=WIDTH)


@pytest.fixture(scope="module")
def problems(generator):
    low_res = np.asarray(Bicubic(2).apply(generator.sample(jax.random.key(1), 4)), np.float32)
    return [Problem(low_res=image, index=index, restarts=RESTARTS) for index, image in enumerate(low_res)]


def solve(problems, generator, **options):
    options = {"config": CONFIG, "lanes": 2} | options
    return {(s.index, s.restart): s for s in solve_stream(problems, generator, **options)}


@pytest.fixture(scope="module")
def solved(problems, generator):
    found = solve(problems, generator)
    assert set(found) == {(i, k) for i in range(4) for k in range(RESTARTS)}
    assert {s.feasible for s in found.values()} == {True, False} and len({s.steps for s in found.values()}) > 3
    return found


def assert_same(one, other):
    assert (one.status, one.steps, one.loss, one.evaluations) == (
        other.status,
        other.steps,
        other.loss,
        other.evaluations,
    )
    for name in ("image", "latent", "key"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_order_company_lanes_and_chunks_change_no_bit(problems, generator, solved):
    poisoned = Problem(low_res=np.full((4, 4, 3), np.nan), index=9, restarts=RESTARTS)
    found = solve([problems[3], poisoned, problems[1]], generator, lanes=1, chunk_steps=3)
    for restart in range(RESTARTS):
        assert found.pop((9, restart)).status == Status.NONFINITE
    assert set(found) == {(i, k) for i in (1, 3) for k in range(RESTARTS)}
    for place, solution in found.items():
        assert_same(solution, solved[place])


def test_another_weight_compiles_nothing_and_leads_elsewhere(problems, generator, solved):
    programs = engine_lanes.run_chunk.on("cpu")._cache_size()
    more = solve(problems[:1], generator, config=dataclasses.replace(CONFIG, repulsion=0.3))
    assert engine_lanes.run_chunk.on("cpu")._cache_size() == programs
    assert np.abs(more[0, 0].latent - solved[0, 0].latent).max() > 1e-3
    np.testing.assert_array_equal(more[0, 0].key, solved[0, 0].key)


@pytest.mark.parametrize("taken", [1, 4])
def test_a_stream_that_is_stopped_again_and_again_finds_the_same(problems, generator, solved, tmp_path, taken):
    """After every chunk, and each time that a few solutions were taken, of an image some."""

    class Stop(Exception):
        pass

    def stop(progress):
        if len(calls) % 2 and progress.lane_steps:
            raise Stop

    found, calls = {}, []
    while len(found) < len(solved) and len(calls) < 80:
        calls.append(len(found))
        ended = {p.index: {k: s.feasible for (i, k), s in found.items() if i == p.index} for p in problems}
        left = [Problem(low_res=p.low_res, index=p.index, restarts=RESTARTS, ended=ended[p.index]) for p in problems]
        stream = solve_stream(
            left, generator, config=CONFIG, lanes=2, chunk_steps=7, checkpoint_dir=tmp_path / "state", on_chunk=stop
        )
        with contextlib.suppress(Stop), contextlib.closing(stream):
            for count, solution in enumerate(stream, 1):
                assert (solution.index, solution.restart) not in found
                found[solution.index, solution.restart] = solution
                if count == taken:
                    break
    assert found.keys() == solved.keys() and len(calls) > 3
    for place, solution in found.items():
        assert_same(solution, solved[place])


def test_without_its_states_an_image_is_searched_again_for_what_is_missing(problems, generator, solved):
    """A run that was killed before it had saved anything, and after one solution was written."""
    one = problems[2]
    left = Problem(low_res=one.low_res, index=2, restarts=RESTARTS, ended={1: solved[2, 1].feasible})
    done = Problem(low_res=one.low_res, index=3, restarts=RESTARTS, ended=dict.fromkeys(range(RESTARTS), True))
    found = solve([done, left], generator)
    assert set(found) == {(2, 0), (2, 2)}
    for place, solution in found.items():
        assert_same(solution, solved[place])


def test_on_other_devices_whole_images_share_a_program(problems, generator, solved, together):
    """Two images at once of seven lanes; where bits are others, the first feasible looks are nearly the same."""
    at_once = solve(problems, generator, lanes=2 * RESTARTS + 1)
    assert at_once.keys() == solved.keys()
    alike = [place for place, solution in at_once.items() if solution.steps == solved[place].steps < 10]
    assert len(alike) >= 5
    for place in alike:
        np.testing.assert_allclose(at_once[place].image, solved[place].image, atol=2 / 255)
    for place, solution in solve(problems[2:], generator, lanes=2 * RESTARTS + 1).items():
        assert_same(solution, at_once[place])


@pytest.mark.parametrize(
    ("restarts", "lanes", "count", "in_turn"),
    [(4, 1, 4, True), (4, 3, 4, True), (4, 4, 4, False), (4, 11, 8, False), (2, 64, 64, False)],
)
def test_lanes_hold_whole_images(restarts, lanes, count, in_turn):
    assert engine_lanes.Together.of(restarts, lanes) == ((restarts, in_turn), count)


def test_an_images_searches_wait_together():
    image = np.zeros((2, 2, 3), np.float32)
    queue = TaskQueue(
        iter([Problem(low_res=image, index=i, restarts=3, ended={1: True}) for i in range(3)]), 4, together=True
    )
    queue.pull()
    assert queue.waiting() == {2: 6}
    assert [(task.restart, task.is_known) for task in queue.take(2, 3)] == [(0, False), (1, True), (2, False)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([{"restarts": 1}], "repulsion: expected 2 restarts or more, which repel each other, got 1"),
        ([{"restarts": 3, "solutions": 2}], "repulsion: expected problems whose restarts are all run"),
        ([{"restarts": 3}, {"restarts": 2}], "as many restarts of every problem, 3 like the first, got 2"),
    ],
)
def test_what_cannot_repel_is_said(generator, problems, settings, message):
    given = [Problem(low_res=problems[0].low_res, index=i, **one) for i, one in enumerate(settings)]
    with pytest.raises(ValueError, match=message):
        solve(given, generator)
