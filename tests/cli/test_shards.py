"""`upsample --shard`: processes that know nothing of each other share the inputs, and find what one would find."""

import hashlib
import shutil

import pytest

from pulse_jax.runs.formats import UpsampleSummary
from pulse_jax.runs.lock import held_still
from tests.cli.fake_engine import draw, run, shown, summary_of
from tests.runs.records_check import faults

COUNT = 3


def shard_of(path, count=COUNT):
    """The shard that a file falls into, by the definition."""
    return int(hashlib.sha256(path.read_bytes()).hexdigest(), 16) % count + 1


def solved(out):
    return [entry["solved"].partition("/")[0] for entry in summary_of(out)["inputs"]]


@pytest.fixture
def several(inputs):
    """Eight pictures in two folders, some of one name, some of one content."""
    for seed in range(6):
        draw(inputs / "a" / f"{seed}.png", seed=seed)
    draw(inputs / "b" / "0.png", seed=7)
    shutil.copy(inputs / "a" / "1.png", inputs / "b" / "again.png")
    return [inputs / "a", inputs / "b"]


def test_every_input_is_solved_in_the_shard_of_its_file(fake, several, tmp_path):
    words = ["upsample", *several, "--restarts", 2]
    assert run(*words, "--output", tmp_path / "whole") == 0
    together = {}
    for number in range(1, COUNT + 1):
        out = tmp_path / f"{number}"
        assert run(*words, "--output", out, "--shard", f"{number}/{COUNT}") == 0
        summary = summary_of(out)
        assert faults(summary, UpsampleSummary) == [] and summary["settings"]["shard"] == f"{number}/{COUNT}"
        assert solved(out) == summary["shard"]["taken"] and summary["shard"]["listed"] == solved(tmp_path / "whole")
        for entry in summary["inputs"]:
            name = entry["solved"].partition("/")[0]
            assert shard_of(tmp_path / entry["input"]) == number
            assert together.setdefault(name, out) == out
    assert {*together} == {*solved(tmp_path / "whole")} == {"0", "1", "2", "3", "4", "5", "b-0", "again"}
    assert together["1"] == together["again"]
    for name, out in together.items():
        for file in (tmp_path / "whole" / name).iterdir():
            if file.suffix == ".png":
                assert (out / name / file.name).read_bytes() == file.read_bytes()


