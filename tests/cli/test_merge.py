"""`merge`: several runs become one, as though one process had made them."""

import json
import os
import shutil

import numpy as np
import pytest

from pulse_jax.cli.demo import verify
from pulse_jax.runs.formats import SolutionsFile, UpsampleSummary
from pulse_jax.runs.lock import held_still
from tests.cli.fake_engine import ADDITIONS, draw, listing, run, shown, summary_of
from tests.cli.test_shards import shard_of
from tests.runs.records_check import faults


@pytest.fixture
def several(fake, inputs):
    """Seven pictures in two folders: two of one name, two of one content, and a file that is no picture."""
    for seed in range(5):
        draw(inputs / "a" / f"{seed}.png", seed=seed)
    draw(inputs / "b" / "0.png", seed=7)
    shutil.copy(inputs / "a" / "1.png", inputs / "b" / "again.png")
    return [inputs / "a", inputs / "b"]


def split(several, home, *words, count=2):
    """The runs of all shards."""
    runs = [home / f"shard{number}" for number in range(1, count + 1)]
    for number, out in enumerate(runs, 1):
        assert run("upsample", *several, "--output", out, *words, "--shard", f"{number}/{count}") == 0
    return runs


def assert_as_one(out, whole):
    """That a folder is what an undisturbed run writes, but for the time it took and its own place."""
    assert listing(out) == listing(whole)
    for name in listing(whole):
        ours, theirs = out / name, whole / name
        if name.endswith(".json"):
            one, other = (
                json.loads(file.read_text().replace(f"{home}/", "OUT/"))
                for file, home in ((ours, out), (theirs, whole))
            )
            assert {**one, "speed": None} == {**other, "speed": None}, name
        elif name.endswith(".npz"):
            with np.load(ours) as one, np.load(theirs) as other:
                assert {*one} == {*other}
                for key in one:
                    np.testing.assert_array_equal(one[key], other[key])
        elif name == "index.html":
            assert ours.read_text().replace(f"{out}/", "OUT/") == theirs.read_text().replace(f"{whole}/", "OUT/")
        else:
            assert ours.read_bytes() == theirs.read_bytes(), name


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (2, ["--restarts", 2]),
        (1, ["--restarts", 1, "--no-sheets"]),
        (5, ["--restarts", 2, "--no-sheets"]),
        (2, ["--preset", "bicubic"]),
        pytest.param(2, ["--eps", 0.3, *ADDITIONS], marks=pytest.mark.slow),
    ],
    ids=["search", "one", "five", "bicubic", "additions"],
)
def test_merged_shards_are_the_whole_run(fake, several, tmp_path, capsys, count, words):
    assert run("upsample", *several, *words, "--output", tmp_path / "whole") == 0
    runs = split(several, tmp_path, *words, count=count)
    before = {out: {file: (out / file).read_bytes() for file in listing(out)} for out in runs}
    capsys.readouterr()
    # Their order tells nothing.
    assert run("merge", *reversed(runs), "--output", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"7 inputs of {count} run{'s' if count > 1 else ''} in ") and err == ""
    assert_as_one(tmp_path / "out", tmp_path / "whole")
    summary = summary_of(tmp_path / "out")
    assert faults(summary, UpsampleSummary) == []
    for entry in summary["inputs"]:
        stored = json.loads((tmp_path / "out" / entry["latents"]).with_name("solutions.json").read_text())
        assert faults(stored, SolutionsFile) == [] and stored == {"format": 1, **entry}
    if "bicubic" not in words:
        assert all(not check.fault for of_input in verify(tmp_path / "out") for check in of_input)
    # The runs are what they were, and the joined one has nothing left to do.
    assert {out: {file: (out / file).read_bytes() for file in listing(out)} for out in runs} == before
    solved = len(fake.calls)
    assert run("upsample", *several, *words, "--output", tmp_path / "out") == 0
    assert "Nothing left to do: 7 of 7 inputs are finished" in capsys.readouterr().out and len(fake.calls) == solved


