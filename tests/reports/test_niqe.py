"""NIQE: BasicSR's own features of photographs, and of its model's mathematics what follows from them."""

import hashlib
import json

import numpy as np
import pytest

from pulse_jax.images.files import save_png
from pulse_jax.reports.niqe import (
    NiqeModel,
    fit_niqe_model,
    luma,
    niqe,
    niqe_features,
    read_niqe_model,
    save_niqe_model,
)
from tests.golden_weights import GOLDENS

RECORDED = json.loads((GOLDENS / "l_niqe.json").read_text())


@pytest.fixture(scope="module")
def astronaut():
    picture = pytest.importorskip("skimage.data").astronaut()
    assert hashlib.sha256(picture.tobytes()).hexdigest() == RECORDED["sha256"]
    return picture / 255


@pytest.fixture(scope="module")
def features(astronaut):
    return niqe_features(luma(astronaut))


def test_brightness_is_that_of_basicsr(astronaut):
    assert float(luma(astronaut).sum(dtype=np.float64)) == pytest.approx(RECORDED["luma_sum"], abs=2)
    np.testing.assert_array_equal(luma(np.array([[[0.0] * 3, [1.0] * 3]])), [[16, 235]])
    # A red pixel: 65.481 + 16, rounded.
    assert luma(np.array([[[1.0, 0, 0]]])) == 81


def test_features_are_those_of_basicsr(features):
    found, sharpness = features
    assert found.shape == (25, 36) and sharpness.shape == (25,)
    np.testing.assert_allclose(found[0], RECORDED["first_block"], atol=5e-6)
    # A shape is the nearest of a table in steps of 0.001, one of which one block of 25 may be beside.
    np.testing.assert_allclose(found.mean(axis=0), RECORDED["mean"], atol=1e-4)


def test_the_distance_is_the_papers(astronaut, features):
    found, _ = features
    near = NiqeModel(found.mean(axis=0), np.cov(found, rowvar=False))
    assert niqe(astronaut, near) == pytest.approx(0, abs=1e-9)
    # With equal covariances C the distance from a mean that is moved by C u is the root of uᵀ C u.
    covariance = near.covariance
    u = np.random.default_rng(0).normal(size=36)
    moved = NiqeModel(near.mean + covariance @ u, covariance)
    assert niqe(astronaut, moved) == pytest.approx(float(np.sqrt(u @ covariance @ u)), rel=1e-4)


def test_it_is_told_where_it_is_undefined(unchecked):
    model = NiqeModel(np.zeros(36), np.eye(36))
    with pytest.raises(ValueError, match="NIQE: undefined below 192x192 pixels, got 300x191"):
        niqe(np.zeros((191, 300, 3)), model)
    with pytest.raises(ValueError, match=r"expected a floating-point picture in .* got uint8"):
        niqe(np.zeros((192, 192, 3), np.uint8), model)
    with np.errstate(all="raise"):
        assert np.isnan(niqe(np.full((192, 192, 3), 0.5), model))


def _photographs(folder, count=4, side=400):
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(count):
        save_png(folder / f"{number}.png", rng.random((side, side, 3)))
    return folder


def test_a_model_of_a_folder_judges_such_pictures_well(tmp_path):
    folder = _photographs(tmp_path / "good")
    save_png(folder / "small.png", np.zeros((64, 64, 3)))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    model, left_out = fit_niqe_model(folder)
    assert len(left_out) == 2
    assert any("small.png: NIQE: undefined below 192x192 pixels, got 64x64" in line for line in left_out)
    save_niqe_model(tmp_path / "model.npz", model)
    for ours, theirs in zip(read_niqe_model(tmp_path / "model.npz"), model, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    rng = np.random.default_rng(2)
    like, smooth = rng.random((384, 384, 3)), np.repeat(np.repeat(rng.random((48, 48, 3)), 8, axis=0), 8, axis=1)
    assert niqe(like, model) < niqe(smooth, model) / 2


def test_too_few_photographs_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"good: expected more than 36 sharp blocks .* got 16; add photographs"):
        fit_niqe_model(_photographs(tmp_path / "good", count=1))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": np.zeros(36)}, "no array 'mu_pris_param'"),
        ({"mu_pris_param": np.zeros((1, 35)), "cov_pris_param": np.eye(36)}, r"got shapes \(1, 35\) and \(36, 36\)"),
        ({"mu_pris_param": np.zeros((1, 36)), "cov_pris_param": np.full((36, 36), np.nan)}, "not finite numbers"),
        ({"mu_pris_param": np.zeros((1, 36), int), "cov_pris_param": np.eye(36)}, "not finite numbers"),
        (None, "not a model of NIQE"),
    ],
)
def test_files_that_are_no_models_are_refused_in_one_line(arrays, message, tmp_path):
    path = tmp_path / "model.npz"
    if arrays is None:
        path.write_bytes(b"<html>")
    else:
        np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"model\.npz: .*{message}") as error:
        read_niqe_model(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"none\.npz: not a model of NIQE: No such file"):
        read_niqe_model(tmp_path / "none.npz")
