"""`paste`: solutions back into their photographs."""

import json

import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.alignment import FRAMES, quad_of
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.images.warping import pasted
from pulse_jax.runs.formats import PasteSummary
from tests.cli.fake_engine import listing, run, summary_of
from tests.images.photographs import face, smooth
from tests.runs.records_check import faults

FACES = [face((40, 40), 9), face((130, 50), 12, 0.3)]


@pytest.fixture
def group(tmp_path):
    photo = tmp_path / "photos" / "group.png"
    photo.parent.mkdir()
    Image.fromarray(to_uint8(smooth(180, 110))).save(photo)
    (tmp_path / "marks.json").write_text(json.dumps({"group.png": [points.tolist() for points in FACES]}))
    return photo


@pytest.fixture
def solved(fake, group, tmp_path):
    """A run of `upsample --align` on the photograph."""
    words = ["--align", "--landmarks", tmp_path / "marks.json", "--output", tmp_path / "run", "--restarts", 3]
    assert run("upsample", group, *words) == 0
    return tmp_path / "run"


@pytest.mark.parametrize("number", [1, 2])
def test_a_solution_of_every_face_is_in_the_photograph(solved, group, tmp_path, number):
    out = tmp_path / "out"
    assert run("paste", solved, "--output", out, "--solution", number, "--feather", 0.2) == 0
    assert listing(out) == ["group.png", "summary.json"]
    expected = read_image(group).pixels.copy()
    for name, points in (("group_1", FACES[0]), ("group_2", FACES[1])):
        picture = read_image(solved / name / f"solution_{number:02}.png").pixels
        pasted(expected, quad_of(points, FRAMES["heads"]), picture, 0.2)
    np.testing.assert_array_equal(to_uint8(read_image(out / "group.png").pixels), to_uint8(expected))
    summary = summary_of(out)
    assert faults(summary, PasteSummary) == [] and summary["finished"]
    images = [f"{name}/solution_{number:02}.png" for name in ("group_1", "group_2")]
    assert summary["inputs"] == [{"input": str(group), "image": "group.png", "solutions": images}]


def test_faces_that_align_has_cut_out_come_back(fake, group, tmp_path):
    """Cut out large and put back as if they were solutions, they are the photograph, but for a level or two."""
    marks = ["--landmarks", tmp_path / "marks.json", "--frame", "ffhq"]
    assert run("align", group, "--output", tmp_path / "faces", "--size", 96, *marks) == 0
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for name in ("group_1", "group_2"):
        small = Image.open(tmp_path / "faces" / f"{name}.png").resize((4, 4))
        small.save(inputs / f"{name}.png")
    assert run("upsample", inputs, "--output", tmp_path / "run", "--restarts", 1) == 0
    for name in ("group_1", "group_2"):
        large = tmp_path / "faces" / f"{name}.png"
        (tmp_path / "run" / name / "solution_01.png").write_bytes(large.read_bytes())
    out = tmp_path / "out"
    assert run("paste", tmp_path / "run", "--output", out) == 1
    assert run("paste", tmp_path / "run", "--output", out, "--alignment", tmp_path / "faces") == 0
    before, after = (read_image(path).pixels for path in (group, out / "group.png"))
    # Half a pixel beside its place would come to 0.022.
    assert np.abs(before - after).max() < 0.012 and np.any(before != after)


def test_a_run_that_is_none_of_the_alignments(fake, group, tmp_path, capsys):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "other.png")
    assert run("upsample", tmp_path / "other.png", "--output", tmp_path / "run") == 0
    words = ["--landmarks", tmp_path / "marks.json", "--size", 8]
    assert run("align", group, "--output", tmp_path / "faces", *words) == 0
    capsys.readouterr()
    assert run("paste", tmp_path / "run", "--output", tmp_path / "out") == 1
    assert "alignment.json: cannot be read" in capsys.readouterr().err
    assert run("paste", tmp_path / "run", "--output", tmp_path / "out", "--alignment", tmp_path / "faces") == 1
    assert "none of its inputs is a face of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_photograph_that_has_changed(solved, group, tmp_path, capsys):
    Image.fromarray(to_uint8(smooth(181, 110))).save(group)
    assert run("paste", solved, "--output", tmp_path / "out") == 1
    assert "group.png: changed since its faces were cut out; align it again" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_solution_that_is_not_there(solved, tmp_path, capsys):
    assert run("paste", solved, "--output", tmp_path / "out", "--solution", 9) == 1
    assert "no input has a solution 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored["photographs"][0]["faces"][0].update(quad=[[0, 0]] * 4),
        lambda stored: stored["photographs"][0]["faces"][0].pop("quad"),
        lambda stored: stored.update(photographs=3),
        lambda stored: stored["photographs"][0].update(input=7),
    ],
)
def test_a_damaged_alignment_is_one_line(solved, tmp_path, capsys, change):
    path = solved / "alignment.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))
    capsys.readouterr()
    assert run("paste", solved, "--output", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert "alignment.json: damaged" in err and err.count("\n") == 1


def test_a_summary_that_names_other_files_is_refused(solved, tmp_path, capsys):
    path = solved / "summary.json"
    stored = json.loads(path.read_text())
    stored["inputs"][0]["solutions"][0]["image"] = "../../elsewhere.png"
    path.write_text(json.dumps(stored))
    assert run("paste", solved, "--output", tmp_path / "out") == 1
    assert "elsewhere.png is no file of the run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [("--feather 0.6", "--feather: expected 0 to 0.5, got 0.6"), ("--solution 0", "--solution: expected 1 to")],
)
def test_options_that_are_none(tmp_path, capsys, words, told):
    assert run("paste", tmp_path, "--output", tmp_path / "out", *words.split()) == 2
    assert told in capsys.readouterr().err


def test_pixels_of_the_fixture_are_smooth():
    """What the bound on a half pixel's shift above rests on."""
    picture = from_uint8(to_uint8(smooth(180, 110)))
    assert 0.03 < np.abs(np.diff(picture, axis=1)).max() < 0.06