def test_pictures_are_links_and_else_copies(several, tmp_path, monkeypatch):
    runs = split(several, tmp_path, "--restarts", 1, "--no-sheets")
    file = next(file for file in listing(runs[0]) if file.endswith("solution_01.png"))
    assert run("merge", *runs, "--output", tmp_path / "links") == 0
    assert (tmp_path / "links" / file).samefile(runs[0] / file)

    def refused(*places):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    assert run("merge", *runs, "--output", tmp_path / "copies") == 0
    assert not (tmp_path / "copies" / file).samefile(runs[0] / file)
    assert (tmp_path / "copies" / file).read_bytes() == (runs[0] / file).read_bytes()


@pytest.mark.parametrize("after", [0, 1, 3])
def test_what_unfinished_shards_lack_is_told_and_then_solved(fake, several, tmp_path, capsys, after):
    words = ["--restarts", 2, "--no-sheets"]
    assert run("upsample", *several, *words, "--output", tmp_path / "whole") == 0
    one, two = tmp_path / "one", tmp_path / "two"
    assert run("upsample", *several, *words, "--output", one, "--shard", "1/2") == 0
    fake.interrupt_after = after
    assert run("upsample", *several, *words, "--output", two, "--shard", "2/2") == 130
    fake.interrupt_after = None
    mine = summary_of(two)["shard"]["taken"]
    done = [entry["solved"].partition("/")[0] for entry in summary_of(two)["inputs"]]
    left = [name for name in mine if name not in done]
    capsys.readouterr()
    out = tmp_path / "out"
    assert run("merge", one, two, "--output", out) == 1
    err = capsys.readouterr().err
    assert f"{len(left)} missing: {', '.join(left)}\n" in err
    assert f"The command of these runs without --shard, with --output {out}, solves what is missing.\n" in err
    summary = summary_of(out)
    assert not summary["finished"] and faults(summary, UpsampleSummary) == []
    # Searches that had ended are not made again.
    assert run("upsample", *several, *words, "--output", out) == 0
    made = [(problem.index, k) for problem in fake.calls[-1] for k in range(2) if k not in problem.ended]
    assert len(made) == 2 * len(mine) - after
    assert_as_one(out, tmp_path / "whole")


def test_a_missing_shard_is_told_and_then_solved(fake, several, tmp_path, capsys):
    words = ["--restarts", 1, "--no-sheets"]
    assert run("upsample", *several, *words, "--output", tmp_path / "whole") == 0
    runs = split(several, tmp_path, *words, count=3)
    missing = summary_of(runs[1])["shard"]["taken"]
    capsys.readouterr()
    assert run("merge", runs[0], runs[2], "--output", tmp_path / "out") == 1
    assert f"{len(missing)} missing (shard 2): {', '.join(missing)}\n" in capsys.readouterr().err
    # run.toml repeats the whole run, not a shard of it.
    assert run("upsample", "--config", tmp_path / "out" / "run.toml", "--output", tmp_path / "out") == 0
    assert len(fake.calls[-1]) == len(missing)
    assert_as_one(tmp_path / "out", tmp_path / "whole")