def test_a_split_depends_on_no_order_names_or_places(fake, several, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number, path in enumerate(sorted(several[0].iterdir(), reverse=True)):
        shutil.copy(path, elsewhere / f"picture {number}.bin.png")
    for number in range(1, COUNT + 1):
        for source, out in ((several[0], "one"), (elsewhere, "two")):
            words = ["upsample", source, "--output", tmp_path / f"{out}{number}", "--shard", f"{number}/{COUNT}"]
            assert run(*words, "--restarts", 1) == 0
        kept = [
            {entry["image_number"] for entry in summary_of(tmp_path / f"{out}{number}")["inputs"]}
            for out in ("one", "two")
        ]
        assert kept[0] == kept[1]


def test_an_empty_shard_is_a_finished_run(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    number = shard_of(inputs / "a.png") % COUNT + 1
    out = tmp_path / "out"
    words = ["upsample", inputs, "--output", out, "--shard", f"{number}/{COUNT}"]
    assert run(*words) == 0
    assert capsys.readouterr().out == f"Nothing to do: none of the 1 inputs falls into shard {number}/{COUNT}\n"
    summary = summary_of(out)
    assert faults(summary, UpsampleSummary) == []
    assert summary["finished"] and summary["inputs"] == [] and summary["solutions"] == 0
    assert summary["shard"] == {"listed": ["a"], "taken": []}
    assert shown(out) == {"index.html", "run.toml", "summary.json"}
    before = (out / "summary.json").read_bytes()
    assert run(*words) == 0
    assert capsys.readouterr().out == f"Nothing left to do: 0 of 0 inputs are finished in {out}\n"
    assert (out / "summary.json").read_bytes() == before


def test_an_input_that_cannot_be_used_is_told_by_its_shard_alone(fake, inputs, tmp_path, capsys):
    (inputs / "a.png").write_bytes(b"no picture")
    for number in range(1, COUNT + 1):
        out = tmp_path / f"{number}"
        own = number == shard_of(inputs / "a.png")
        assert run("upsample", inputs, "--output", out, "--shard", f"{number}/{COUNT}") == own
        assert ("1 of 1 inputs failed" in capsys.readouterr().err) == own
        assert summary_of(out)["finished"] and len(summary_of(out)["failed"]) == own


def test_inputs_that_do_not_exist_are_refused_as_ever(fake, tmp_path, capsys):
    assert run("upsample", tmp_path / "no.png", "--output", tmp_path / "out", "--shard", "1/2") == 1
    assert "no.png" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("finished", [True, False])
def test_another_shard_does_not_go_on_in_the_same_folder(fake, several, tmp_path, capsys, finished):
    words = ["upsample", *several, "--output", tmp_path / "out"]
    fake.interrupt_after = None if finished else 1
    assert run(*words, "--shard", "1/2") == (0 if finished else 130)
    fake.interrupt_after = None
    before = (tmp_path / "out" / "summary.json").read_bytes()
    kind = "a finished" if finished else "an unfinished"
    for other, told in ((["--shard", "2/2"], '"2/2"'), ([], "null"), (["--shard", "1/3"], '"1/3"')):
        capsys.readouterr()
        assert run(*words, *other) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pulse-jax:")]
        assert f'holds {kind} run with other settings (shard was "1/2", is {told})' in line
    assert (tmp_path / "out" / "summary.json").read_bytes() == before


def test_two_at_once_in_one_folder_is_refused_in_a_line(fake, several, tmp_path, capsys):
    words = ["upsample", *several, "--output", tmp_path / "out"]
    fake.interrupt_after = 1
    assert run(*words, "--shard", "1/2") == 130
    fake.interrupt_after = None
    capsys.readouterr()
    with held_still(tmp_path / "out"):
        assert run(*words, "--shard", "2/2") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pulse-jax:")]
    assert line.endswith("out: another process is writing there; wait until it has ended, or choose another")


def test_a_stopped_shard_goes_on_and_repeats_itself_from_its_options(fake, several, tmp_path):
    words = ["upsample", *several, "--restarts", 2, "--shard", "1/2"]
    fake.interrupt_after = 3
    assert run(*words, "--output", tmp_path / "out") == 130
    fake.interrupt_after = None
    assert run(*words, "--output", tmp_path / "out") == 0
    assert 'shard = "1/2"' in (tmp_path / "out" / "run.toml").read_text()
    assert run("upsample", "--config", tmp_path / "out" / "run.toml", "--output", tmp_path / "again") == 0
    assert solved(tmp_path / "again") == solved(tmp_path / "out") == summary_of(tmp_path / "out")["shard"]["taken"]


@pytest.mark.parametrize("value", ["0/2", "3/2", "1", "x/y", "1/0", "-1/2"])
def test_what_is_no_shard_is_one_line(fake, inputs, tmp_path, capsys, value):
    assert run("upsample", inputs, "--output", tmp_path / "out", "--shard", value) == 2
    told = f"pulse-jax: --shard: expected I/N with whole numbers 1 <= I <= N, 2/3 for instance, got '{value}'\n"
    assert capsys.readouterr().err == told and not (tmp_path / "out").exists()


def test_larger_pictures_are_split_by_their_files_before_they_are_downscaled(fake, inputs, tmp_path):
    for seed in range(5):
        draw(inputs / f"{seed}.png", side=32, seed=seed)
    for number in (1, 2):
        out = tmp_path / f"{number}"
        assert (
            run("upsample", inputs, "--output", out, "--input-size", 4, "--restarts", 1, "--shard", f"{number}/2") == 0
        )
        assert solved(out) == [f"{seed}" for seed in range(5) if shard_of(inputs / f"{seed}.png", 2) == number]
