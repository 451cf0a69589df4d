"""Judging: measures by their mathematics, attributes that are learnt, and both scripts at toy size."""

import dataclasses
import json
import os
import sys
import types
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from examples.training import detection, features, judge, judge_search, points, shards, targets
from examples.training.heads import describe, sample_person
from examples.training.targets import Target
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.images.degradations.bicubic import Bicubic, bicubic_matrix
from pulse_jax.images.files import save_png

RNG = np.random.default_rng(0)


def _pictures(n: int, side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


# --- points ---------------------------------------------------------------------------------------------------------


def test_distances_agree_with_their_definitions_across_blocks():
    x, y = RNG.random((300, 5)), RNG.random((30, 5))
    all_pairs = np.linalg.norm(x[:, None] - y, axis=2)
    np.testing.assert_allclose(points.nearest_distances(x, [y[:20], y[20:]]), all_pairs.min(axis=1), atol=1e-5)
    among = np.linalg.norm(x[:, None] - x, axis=2)
    assert points.mean_pairwise_distance(x) == pytest.approx(among.sum() / (300 * 299), rel=1e-5)


# --- what downscaling does not see -----------------------------------------------------------------------------------


def test_solutions_that_differ_only_in_what_downscaling_sees_do_not_differ():
    rows = bicubic_matrix(16, 4)
    seen = np.einsum("ph,qw,pqc->hwc", rows, rows, RNG.random((4, 4, 3)))
    pair = np.stack([np.zeros_like(seen), seen])[None] * 255
    assert judge_search.unseen_difference(pair, np.ones((1, 2), bool), 4) == pytest.approx(0, abs=1e-9)
    left = Bicubic(4).unseen(RNG.random((16, 16, 3)))
    pair = np.stack([np.zeros_like(left), left])[None] * 255
    expected = np.sqrt(np.mean(left**2))
    assert judge_search.unseen_difference(pair, np.ones((1, 2), bool), 4) == pytest.approx(expected)
    assert judge_search.unseen_difference(pair, np.array([[True, False]]), 4) is None


# --- faces ----------------------------------------------------------------------------------------------------------


def test_faces_are_asked_for_picture_by_picture():
    pictures = _pictures(5)
    found = detection.faces_found(pictures, lambda picture: bool(picture[0, 0, 0] > 100))
    np.testing.assert_array_equal(found, pictures[:, 0, 0, 0] > 100)


@pytest.mark.parametrize("module", [None, types.ModuleType("cv2")], ids=["missing", "without cascades"])
def test_a_missing_detector_is_told_with_the_command_that_helps(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "cv2", module)
    with pytest.raises(SystemExit, match=r"pip install 'opencv-python-headless<5'"):
        detection.haar_detector()


class _Opencv(types.ModuleType):
    """A stand-in whose cascades find a face where the enlarged grey picture is bright enough for them."""

    INTER_CUBIC = COLOR_RGB2GRAY = 0
    data = types.SimpleNamespace(haarcascades="")

    @staticmethod
    def resize(picture: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.NEAREST))

    @staticmethod
    def cvtColor(picture: np.ndarray, code: int) -> np.ndarray:
        return picture.mean(axis=2)

    class CascadeClassifier:
        def __init__(self, name: str) -> None:
            self.least = 200 if "alt2" in name else 100

        def detectMultiScale(self, grey: np.ndarray, *arguments: Any, minSize: tuple[int, int]) -> list[int]:
            assert grey.shape == (256, 256) and minSize == (77, 77)
            return [1] if grey.mean() > self.least else []


