"""The plausibility of the embedded generator's samples, of spoiled ones, and of solutions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import pulse_jax
from examples.training.spoiling import SPOILED_LATENTS, SPOILED_PARTS, draw_pictures, spoil_parts
from pulse_jax.generators.priors.plausibility import PlausibilityFit
from pulse_jax.images.rounding import from_uint8
from pulse_jax.search.plausibility import PlausibilityJudge
from pulse_jax.search.problems import Solution, Status, rank

COUNT = 192


@pytest.fixture(scope="module")
def embedded():
    return pulse_jax.load_generator()


@pytest.fixture(scope="module")
def judge(embedded):
    return PlausibilityJudge(embedded)


@pytest.fixture(scope="module")
def own(embedded):
    """Samples that neither the network nor the fit has seen."""
    return draw_pictures(embedded, jax.random.key(2_000_001), COUNT)


def solution(picture, w=None, **changes):
    values = {
        "index": 0,
        "restart": 0,
        "image": from_uint8(picture),
        "downscaled": np.zeros((1, 1, 3), np.float32),
        "loss": 1.0,
        "downscaling_error": 0.0,
        "search_error": 0.0,
        "feasible": True,
        "status": Status.FEASIBLE,
        "steps": 1,
        "latent": np.zeros((0, 4), np.float32),
        "w": np.zeros((0, 4), np.float32) if w is None else w,
        "noise": (),
        "key": np.zeros(2, np.uint32),
    }
    return Solution(**(values | changes))


def shares(judge, pictures):
    return np.array([judge.judge(solution(picture)).picture for picture in pictures])


def test_fresh_samples_are_spread_evenly(judge, own):
    found = shares(judge, own)
    # Of evenly spread shares the mean and each half lie so near with all but a chance of one in ten thousand.
    assert abs(found.mean() - 50) < 4 * 100 / np.sqrt(12 * COUNT)
    assert abs(np.mean(found < 50) - 0.5) < 4 * 0.5 / np.sqrt(COUNT)
    assert np.sum(found < 1) <= 9


# Shares beyond the 99th percentile: what 256 pictures of each kind came to, less three standard deviations of 96. Own
# samples come to 1 %. Amounts begin at what hardly shows: most of what anybody sees is found.
LEAST = {
    "apart": 0.12,
    "long": 0.32,
    "offsets": 0.06,
    "moved": 0.42,
    "swapped": 0.33,
    "erased": 0.62,
    "blurred": 0.38,
    "coloured": 0.81,
    "warped": 0.20,
}


@pytest.mark.parametrize("kind", SPOILED_PARTS)
def test_samples_with_a_spoiled_part_are_often_beyond_the_99th_percentile(judge, own, kind):
    some = jnp.asarray(own[:96] / 255.0)
    spoiled, _ = spoil_parts(jax.random.key(1), some, jnp.full(len(some), SPOILED_PARTS.index(kind)))
    pictures = np.asarray(jnp.round(255 * spoiled)).astype(np.uint8)
    assert np.mean(shares(judge, pictures) < 1) > LEAST[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPOILED_LATENTS)
def test_samples_of_spoiled_latents_are_often_beyond_the_99th_percentile(judge, embedded, kind):
    pictures = draw_pictures(embedded, jax.random.key(2_000_002), 96, kind)
    assert np.mean(shares(judge, pictures) < 1) > LEAST[kind]


def test_enlargements_and_heads_upside_down_are_hardly_ever_plausible(judge, own):
    some = [Image.fromarray(one) for one in own[:48]]
    enlarged = [one.resize((8, 8), Image.Resampling.BOX).resize((64, 64), Image.Resampling.BICUBIC) for one in some]
    for pictures in (enlarged, [one.rotate(180) for one in some]):
        # Measured: 98 and 96 percent.
        assert np.mean(shares(judge, [np.asarray(one) for one in pictures]) < 1) > 0.85


def test_the_latent_is_judged_by_its_norm_under_the_flow(judge, embedded):
    picture = np.full((64, 64, 3), 128, np.uint8)
    own = np.asarray(embedded.map(jax.random.normal(jax.random.key(5), (200, 256))))
    found = [judge.judge(solution(picture, np.tile(w, (10, 1)))).latent for w in own]
    assert abs(np.mean(found) - 50) < 4 * 100 / np.sqrt(12 * len(found))
    mean = np.asarray(embedded.w_avg)
    long = [judge.judge(solution(picture, np.tile(mean + s * (own[0] - mean), (10, 1)))).latent for s in (1, 2, 4)]
    assert long[0] > long[1] >= long[2] == 0
    assert judge.judge(solution(picture)).latent is None
    assert judge.judge(solution(picture, np.full((10, 256), np.nan, np.float32))).latent == 0


def test_a_judge_needs_a_fit_and_judges_the_picture_alone(judge, embedded, own):
    with pytest.raises(ValueError, match="plausibility fit"):
        PlausibilityJudge(dataclasses.replace(embedded, plausibility=None))
    first = judge.judge(solution(own[0]))
    assert judge.judge(solution(own[0], loss=7.0, restart=3)) == first
    assert PlausibilityJudge(embedded).judge(solution(own[0])) == first


def test_without_norms_of_samples_nothing_is_said_of_the_latent(embedded, own):
    fit = embedded.plausibility._replace(norms=None)
    found = PlausibilityJudge(dataclasses.replace(embedded, plausibility=fit)).judge(
        solution(own[0], np.zeros((10, 256), np.float32))
    )
    assert found.latent is None
    assert isinstance(fit, PlausibilityFit)


def test_ranks_feasible_first_then_by_what_is_asked_then_by_loss():
    picture = np.zeros((4, 4, 3), np.uint8)
    some = [
        solution(picture, restart=restart, loss=loss, feasible=feasible)
        for restart, (loss, feasible) in enumerate([(3.0, True), (1.0, True), (2.0, True), (0.5, False), (4.0, False)])
    ]
    assert [one.restart for one in rank(some)] == [1, 2, 0, 3, 4]
    value = {0: 1, 1: 2, 2: 1, 3: 0, 4: -5}
    assert [one.restart for one in rank(some, lambda one: value[one.restart])] == [2, 0, 1, 4, 3]