def test_inputs_that_could_not_be_used_are_told_once(fake, several, tmp_path, capsys):
    (several[0] / "bad.png").write_bytes(b"no picture")
    runs = []
    for number in (1, 2):
        runs.append(tmp_path / f"{number}")
        code = int(shard_of(several[0] / "bad.png", 2) == number)
        assert run("upsample", *several, tmp_path / "no.png", "--output", runs[-1], "--shard", f"{number}/2") == 1
        assert len(summary_of(runs[-1])["failed"]) == 1 + code
    capsys.readouterr()
    assert run("merge", *runs, "--output", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert "2 of 9 inputs failed:" in err and err.count("bad.png") == err.count("no.png:") == 1 and "missing" not in err
    assert summary_of(tmp_path / "out")["finished"] and len(summary_of(tmp_path / "out")["failed"]) == 2


def test_what_was_solved_twice_alike_is_kept_once(several, tmp_path, capsys):
    words = ["--restarts", 2]
    assert run("upsample", *several, *words, "--output", tmp_path / "whole") == 0
    runs = split(several, tmp_path, *words)
    assert run("upsample", *several, *words, "--no-sheets", "--output", tmp_path / "more", "--shard", "1/3") == 0
    twice = summary_of(tmp_path / "more")["shard"]["taken"]
    assert twice
    capsys.readouterr()
    assert run("merge", *runs, tmp_path / "more", runs[0], "--output", tmp_path / "out") == 0
    told, _, names = capsys.readouterr().err.partition(": ")
    assert told == f"{len(twice)} solved in more than one run, with the same results, which are kept once"
    assert sorted(names.strip().split(", ")) == sorted(twice)
    assert_as_one(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize("spoil", ["a picture", "a record"])
def test_what_was_solved_twice_otherwise_is_refused(several, tmp_path, capsys, spoil):
    runs = [tmp_path / "one", tmp_path / "two"]
    for out in runs:
        assert run("upsample", several[0], "--output", out, "--restarts", 2) == 0
    home = runs[1] / "3"
    if spoil == "a picture":
        shutil.copy(home / "solution_01.png", home / "solution_02.png")
    else:
        record = json.loads((home / "solutions.json").read_text())
        record["solutions"][0]["loss"] = 5.0
        (home / "solutions.json").write_text(json.dumps(record))
    assert_refused(
        runs, tmp_path, capsys, f"3: {runs[0]} and {runs[1]} have other results of it; leave one of the two out"
    )


def test_other_pictures_of_one_name_are_refused(several, tmp_path, capsys):
    runs = [tmp_path / "one", tmp_path / "two"]
    for source, out in zip(several, runs, strict=True):
        assert run("upsample", source, "--output", out, "--restarts", 1) == 0
    assert_refused(
        runs, tmp_path, capsys, f"0: {runs[0]} and {runs[1]} have results of different pictures by this name"
    )


def assert_refused(runs, home, capsys, told, code=2):
    """That a merge is refused in one line, and leaves nothing behind."""
    before = {*home.iterdir()}
    capsys.readouterr()
    assert run("merge", *runs, "--output", home / "merged") == code
    out, err = capsys.readouterr()
    assert err.startswith(f"pulse-jax: {told}") and err.count("\n") == 1 and out == ""
    assert {*home.iterdir()} == before


def test_other_settings_are_refused_by_name(several, tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    assert run("upsample", *several, "--output", one, "--shard", "1/2", "--restarts", 1) == 0
    assert run("upsample", *several, "--output", two, "--shard", "2/2", "--restarts", 2, "--seed", 3) == 0
    told = (
        f"{two}: has other settings than {one} (solutions.count was 1, is 2; solutions.searches was 1, is 2; seed was 0"
    )
    assert_refused([one, two], tmp_path, capsys, told)


def test_what_is_no_run_is_refused(several, tmp_path, capsys):
    (one,) = split(several, tmp_path, "--restarts", 1, "--no-sheets", count=1)
    (tmp_path / "empty").mkdir()
    assert run("downscale", one / "0" / "solution_01.png", "--factor", 2, "--output", tmp_path / "small") == 0
    for name in ("nothing", "empty", "small", "in", "shard1/summary.json"):
        told = f"{tmp_path / name}: not the folder of a run of upsample; name folders that upsample has written"
        assert_refused([one, tmp_path / name], tmp_path, capsys, told)
    assert run("merge", "--output", tmp_path / "merged") == 2
    assert capsys.readouterr().err == "pulse-jax: no runs: expected the folders of runs of upsample\n"


def test_an_output_that_exists_is_refused(several, tmp_path, capsys):
    (one,) = split(several, tmp_path, "--restarts", 1, "--no-sheets", count=1)
    before = listing(one)
    (tmp_path / "file").write_text("mine")
    capsys.readouterr()
    for name in ("file", "shard1", "in"):
        assert run("merge", one, "--output", tmp_path / name) == 2
        told = f"pulse-jax: {tmp_path / name}: exists already; name a new folder for the joined run\n"
        assert capsys.readouterr().err == told
    assert listing(one) == before and (tmp_path / "file").read_text() == "mine"
    assert run("merge", one, "--output", one / "deep") == 2
    assert "lies inside" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run("merge", one, "--output", tmp_path / "empty") == 0
    assert summary_of(tmp_path / "empty")["finished"]


def test_a_run_that_is_being_written_is_refused(several, tmp_path, capsys):
    one, two = split(several, tmp_path, "--restarts", 1, "--no-sheets")
    with held_still(two):
        before = {*tmp_path.iterdir()}
        assert run("merge", one, two, "--output", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert f"{two}: another process is writing there; wait until it has ended" in err.splitlines()[-1]
    assert {*tmp_path.iterdir()} == before
    assert run("merge", one, two, "--output", tmp_path / "out") == 0
    assert shown(two) >= {"run.toml", "summary.json"} and not (two / ".pulse-jax-lock").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_merge_that_fails_leaves_nothing(several, tmp_path, capsys, monkeypatch, error):
    runs = split(several, tmp_path, "--restarts", 1, "--no-sheets")
    real, count = shutil.copyfile, [0]

    def copy(*places):
        count[0] += 1
        if count[0] == 5:
            raise error
        real(*places)

    monkeypatch.setattr(shutil, "copyfile", copy)
    monkeypatch.setattr(os, "link", lambda *places: os.stat(tmp_path / "nothing"))
    before = {*tmp_path.iterdir()}
    assert run("merge", *runs, "--output", tmp_path / "out") == (1 if isinstance(error, OSError) else 130)
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert ("out: cannot be written (No space left on device)" if isinstance(error, OSError) else "interrupted") in line
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda summary: summary.pop("speed"),
        lambda summary: summary["speed"].pop("steps"),
        lambda summary: summary["config"].update(eps="small"),
        lambda summary: summary["settings"].update(shard="2/1"),
        lambda summary: summary["settings"].pop("align"),
        lambda summary: summary["shard"].pop("taken"),
        lambda summary: summary.update(failed=[{"input": "a"}]),
        lambda summary: summary.update(files=["a/input.png", 3]),
    ],
)
def test_a_damaged_summary_is_told_in_a_line(several, tmp_path, capsys, spoil):
    runs = split(several, tmp_path, "--restarts", 1, "--no-sheets")
    summary = summary_of(runs[1])
    spoil(summary)
    (runs[1] / "summary.json").write_text(json.dumps(summary))
    assert_refused(runs, tmp_path, capsys, f"{runs[1]}: its summary.json is damaged", code=1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda record: record.pop("notes"),
        lambda record: record.update(solved="../secret.png"),
        lambda record: record["solutions"][0].pop("command"),
        lambda record: record["solutions"][0].update(downscaled="../../secret.png"),
        lambda record: record["solutions"][0].update(image="../secret.png"),
    ],
)
def test_a_damaged_record_is_told_in_a_line(several, tmp_path, capsys, spoil):
    runs = split(several, tmp_path, "--restarts", 1, "--no-sheets")
    name = summary_of(runs[1])["shard"]["taken"][0]
    file = runs[1] / name / "solutions.json"
    record = json.loads(file.read_text())
    spoil(record)
    file.write_text(json.dumps(record))
    assert_refused(runs, tmp_path, capsys, f"{file}: damaged; remove its folder", code=1)


def test_a_strangers_run_leads_nowhere_else(several, tmp_path):
    """Links in it, files that it does not name so, and names that lead out of it are left where they are."""
    (one,) = split(several, tmp_path, "--restarts", 1, "--no-sheets", count=1)
    secret = tmp_path / "secret"
    shutil.copytree(one / "1", secret / "linked")
    (one / "linked").symlink_to(secret / "linked")
    (one / "0" / "solution_01.png").unlink()
    (one / "0" / "solution_01.png").symlink_to(secret / "linked" / "solution_01.png")
    (one / "0" / "mine.txt").write_text("not a run's")
    summary = summary_of(one)
    more = [
        "linked/input.png",
        "../secret/linked/input.png",
        ".pulse-jax-state/input.png",
        "/etc/input.png",
        "sheet.png",
    ]
    (one / "summary.json").write_text(json.dumps(summary | {"files": [*summary["files"], *more]}))
    run("merge", one, "--output", tmp_path / "out")
    assert {name.partition("/")[0] for name in listing(tmp_path / "out") if "/" in name} == {*summary["shard"]["taken"]}
    assert not {"0/solution_01.png", "0/mine.txt"} & {*listing(tmp_path / "out")}
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_a_run_that_is_just_replacing_another_is_refused(several, tmp_path, capsys):
    (one,) = split(several, tmp_path, "--restarts", 1, "--no-sheets", count=1)
    (one / "summary.json").write_text(json.dumps(summary_of(one) | {"replaced": ["0/input.png"], "finished": False}))
    assert_refused([one], tmp_path, capsys, f"{one}: is just replacing an earlier run; give its command again first")
