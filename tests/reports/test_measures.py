"""The table of measures: what is missing is told, what is there agrees with the functions."""

import re
from typing import Any

import numpy as np
import pytest

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.reports import measures, metrics
from pulse_jax.reports.feature_sets import precision_recall
from pulse_jax.reports.measures import PICTURE_MEASURES, SET_MEASURES, PictureCase, SetCase, Weights, measured
from pulse_jax.reports.niqe import NiqeModel
from tests.tiny_networks import tiny_perceptual

RNG = np.random.default_rng(0)
TRUTH = RNG.random((192, 192, 3))
IMAGE = np.clip(TRUTH + 0.1 * RNG.normal(size=TRUTH.shape), 0, 1)
D = Bicubic(8)
CLEAN = D.apply_float64(TRUTH)
CASE = PictureCase(IMAGE, CLEAN, D, TRUTH, CLEAN)
BY_NAME: dict[str, Any] = {measure.name: measure for measure in (*PICTURE_MEASURES, *SET_MEASURES)}
WEIGHTS = Weights(niqe_model=NiqeModel(np.zeros(36), np.eye(36)), perceptual=tiny_perceptual(), inception={})


def test_names_are_unique_and_needs_are_known():
    assert len(BY_NAME) == len(PICTURE_MEASURES) + len(SET_MEASURES)
    for measure in BY_NAME.values():
        assert set(measure.needs) <= set(measures.WEIGHTS) == set(vars(Weights()))


def test_numbers_of_a_picture_are_those_of_the_functions():
    found = {measure.name: measured(measure, CASE, WEIGHTS) for measure in PICTURE_MEASURES}
    assert all(one.value is not None and not one.why for one in found.values())
    assert found["psnr"].value == float(metrics.psnr(IMAGE, TRUTH))
    error = float(metrics.downscaling_error(IMAGE, CASE.low_res))
    assert found["downscaling_error"].value == pytest.approx(error)
    assert found["consistency_psnr"].value == pytest.approx(-10 * np.log10(error))


def test_a_disturbed_input_has_an_error_against_the_clean_one_too():
    noisy = np.clip(CLEAN + 0.1 * RNG.normal(size=CLEAN.shape), 0, 1)
    case = PictureCase(IMAGE, noisy, D, TRUTH, CLEAN)
    assert measured(BY_NAME["clean_error"], case, WEIGHTS).value == pytest.approx(float(D.error(IMAGE, CLEAN)))
    assert measured(BY_NAME["downscaling_error"], case, WEIGHTS).value == pytest.approx(float(D.error(IMAGE, noisy)))
    alone = measured(BY_NAME["clean_error"], PictureCase(IMAGE, noisy, D, TRUTH), WEIGHTS)
    assert alone.value is None and "itself is clean" in alone.why


@pytest.mark.parametrize("name", [measure.name for measure in PICTURE_MEASURES])
def test_a_perfect_picture_is_at_least_as_good(name):
    if name == "niqe":
        return  # which knows no truth
    perfect = measured(BY_NAME[name], PictureCase(TRUTH, CASE.low_res, D, TRUTH, CLEAN), WEIGHTS).value
    other = measured(BY_NAME[name], CASE, WEIGHTS).value
    assert perfect is not None and other is not None
    assert (perfect > other) == (BY_NAME[name].better == "higher")


def test_what_is_missing_is_named_and_nothing_takes_its_place():
    alone = PictureCase(IMAGE, CASE.low_res, D)
    for name, message in (
        ("niqe", "NIQE needs --niqe-model FILE, "),
        ("lpips", "LPIPS needs --perceptual FILE, .* and the true pictures"),
        ("psnr", "PSNR needs the true pictures"),
    ):
        found = measured(BY_NAME[name], alone, Weights())
        assert found.value is None
        assert re.match(message, found.why)
    small = PictureCase(IMAGE[:64, :64], CASE.low_res[:8, :8], D)
    assert measured(BY_NAME["niqe"], small, WEIGHTS).why == "NIQE: undefined below 192x192 pixels, got 64x64"
    sets = SetCase(IMAGE[None], TRUTH[None])
    for name in ("fid", "kid", "precision", "recall"):
        assert "--inception FILE, pytorch-fid's pt_inception" in measured(BY_NAME[name], sets, Weights()).why


def test_numbers_of_sets_are_those_of_the_functions():
    images, truths = RNG.random((6, 32, 32, 3)), RNG.random((5, 32, 32, 3))
    ours, theirs = RNG.normal(size=(6, 4)), RNG.normal(size=(5, 4)) + 0.2
    case = SetCase(images, truths, ours, theirs)
    found = {measure.name: measured(measure, case, WEIGHTS).value for measure in SET_MEASURES}
    assert found["fid"] == metrics.frechet_distance(theirs, ours)
    assert (found["precision"], found["recall"]) == precision_recall(theirs, ours)
    assert found["sliced_wasserstein"] == np.mean(metrics.patch_distances(images[:5], truths))
    few = SetCase(images[:1], truths, ours[:1], theirs)
    assert measured(BY_NAME["fid"], few, WEIGHTS).why == "expected at least two solutions and two truths"


def test_inceptions_rows_do_not_depend_on_the_batch(monkeypatch):
    monkeypatch.setattr(
        measures, "_compiled", lambda name: lambda network, images: images.reshape(len(images), -1)[:, :2048]
    )
    images = RNG.random((5, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(measures.inception_rows({}, images, batch=2), images.reshape(5, -1)[:, :2048])
