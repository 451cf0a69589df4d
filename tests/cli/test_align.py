"""`align`: faces out of photographs, with landmarks of a file and with a detector."""

import json

import numpy as np
import pytest
from PIL import Image

from pulse_jax.cli import photographs
from pulse_jax.images.alignment import FRAMES, Detection, quad_of
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from pulse_jax.images.warping import aligned
from pulse_jax.runs.formats import AlignmentFile, AlignSummary
from pulse_jax.system.errors import RunError
from pulse_jax.system.files import sha256_of
from tests.cli.fake_engine import listing, run, summary_of
from tests.images.photographs import face, smooth
from tests.runs.records_check import faults

# From left to right, the largest in the middle.
FACES = [face((30, 30), 8), face((90, 50), 16, 0.3), face((150, 40), 10, -0.2)]


@pytest.fixture
def group(tmp_path):
    """A photograph with three faces in it, one without, and the file of their landmarks."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(to_uint8(smooth(190, 110))).save(folder / "group.png")
    Image.fromarray(to_uint8(smooth(50, 50))).save(folder / "empty.png")
    marks = {"group.png": [FACES[i].tolist() for i in (1, 0, 2)], "empty.png": []}
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    return folder


def alignment_of(folder):
    return json.loads((folder / "alignment.json").read_text())


def test_every_face_becomes_a_picture(fake, group, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--landmarks", tmp_path / "marks.json", "--size", 32, "--frame", "ffhq"]
    assert run("align", group, "--output", out, *words) == 1
    assert listing(out) == ["alignment.json", "faces.png", "group_1.png", "group_2.png", "group_3.png", "summary.json"]
    screen = capsys.readouterr()
    assert "empty.png: no face found" in screen.err and "1 of 2 inputs failed:" in screen.err
    assert "3 faces; look at" in screen.out
    stored, summary = alignment_of(out), summary_of(out)
    assert faults(stored, AlignmentFile) == [] and faults(summary, AlignSummary) == []
    assert summary["finished"] and summary["faces"] == 3 and len(summary["failed"]) == 1
    (photograph,) = stored["photographs"]
    assert photograph["sha256"] == sha256_of(group / "group.png") and photograph["found"] == 3
    picture = read_image(group / "group.png").pixels
    for number, (entry, points) in enumerate(zip(photograph["faces"], FACES, strict=True), 1):
        assert entry["number"] == number and entry["score"] is None and entry["landmarks"] == points.tolist()
        quad = quad_of(points, FRAMES["ffhq"])
        np.testing.assert_allclose(entry["quad"], quad)
        cut = to_uint8(read_image(out / entry["image"]).pixels)
        np.testing.assert_array_equal(cut, aligned(picture, quad, 32))


@pytest.mark.parametrize(("words", "numbers"), [(("--face", 3), [3]), (("--largest",), [2])])
def test_one_face_of_several(fake, group, tmp_path, words, numbers):
    words = ["--landmarks", tmp_path / "marks.json", *words]
    photo = group / "group.png"
    assert run("align", photo, "--output", tmp_path / "out", *words, "--size", 8) == 0
    (photograph,) = alignment_of(tmp_path / "out")["photographs"]
    assert [entry["number"] for entry in photograph["faces"]] == numbers and photograph["found"] == 3
    assert (tmp_path / "out" / f"group_{numbers[0]}.png").exists()


def test_a_face_that_is_not_there(fake, group, tmp_path, capsys):
    words = ["--landmarks", tmp_path / "marks.json", "--face", 4, "--size", 8]
    assert run("align", group / "group.png", "--output", tmp_path / "out", *words) == 1
    assert "has 3 faces, --face 4 names none of them" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_size_and_frame_are_the_generators(real, tmp_path):
    """A folder's are its size and FFHQ's frame, the embedded one's 64 pixels and that of its heads."""
    Image.fromarray(to_uint8(smooth(120, 100))).save(tmp_path / "a.png")
    (tmp_path / "marks.json").write_text(json.dumps({"a.png": [FACES[1].tolist()]}))
    words = ["align", tmp_path / "a.png", "--landmarks", tmp_path / "marks.json", "--output"]
    assert run(*words, tmp_path / "embedded") == 0
    assert run(*words, tmp_path / "folder", "--generator", real[0] / "generator") == 0
    for name, frame, size in (("embedded", "heads", 64), ("folder", "ffhq", 8)):
        stored = alignment_of(tmp_path / name)
        assert stored["frame"] == frame and summary_of(tmp_path / name)["size"] == size
        np.testing.assert_allclose(stored["photographs"][0]["faces"][0]["quad"], quad_of(FACES[1], FRAMES[frame]))
        assert read_image(tmp_path / name / "a_1.png").pixels.shape == (size, size, 3)


def test_a_detector_finds_them_otherwise(fake, group, tmp_path, monkeypatch):
    def detect(pixels):
        return [Detection(points, 0.9) for points in FACES] if pixels.shape[1] == 190 else []

    monkeypatch.setattr(photographs, "load_detector", lambda: detect)
    assert run("align", group, "--output", tmp_path / "out", "--size", 16) == 1
    (photograph,) = alignment_of(tmp_path / "out")["photographs"]
    assert [entry["score"] for entry in photograph["faces"]] == [0.9] * 3


def test_without_one_nothing_is_written(fake, group, tmp_path, monkeypatch, capsys):
    def missing():
        raise RunError("finding faces needs OpenCV")

    monkeypatch.setattr(photographs, "load_detector", missing)
    assert run("align", group, "--output", tmp_path / "out", "--size", 16) == 1
    assert capsys.readouterr().err == "pulse-jax: finding faces needs OpenCV\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ({}, "marks.json has no landmarks of a photograph called group.png"),
        (
            {"group.png": [face((500, 40), 8).tolist()]},
            "face 1 lies around (500, 41), its square 31 pixels wide, which does not suit",
        ),
        ({"group.png": [face((95, 40), 4e6).tolist()]}, "does not suit a photograph of 190x110; check its landmarks"),
        ({"group.png": [face((95, 40), 0.01).tolist()]}, "its square 0 pixels wide, which does not suit"),
    ],
)
def test_landmarks_of_something_else(fake, group, tmp_path, capsys, marks, told):
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    words = ["--landmarks", tmp_path / "marks.json", "--size", 16]
    assert run("align", group / "group.png", "--output", tmp_path / "out", *words) == 1
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--size 1", "--size: expected 2 to 4096, got 1"),
        ("--face 0", "--face: expected 1 to"),
        ("--face 1 --largest", "--largest: has no meaning with --face, which names one"),
    ],
)
def test_options_that_are_none(fake, group, tmp_path, capsys, words, told):
    assert run("align", group, "--output", tmp_path / "out", *words.split()) == 2
    assert told in capsys.readouterr().err
