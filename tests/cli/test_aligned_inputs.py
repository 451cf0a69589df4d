"""`upsample --align`: faces in photographs become inputs, as large as they are there."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.alignment import FRAMES, quad_of, side_of
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.images.warping import aligned
from pulse_jax.runs.formats import AlignmentFile, UpsampleSummary
from tests.cli.fake_engine import RESOLUTION, run, shown, summary_of
from tests.images.photographs import face, smooth
from tests.runs.records_check import faults

# Squares of 4.7, 39 and 2.7 pixels in the photograph, from left to right.
FACES = [face((30, 30), 1.2), face((80, 50), 10, 0.3), face((140, 40), 0.7, -0.2)]
QUADS = [quad_of(points, FRAMES["heads"]) for points in FACES]


@pytest.fixture
def group(tmp_path):
    photo = tmp_path / "photos" / "group.png"
    photo.parent.mkdir()
    Image.fromarray(to_uint8(smooth(190, 110))).save(photo)
    write_marks(tmp_path, FACES)
    return photo


def write_marks(folder, faces):
    (folder / "marks.json").write_text(json.dumps({"group.png": [points.tolist() for points in faces]}))


def command(group, out, *words):
    return ["upsample", group, "--align", "--landmarks", group.parents[1] / "marks.json", "--output", out, *words]


@pytest.mark.parametrize(("words", "sizes"), [((), [4, 8, 2]), (("--at", 4), [4, 4, 4])])
def test_every_face_is_an_input_by_the_downscaling_that_is_inverted(fake, group, tmp_path, capsys, words, sizes):
    out = tmp_path / "out"
    assert run(*command(group, out, *words)) == 0
    assert [RESOLUTION, *(int(side_of(quad)) for quad in QUADS)] == [16, 4, 39, 2]
    summary = summary_of(out)
    assert faults(summary, UpsampleSummary) == []
    assert shown(out) == {
        "alignment.json",
        "faces.png",
        "group_1",
        "group_2",
        "group_3",
        "index.html",
        "run.toml",
        "sheet.png",
        "summary.json",
    }
    picture = read_image(group).pixels
    for number, (record, size, quad) in enumerate(zip(summary["inputs"], sizes, QUADS, strict=True), 1):
        assert record["input"] == str(group) and record["solved"] == f"group_{number}/input.png"
        assert record["size"] == size and record["face"] == number
        assert record["notes"][0] == f"{side_of(quad):.0f} pixels across"
        square = from_uint8(aligned(picture, quad, RESOLUTION))
        expected = to_uint8(Bicubic(RESOLUTION // size).apply_float64(square))
        np.testing.assert_array_equal(to_uint8(read_image(out / record["solved"]).pixels), expected)
    assert "group.png, face 2: 39 pixels across, aligned and downscaled to" in capsys.readouterr().err
    stored = json.loads((out / "alignment.json").read_text())
    assert faults(stored, AlignmentFile) == []
    for entry, record in zip(stored["photographs"][0]["faces"], summary["inputs"], strict=True):
        assert entry["image"] == record["solved"] and record["solved"].startswith(entry["name"] + "/")


def test_the_same_command_goes_on(fake, group, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(*command(group, out)) == 0
    searched = len(fake.calls)
    assert run(*command(group, out)) == 0
    assert "Nothing left to do: 3 of 3 inputs are finished" in capsys.readouterr().out
    assert len(fake.calls) == searched


def test_a_killed_run_goes_on(fake, group, tmp_path, capsys):
    out = tmp_path / "out"
    fake.signal_at = 5
    assert run(*command(group, out)) == 130
    fake.signal_at = None
    assert run(*command(group, out)) == 0
    assert "going on with the unfinished run" in capsys.readouterr().err
    assert len(summary_of(out)["inputs"]) == 3
    other = tmp_path / "other"
    assert run(*command(group, other)) == 0
    for name in ("group_1", "group_2", "group_3"):
        again = (other / name / "input.png").read_bytes()
        assert (out / name / "input.png").read_bytes() == again


def test_another_photograph_comes_into_the_same_folder(fake, group, tmp_path):
    out = tmp_path / "out"
    second = group.parent / "second.png"
    second.write_bytes(group.read_bytes())
    marks = {name: [points.tolist() for points in FACES[:2]] for name in ("group.png", "second.png")}
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    assert run(*command(group, out)) == 0
    assert run(*command(second, out)) == 0
    stored = json.loads((out / "alignment.json").read_text())
    names = [entry["name"] for photograph in stored["photographs"] for entry in photograph["faces"]]
    assert names == ["group_1", "group_2", "second_1", "second_2"]
    assert {record["solved"].split("/")[0] for record in summary_of(out)["inputs"]} == {*names}


def test_a_photograph_without_a_face_costs_only_itself(fake, group, tmp_path, capsys):
    empty = group.parent / "empty.png"
    empty.write_bytes(group.read_bytes())
    marks = json.loads((tmp_path / "marks.json").read_text()) | {"empty.png": []}
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    assert run(*command(group, tmp_path / "out")[:1], empty, *command(group, tmp_path / "out")[1:]) == 1
    err = capsys.readouterr().err
    assert "1 of 4 inputs failed:" in err and "empty.png: no face found" in err
    assert len(summary_of(tmp_path / "out")["inputs"]) == 3


def test_one_face_may_be_chosen_and_others_added_later(fake, group, tmp_path):
    out = tmp_path / "out"
    for words, names in (
        (["--largest"], ["group_2"]),
        (["--face", 3], ["group_2", "group_3"]),
        ([], ["group_1", "group_2", "group_3"]),
    ):
        assert run(*command(group, out, *words)) == 0
        assert sorted(record["solved"].split("/")[0] for record in summary_of(out)["inputs"]) == names
        (photograph,) = json.loads((out / "alignment.json").read_text())["photographs"]
        assert [face["name"] for face in photograph["faces"]] == names


@pytest.fixture
def split(group, tmp_path):
    """A second photograph in the folder, in another of two shards; their numbers, the first one's first."""
    other = group.parent / "other.png"
    for level in range(20):
        other.write_bytes(group.read_bytes() + bytes([level]))  # what follows a PNG is not read
        shards = [int(hashlib.sha256(path.read_bytes()).hexdigest(), 16) % 2 + 1 for path in (group, other)]
        if shards[0] != shards[1]:
            break
    marks = {path.name: [points.tolist() for points in FACES[:2]] for path in (group, other)}
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    return shards