def test_both_cascades_must_find_a_face_in_the_enlarged_picture(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", _Opencv("cv2"))
    levels = np.array([50, 150, 250], np.uint8)[:, None, None, None]
    pictures = np.broadcast_to(levels, (3, 16, 16, 3)).copy()
    np.testing.assert_array_equal(detection.faces_found(pictures, detection.haar_detector()), [False, False, True])


# --- attributes -----------------------------------------------------------------------------------------------------

ATTRIBUTES = {
    "id": np.arange(4),
    "flat": np.full(4, 0.5, np.float32),
    "one": np.zeros(4, bool),
    "kind": np.array([0, 2, 2, 1], np.int32),
    "on": np.array([True, False, False, True]),
    "yaw": np.array([-10.0, 0, 10, 40], np.float32),
    "light": np.array([[1.0, 5], [2, 5], [3, 6], [6, 6]], np.float32),
}


def test_kinds_follow_from_dtypes_and_what_never_changes_is_left_out():
    wanted = targets.targets_of(ATTRIBUTES)
    assert [(t.name, t.kind, t.size) for t in wanted] == [
        ("kind", "categorical", 3),
        ("light", "regression", 2),
        ("on", "binary", 1),
        ("yaw", "regression", 1),
    ]
    np.testing.assert_allclose((wanted[3].mean, wanted[3].std), ([10], [np.sqrt(350)]), rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [np.array([0.0, np.nan]), np.array([0, -1]), np.array([0, 10**6]), np.zeros((2, 2), int), np.array(["a", "b"])],
)
def test_attributes_of_no_kind_are_refused_by_name(values):
    with pytest.raises(ValueError, match="odd: expected"):
        targets.targets_of({"odd": values})


def test_outputs_that_say_the_truth_decode_to_it_score_fully_and_cost_least():
    wanted = targets.targets_of(ATTRIBUTES)
    encoded = targets.encode(wanted, ATTRIBUTES)
    sure = {"kind": 50 * np.eye(3)[encoded["kind"]], "on": 100 * encoded["on"][:, None] - 50}
    outputs = np.concatenate([sure.get(t.name, encoded[t.name]) for t in wanted], axis=1).astype(np.float32)
    assert targets.output_size(wanted) == outputs.shape[1]
    decoded = targets.decode(wanted, outputs)
    for target in wanted:
        np.testing.assert_allclose(decoded[target.name].ravel(), ATTRIBUTES[target.name].ravel(), atol=1e-5)
    scores = targets.scores(wanted, decoded, ATTRIBUTES)
    for name, expected in {"kind": (1, 0.5), "light": (1, 0), "on": (1, 0.5), "yaw": (1, 0)}.items():
        assert scores[name] == pytest.approx(expected)
    assert float(targets.loss(wanted, outputs, encoded)) == pytest.approx(0, abs=1e-6)
    # Saying nothing costs log(classes), log 2 and the variance, which is 1, of each regression.
    assert float(targets.loss(wanted, 0 * outputs, encoded)) == pytest.approx(np.log(3) + np.log(2) + 2, rel=1e-5)
    means = {t.name: np.broadcast_to(t.mean, (4, t.size)) for t in wanted if t.kind == "regression"}
    assert targets.scores(wanted, decoded | means, ATTRIBUTES)["light"] == pytest.approx((0, 0), abs=1e-6)


def test_mirroring_turns_the_signs_of_angles_to_the_side_alone():
    wanted = targets.targets_of(ATTRIBUTES)
    mirrored = targets.mirror(wanted, targets.encode(wanted, ATTRIBUTES), np.array([True, False, True, False]))
    signs = np.array([-1, 1, -1, 1])
    expected = dict(ATTRIBUTES) | {"yaw": signs * ATTRIBUTES["yaw"]}
    expected["light"] = ATTRIBUTES["light"] * np.stack([signs, np.ones(4)], axis=1)
    for name, values in targets.encode(wanted, expected).items():
        np.testing.assert_allclose(mirrored[name], values, atol=1e-6)
    with pytest.raises(ValueError, match="expected 1 components"):
        vector = {"yaw": ATTRIBUTES["light"]}
        targets.mirror(targets.targets_of(vector), targets.encode(targets.targets_of(vector), vector), np.ones(4, bool))


def test_mirrored_attributes_are_the_renderers_with_as_many_components():
    described = jax.eval_shape(lambda: describe(sample_person(jax.random.key(0))))
    for name, signs in targets.MIRROR_SIGNS.items():
        assert np.prod(described[name].shape) == len(signs), name


def test_summaries_are_shares_means_and_deviations():
    wanted = targets.targets_of(ATTRIBUTES)
    rows = targets.summaries(wanted, ATTRIBUTES)
    assert rows["kind"] == [0.25, 0.25, 0.5] and rows["on"] == [0.5]
    np.testing.assert_allclose(rows["light"], [3, 5.5, np.sqrt(3.5), 0.5], rtol=1e-6)
    other = rows | {"kind": [0.5, 0.25, 0.25], "on": [1.0]}
    lines = judge.attribute_rows(wanted, [rows, other])
    assert lines[0] == ["kind, 3 classes, total variation", "0.000", "0.250"]
    assert lines[1:3] == [["light[0]", "3 ± 1.87", "3 ± 1.87"], ["light[1]", "5.5 ± 0.5", "5.5 ± 0.5"]]
    assert lines[3] == ["on, share", "0.500", "1.000"]


# --- features -------------------------------------------------------------------------------------------------------


def _spots(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Pictures of a spot: its colour is a class, its distance to the middle changes sign when mirrored."""
    rng = np.random.default_rng(seed)
    kind, column = rng.integers(0, 3, n), rng.integers(0, 13, n)
    pictures = rng.integers(0, 40, (n, 16, 16, 3), dtype=np.uint8)
    for i in range(n):
        pictures[i, 6:10, column[i] : column[i] + 4, kind[i]] = 250
    return pictures, {"colour": kind, "red": kind == 0, "yaw": column - 6.0, "id": np.arange(n)}


@pytest.fixture(scope="module")
def spotter():
    return features.train(*_spots(600, 0), steps=200, batch=32, features=16, learning_rate=3e-3)


@pytest.mark.slow
def test_attributes_that_show_are_learnt(spotter):
    pictures, attributes = _spots(100, 1)
    found, predicted = spotter(pictures)
    assert found.shape == (100, 16) and found.dtype == np.float32
    scores = targets.scores(spotter.targets, predicted, attributes)
    assert min(score for score, _ in scores.values()) > 0.9, scores
    mirrored = spotter(pictures[:, :, ::-1])[1]["yaw"]
    np.testing.assert_allclose(mirrored[:, 0], -attributes["yaw"], atol=2.5)


def test_features_of_the_training_renders_have_mean_zero_and_total_variance_one(spotter):
    found, _ = spotter(_spots(600, 0)[0])
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    assert found.var(axis=0).sum() == pytest.approx(1, rel=1e-4)
    alone, _ = spotter(_spots(600, 0)[0][500:503])
    np.testing.assert_allclose(alone, found[500:503], atol=1e-6)


def test_a_network_comes_back_as_it_was_saved(tmp_path, spotter):
    path = tmp_path / "features.npz"
    features.save(path, spotter)
    assert list(tmp_path.iterdir()) == [path]
    again = features.load(path)
    assert again.targets == spotter.targets
    pictures = _pictures(3)
    for a, b in zip(spotter(pictures)[1].values(), again(pictures)[1].values(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(spotter(pictures)[0], again(pictures)[0])


def test_a_file_of_another_network_is_refused(tmp_path, spotter):
    path = tmp_path / "features.npz"
    features.save(path, spotter)
    arrays = dict(np.load(path))
    del arrays["params/outputs/bias"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="params/outputs/bias: expected shape"):
        features.load(path)
    np.savez(path, mean=np.zeros(3))
    with pytest.raises(ValueError, match=r"written by features\.py"):
        features.load(path)


def test_pictures_that_do_not_fit_are_refused(spotter):
    with pytest.raises(ValueError, match="expected uint8"):
        spotter(np.zeros((2, 16, 16, 3), np.float32))
    with pytest.raises(ValueError, match="expected uint8"):
        spotter(np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="multiples of 16"):
        features.train(_pictures(64, 24), {"on": np.arange(64) % 2 == 0})
    with pytest.raises(ValueError, match="some that vary"):
        features.train(_pictures(64), {"on": np.zeros(64, bool)})


# --- the scripts ----------------------------------------------------------------------------------------------------


def _write_shards(folder: Any, pictures: np.ndarray, attributes: dict[str, np.ndarray], of: int) -> None:
    folder.mkdir()
    for number, start in enumerate(range(0, len(pictures), of)):
        rows = slice(start, start + of)
        few = {name: values[rows] for name, values in attributes.items()}
        shards.write_shard(shards.shard_path(folder, number), pictures[rows], few)


@pytest.fixture(scope="module")
def generator():
    """Pictures of 16×16 that are linear in six numbers, within [0, 1] for all but a few."""
    basis = np.random.default_rng(5).normal(size=(6, 16, 16, 3)).astype(np.float32) / 20
    return Generator.from_function(
        lambda basis, w, noise: 0.5 + jax.numpy.tensordot(w[0], basis, axes=1),
        basis,
        resolution=16,
        latent_dim=6,
        gaussian_fit=GaussianFit(jax.numpy.zeros(6), jax.numpy.ones(6)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, spotter):
    """Training and held-out shards and a network's file."""
    root = tmp_path_factory.mktemp("judging")
    _write_shards(root / "train", *_spots(30, 2), of=20)
    _write_shards(root / "heldout", *_spots(20, 3), of=20)
    features.save(root / "features.npz", spotter)
    return root


def test_shards_come_back_whole_and_their_absence_is_told(folder, tmp_path):
    pictures, attributes = _spots(30, 2)
    np.testing.assert_array_equal(shards.read_pictures(folder / "train"), pictures)
    for name, values in shards.read_attributes(folder / "train").items():
        np.testing.assert_array_equal(values, attributes[name])
    with pytest.raises(FileNotFoundError, match=r"render\.py"):
        shards.read_pictures(tmp_path)


@pytest.mark.parametrize("count", [1, 25, 26, 60])
def test_a_shard_is_a_sheet_of_rows_padded_with_black(tmp_path, count):
    pictures = _pictures(count, 4)
    path = shards.shard_path(tmp_path, 7)
    shards.write_shard(path, pictures, {"id": np.arange(count)})
    np.testing.assert_array_equal(shards.read_shard(path), pictures)
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    assert sheet.shape == (4 * -(-count // 25), 100, 3)
    for k in range(25 * len(sheet) // 4):
        y, x = 4 * (k // 25), 4 * (k % 25)
        np.testing.assert_array_equal(sheet[y : y + 4, x : x + 4], pictures[k] if k < count else 0)


def test_a_killed_write_leaves_no_shard(tmp_path, monkeypatch):
    path = shards.shard_path(tmp_path, 0)

    def killed(*_):
        raise KeyboardInterrupt

    for lost in (1, 2):  # before the attributes are in place, and between them and the sheet
        left = iter([os.replace] * (lost - 1) + [killed])
        monkeypatch.setattr(os, "replace", lambda *names, left=left: next(left)(*names))
        with pytest.raises(KeyboardInterrupt):
            shards.write_shard(path, _pictures(3, 4), {"id": np.arange(3)})
        monkeypatch.undo()
        with pytest.raises(FileNotFoundError):
            shards.read_pictures(tmp_path)
    shards.write_shard(path, _pictures(3, 4), {"id": np.arange(3)})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["shard_00000.npz", "shard_00000.png"]
    np.testing.assert_array_equal(shards.read_pictures(tmp_path), _pictures(3, 4))


def test_a_sheet_of_another_layout_is_told(tmp_path):
    path = shards.shard_path(tmp_path, 0)
    shards.write_shard(path, _pictures(26, 4), {"id": np.arange(26)})
    Image.new("RGB", (100, 4)).save(path)
    with pytest.raises(ValueError, match="sheet of 26 pictures"):
        shards.read_shard(path)


def test_copies_of_training_renders_and_mirrored_copies_are_found(folder):
    train = _spots(30, 2)[0]
    copies = np.stack([train[3], train[25, :, ::-1], 255 - train[0]])
    nearest = judge.nearest_render(copies, folder / "train")
    np.testing.assert_allclose(nearest[:2], 0, atol=1e-3)
    candidates = np.concatenate([train, train[:, :, ::-1]]) / 255
    expected = np.sqrt(np.mean((candidates - copies[2] / 255) ** 2, axis=(1, 2, 3))).min()
    assert nearest[2] == pytest.approx(expected, rel=1e-4)


def test_the_judgement_of_a_generator_is_written_beside_the_renders(folder, generator, tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "load_generator", lambda path: generator)
    monkeypatch.setattr(detection, "haar_detector", lambda: lambda picture: bool(picture[0, 0, 0] % 2))
    judge.main(
        judge.Options(
            heldout=folder / "heldout",
            train=folder / "train",
            features=folder / "features.npz",
            previous=folder,
            samples=12,
            output=tmp_path / "judged.json",
        )
    )
    judged = json.loads((tmp_path / "judged.json").read_text())
    columns = judged["columns"]
    assert judged["compared"] == 10 and list(columns) == ["renders", "samples", "previous"]
    assert columns["samples"] == columns["previous"] and columns["samples"]["pictures"] == 12
    heldout, attributes = _spots(20, 3)
    assert columns["renders"]["faces"] == np.mean(heldout[:, 0, 0, 0] % 2)
    assert judged["true_attributes"]["red"] == [np.mean(attributes["red"])]
    text = (tmp_path / "judged.md").read_text()
    assert (
        "| face found |" in text
        and "| red, share |" in text
        and "| distance between two pictures, relative | 1.000 |" in text
    )


@pytest.fixture(scope="module")
def searched(folder, generator):
    """A search for three of the generator's own pictures, one of them under an eps that nothing meets."""
    (folder / "truths").mkdir()
    for i, picture in enumerate(judge.draw_samples(generator, 5, seed=3)):
        save_png(folder / "truths" / f"{2 * i + 1:06d}.png", picture)
    options = judge_search.Options(
        heldout=folder / "heldout",
        features=folder / "features.npz",
        output=folder / "searched",
        truths=folder / "truths",
        factor=4,
        eps=(1.0, 1e-9),
        steps=3,
        restarts=2,
        lanes=4,
        count=4,
        worst=2,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection, "haar_detector", lambda: lambda picture: bool(picture.mean() > 100))
        patch.setattr(judge_search, "load_generator", lambda path: generator)
        judge_search.main(options)
    return options, json.loads((options.output / "judged_search.json").read_text())


def test_every_solution_is_written_and_its_error_is_that_of_the_picture_read_back(searched):
    options, judged = searched
    for eps in ("1", "1e-09"):
        inputs = judged["worst_first"][eps]
        assert sorted(row["name"] for row in inputs) == ["000001", "000003", "000005", "000007"]
        assert len(list((options.output / f"eps_{eps}").iterdir())) == 4 * 2
        for row in inputs:
            truth = np.asarray(Image.open(options.truths / f"{row['name']}.png")) / 255
            for number, error in enumerate(row["errors"]):
                path = options.output / f"eps_{eps}" / f"{row['name']}_{number + 1}.png"
                difference = Bicubic(4).apply_float64(np.asarray(Image.open(path)) / 255 - truth)
                assert error == pytest.approx(np.mean(difference**2), rel=1e-4)


def test_rows_say_what_was_feasible_and_stand_in_relation(searched):
    _, judged = searched
    rows = judged["rows"]
    assert list(rows) == ["truths", "plain samples", "bicubic, eps 1", "eps 1", "eps 1e-09"]
    assert rows["truths"]["median_error"] == pytest.approx(0, abs=1e-12)
    assert rows["eps 1"]["inputs_feasible"] == rows["eps 1"]["searches_feasible"] == 1
    assert rows["eps 1"]["unseen_difference"] > 0
    # Nothing is left out where nothing is feasible.
    assert rows["eps 1e-09"]["inputs_feasible"] == 0 and rows["eps 1e-09"]["unseen_difference"] is None
    assert rows["plain samples"]["frechet_relative"] == rows["plain samples"]["sliced_wasserstein_relative"] == 1
    assert rows["truths"]["nearest_render_relative"] == 1
    # Held-out renders number 1, 3, 5 and 7 are truths.
    assert judged["renders"] == 16


def test_sheets_and_tables_are_written(searched):
    options, judged = searched
    assert {path.name for path in options.output.iterdir()} == {
        "eps_1",
        "eps_1e-09",
        "judged_search.json",
        "judged_search.md",
        "worst_1.png",
        "worst_1e-09.png",
    }
    with Image.open(options.output / "worst_1.png") as sheet:
        narrow = sheet.size
    truths = judge_search.read_truths(options.truths, 4, 4)
    twelve = judge_search.Truths(*(np.concatenate([part] * 3) for part in dataclasses.astuple(truths)))
    outcome = judge_search.Outcome(
        twelve.pictures[:, None].repeat(2, axis=1), np.zeros((12, 2)), np.ones((12, 2), bool), np.zeros(0), np.zeros(12)
    )
    wide = judge_search.worst_sheet(twelve, outcome, outcome, 1.0, 12)
    assert wide.shape[1] == 2 * narrow[0]
    names, lines = judge_search.table(judged["rows"], faces=False)
    assert not any("face" in name for name in names)
    assert all(len(line) == len(names) for line in lines)
    assert (options.output / "judged_search.md").read_text().count("\n") == 2 + 5


def test_the_worst_have_no_face_or_are_far_from_any_render():
    outcome = judge_search.Outcome(
        pictures=np.zeros((4, 2, 16, 16, 3), np.uint8),
        errors=np.zeros((4, 2)),
        faces=np.array([[True, False], [False, True], [True, True], [False, False]]),
        features=np.zeros((4, 1)),
        nearest=np.array([0.9, 0.1, 0.2, 0.3]),
    )
    assert judge_search.worst_first(outcome).tolist() == [3, 1, 0, 2]


def test_bicubic_upsampling_of_one_colour_is_that_colour():
    low_res = np.broadcast_to(np.array([0.2, 0.4, 1.0], np.float32), (1, 4, 4, 3))
    truths = judge_search.Truths(["1"], np.zeros((1, 16, 16, 3), np.uint8), low_res)
    enlarged = judge_search.bicubic_upsampled(truths)
    assert enlarged.shape == (1, 1, 16, 16, 3)
    assert (enlarged == [51, 102, 255]).all()


def test_targets_survive_json(spotter):
    assert all(isinstance(target, Target) and isinstance(target.mean, tuple) for target in spotter.targets)