def folder_command(group, *words):
    return ["upsample", group.parent, *command(group, *words)[2:]]


def test_all_faces_of_a_photograph_are_in_its_shard(fake, group, split, tmp_path):
    for number, name in zip(split, ("group", "other"), strict=True):
        out = tmp_path / name
        assert run(*folder_command(group, out, "--shard", f"{number}/2", "--restarts", 1)) == 0
        assert [record["solved"] for record in summary_of(out)["inputs"]] == [f"{name}_{n}/input.png" for n in (1, 2)]
        assert summary_of(out)["shard"] == {"listed": ["group", "other"], "taken": [name]}


def test_photographs_of_other_shards_are_not_searched_for_faces(fake, group, split, tmp_path, capsys):
    """The landmarks of one are missing, which its own shard tells."""
    write_marks(tmp_path, FACES)
    for number, name, code in zip(split, ("group", "other"), (0, 1), strict=True):
        assert run(*folder_command(group, tmp_path / name, "--shard", f"{number}/2", "--restarts", 1)) == code
    assert "other.png: marks.json" not in (tmp_path / "group" / "summary.json").read_text()
    (failure,) = summary_of(tmp_path / "other")["failed"]
    assert failure["input"].endswith("other.png") and summary_of(tmp_path / "other")["inputs"] == []


def test_merged_shards_of_photographs_are_what_one_run_writes(fake, group, split, tmp_path):
    words = folder_command(group, tmp_path / "whole", "--restarts", 1)
    assert run(*words) == 0
    for number in (1, 2):
        assert run(*folder_command(group, tmp_path / f"{number}", "--shard", f"{number}/2", "--restarts", 1)) == 0
    assert run("merge", tmp_path / "2", tmp_path / "1", "--output", tmp_path / "out") == 0
    for file in ("alignment.json", "group_1/input.png", "other_2/input.png"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    ours, theirs = (summary_of(tmp_path / name) for name in ("out", "whole"))
    assert [one["solved"] for one in ours["inputs"]] == [one["solved"] for one in theirs["inputs"]]
    assert ours["files"] == theirs["files"] and ours["finished"]
    assert run("paste", tmp_path / "out", "--output", tmp_path / "pasted") == 0


def test_a_missing_shard_of_photographs_is_told_by_their_names(fake, group, split, tmp_path, capsys):
    assert run(*folder_command(group, tmp_path / "one", "--shard", f"{split[0]}/2", "--restarts", 1)) == 0
    assert run("merge", tmp_path / "one", "--output", tmp_path / "out") == 1
    assert f"1 missing (shard {split[1]}): other\n" in capsys.readouterr().err
    assert run(*folder_command(group, tmp_path / "out", "--restarts", 1)) == 0
    names = [record["solved"].partition("/")[0] for record in summary_of(tmp_path / "out")["inputs"]]
    assert names == ["group_1", "group_2", "other_1", "other_2"] and len(fake.calls[-1]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--align --fit crop", "--fit: has no meaning with --align; --at says how large"),
        ("--align --input-size 4", "--input-size: has no meaning with --align"),
        ("--align --factor 4", "--factor: has no meaning with --align"),
        ("--at 4", "--at: has a meaning with --align only"),
        ("--landmarks x.json", "--landmarks: has a meaning with --align only"),
        ("--face 1", "--face: has a meaning with --align only"),
        ("--largest", "--largest: has a meaning with --align only"),
        ("--align --face 0", "--face: expected 1 to 10000, got 0"),
        ("--align --face 1 --largest", "--largest: has no meaning with --face, which names one"),
    ],
)
def test_options_that_have_no_meaning(fake, group, tmp_path, capsys, words, told):
    assert run("upsample", group, "--output", tmp_path / "out", *words.split()) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_size_that_is_none(fake, group, tmp_path, capsys):
    assert run(*command(group, tmp_path / "out", "--at", 5)) == 2
    assert "--at: expected one of 2, 4, 8, 16 for pictures of 16x16, got 5" in capsys.readouterr().err
