"""`upsample` that was stopped, failed or found its inputs changed goes on with what it has."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pulse_jax.cli.demo import verify
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs import writer
from tests.cli.fake_engine import ADDITIONS, draw, listing, run, shown, summary_of


def test_an_interrupt_keeps_what_is_finished(fake, inputs, tmp_path, capsys):
    for name in ("a.png", "b.png", "c.png"):
        draw(inputs / name)
    fake.interrupt_after = 4
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--restarts", 2) == 130
    told = f"Interrupted: 1 of 3 inputs are finished, kept in {out}. The same command goes on from here.\n"
    assert told in capsys.readouterr().err
    assert shown(out) == {"a", "index.html", "run.toml", "sheet.png", "summary.json"}
    summary = summary_of(out)
    assert not summary["finished"] and len(summary["inputs"]) == 1 and summary["solutions"] == 2
    assert all(not check.fault for of_input in verify(out) for check in of_input)
    fake.interrupt_after = None
    assert run("upsample", inputs, "--output", out, "--restarts", 3) == 2
    assert "unfinished run with other settings (solutions.count was 2, is 3" in capsys.readouterr().err
    assert run("upsample", inputs, "--output", out, "--restarts", 3, "--overwrite") == 0
    assert summary_of(out)["finished"] and summary_of(out)["solutions"] == 9


SEARCHED = "All searches have ended; writing what is left, once more to stop at once."


@pytest.mark.parametrize("words", [["--restarts", 2], ["--solutions", 1, "--max-restarts", 2]], ids=lambda w: w[0])
def test_a_signal_in_the_last_steps_lets_the_run_finish(fake, inputs, tmp_path, capsys, words):
    """There is nothing left to stop, whether a process made all searches or went on with another's."""
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--eps", 1.0, *words]
    last = 4 if "--restarts" in words else 2
    fake.signal_at = last - 1
    assert run(*words, "--output", tmp_path / "parts") == 130
    assert SEARCHED not in capsys.readouterr().err
    for fake.signal_at, name in ((last, "whole"), (1, "parts")):
        assert run(*words, "--output", tmp_path / name) == 0
        err = capsys.readouterr().err
        assert "Stopping; once more" in err and SEARCHED in err and "Interrupted" not in err
        assert summary_of(tmp_path / name)["finished"] and not (tmp_path / name / ".pulse-jax-state").exists()


def test_a_signal_while_the_last_results_are_written_lets_the_run_finish(fake, inputs, tmp_path, capsys, monkeypatch):
    draw(inputs / "a.png")
    real = writer.write_solutions

    def write(*arguments, **named):
        os.kill(os.getpid(), signal.SIGINT)
        real(*arguments, **named)

    monkeypatch.setattr(writer, "write_solutions", write)
    assert run("upsample", inputs, "--output", tmp_path / "out") == 0
    assert SEARCHED in capsys.readouterr().err and summary_of(tmp_path / "out")["finished"]


def _content(out, file):
    """A file's bytes; the page names its run's folder in the commands that make solutions again."""
    return (out / file).read_bytes().replace(str(out).encode(), b"out")


@pytest.mark.parametrize("after", [0, 1, 4, 5])
def test_the_same_command_goes_on_where_it_was_interrupted(fake, inputs, tmp_path, capsys, after):
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--restarts", 2]
    assert run(*words, "--output", tmp_path / "whole") == 0
    fake.interrupt_after = after
    out = tmp_path / "out"
    assert run(*words, "--output", out) == 130
    fake.interrupt_after = None
    solved = len(fake.calls)
    assert run(*words, "--output", out) == 0
    assert "going on with the unfinished run" in capsys.readouterr().err
    again = {(p.index, k) for p in fake.calls[solved] for k in range(2) if k not in p.ended}
    assert len(again) == 6 - after
    assert listing(out) == listing(tmp_path / "whole")
    for file in listing(out):
        if not file.endswith((".json", ".npz")):
            assert _content(out, file) == _content(tmp_path / "whole", file), file
    ours, whole = summary_of(out), summary_of(tmp_path / "whole")
    for entry, other in zip(ours["inputs"], whole["inputs"], strict=True):
        assert {**entry, "solutions": None} == {**other, "solutions": None}
        for one, two in zip(entry["solutions"], other["solutions"], strict=True):
            assert {**one, "command": ""} == {**two, "command": ""}
    assert ours["finished"] and (ours["solutions"], ours["feasible"]) == (whole["solutions"], whole["feasible"])


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize(
    "error", [RuntimeError("lost"), MemoryError(), OSError(28, "No space left on device")], ids=repr
)
def test_an_error_while_going_on_costs_nothing(fake, inputs, tmp_path, after, error):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--restarts", 3, "--output", tmp_path / "out"]
    fake.interrupt_after = 4
    assert run(*words) == 130
    fake.interrupt_after, usual = 0 if after == 0 else 1, fake.error
    fake.error = error
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError):
            run(*words)
    else:
        assert run(*words) == 1
    fake.interrupt_after, fake.error = None, usual
    solved = len(fake.calls)
    assert run(*words) == 0
    left = sum(k not in problem.ended for problem in fake.calls[solved] for k in range(3))
    assert left == (2 if after == 0 else 1)
    assert all(not check.fault for of_input in verify(tmp_path / "out") for check in of_input)


def test_a_damaged_kept_solution_is_searched_again(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    words = ["upsample", inputs, "--restarts", 3, "--output", tmp_path / "out"]
    fake.interrupt_after = 2
    assert run(*words) == 130
    kept = sorted((tmp_path / "out" / ".pulse-jax-state" / "inputs" / "a").iterdir())
    kept[0].write_bytes(kept[0].read_bytes()[:500])
    (kept[0].parent / "foreign.npz").write_bytes(b"")
    left = tmp_path / "out" / ".pulse-jax-0123456789ab.part"
    left.mkdir()
    fake.interrupt_after = None
    assert run(*words) == 0
    assert fake.calls[-1][0].ended == {1: False}
    assert shown(tmp_path / "out") == {"a", "index.html", "run.toml", "sheet.png", "summary.json"} and not left.exists()


def test_a_picture_that_was_taken_away_stops_no_run(fake, inputs, tmp_path):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--restarts", 1, "--output", tmp_path / "out"]
    fake.interrupt_after = 1
    assert run(*words) == 130
    (tmp_path / "out" / "a" / "solution_01.png").unlink()
    fake.interrupt_after = None
    assert run(*words) == 0
    assert summary_of(tmp_path / "out")["finished"] and (tmp_path / "out" / "sheet.png").is_file()


@pytest.mark.parametrize(
    "entry", [{}, 1, {"image": "../x.png"}, {"image": "a/../x.png"}, {"feasible": "yes"}, {"downscaling_error": "0"}]
)
def test_a_record_that_is_none_is_told_in_a_line(fake, inputs, tmp_path, capsys, entry):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--restarts", 1, "--output", tmp_path / "out"]
    fake.interrupt_after = 1
    assert run(*words) == 130
    file = tmp_path / "out" / "a" / "solutions.json"
    record = json.loads(file.read_text())
    usual = {"image": "a/solution_01.png", "feasible": False, "downscaling_error": 0.1}
    record["solutions"] = [usual | entry if isinstance(entry, dict) and entry else entry]
    file.write_text(json.dumps(record))
    fake.interrupt_after = None
    assert run(*words) == 1
    assert "a/solutions.json: damaged; remove its folder to solve that input again" in capsys.readouterr().err


def test_a_damaged_record_is_told_and_nothing_else_is_lost(fake, inputs, tmp_path, capsys):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--restarts", 1, "--output", tmp_path / "out"]
    fake.interrupt_after = 1
    assert run(*words) == 130
    (tmp_path / "out" / "a" / "solutions.json").write_text("{}")
    fake.interrupt_after = None
    assert run(*words) == 1
    assert "a/solutions.json: damaged; remove its folder to solve that input again" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out" / "a")
    assert run(*words) == 0
    assert summary_of(tmp_path / "out")["solutions"] == 2


def test_a_solution_of_another_picture_is_not_taken_for_this_ones(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    fake.interrupt_after = 1
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 2) == 130
    draw(inputs / "a.png", seed=1)
    fake.interrupt_after = None
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 2) == 0
    assert not fake.calls[-1][0].ended
    assert "a.png: changed since this run began; it is solved anew\n" in capsys.readouterr().err


def test_a_finished_input_that_has_changed_is_solved_anew_and_the_others_are_not(fake, inputs, tmp_path, capsys):
    """By its pixels, whatever its file: another compression of the same picture is no change."""
    pixels = [draw(inputs / name, seed=seed) for seed, name in enumerate(("a.png", "b.png", "c.png"))]
    words = ["upsample", inputs, "--restarts", 1, "--output", tmp_path / "out"]
    fake.interrupt_after = 2
    assert run(*words) == 130
    kept = (tmp_path / "out" / "a" / "solution_01.png").stat().st_mtime_ns
    Image.fromarray(pixels[0]).save(inputs / "a.png", compress_level=0)
    changed = draw(inputs / "b.png", seed=9)
    fake.interrupt_after = None
    capsys.readouterr()
    assert run(*words) == 0
    err = capsys.readouterr().err
    assert "b.png: changed since this run began; it is solved anew\n" in err and err.count("changed") == 1
    assert "3/3 searches" in err
    assert sorted(problem.index for problem in fake.calls[-1]) == [1, 2]
    assert (tmp_path / "out" / "a" / "solution_01.png").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "out" / "b" / "input.png").pixels), changed)
    summary = summary_of(tmp_path / "out")
    assert summary["finished"] and summary["solutions"] == 3
    assert all(not check.fault for of_input in verify(tmp_path / "out") for check in of_input)


def test_nothing_of_the_users_is_lost_with_a_changed_input(fake, inputs, tmp_path, capsys):
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--restarts", 1, "--output", tmp_path / "out"]
    fake.interrupt_after = 2
    assert run(*words) == 130
    draw(inputs / "a.png", seed=9)
    (inputs / "b.png").write_bytes(b"")
    (tmp_path / "out" / "a" / "notes.txt").write_text("mine")
    before = {file: (tmp_path / "out" / file).read_bytes() for file in listing(tmp_path / "out") if "/" in file}
    fake.interrupt_after = None
    assert run(*words) == 1
    err = capsys.readouterr().err
    assert "a.png: changed since it was solved; move " in err and "/a/notes.txt, which is in the way\n" in err
    assert "b.png: cannot be used any more; its results are kept\n" in err
    assert all((tmp_path / "out" / file).read_bytes() == held for file, held in before.items() if file[0] in "ab")
    assert [problem.index for problem in fake.calls[-1]] == [2] and summary_of(tmp_path / "out")["solutions"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 5, 7])
def test_a_run_with_everything_goes_on_where_it_was_interrupted(fake, inputs, tmp_path, capsys, after):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--eps", 0.3, *ADDITIONS]
    assert run(*words, "--output", tmp_path / "whole") == 0
    fake.interrupt_after = after
    out = tmp_path / "out"
    assert run(*words, "--output", out) == 130
    fake.interrupt_after = None
    assert run(*words[:-1], "--output", out) == 2
    assert "save_intermediate was true, is false" in capsys.readouterr().err
    assert run(*words, "--output", out) == 0
    assert listing(out) == listing(tmp_path / "whole")
    assert {"a/morph.webp", "b/search.webp", "a/solution_02_noise_03.png"} <= set(listing(out))
    for file in listing(out):
        if not file.endswith((".json", ".npz")):
            assert _content(out, file) == _content(tmp_path / "whole", file), file
    for ours, theirs in zip(summary_of(out)["inputs"], summary_of(tmp_path / "whole")["inputs"], strict=True):
        for one, other in zip(ours["solutions"], theirs["solutions"], strict=True):
            assert {**one, "command": ""} == {**other, "command": ""}
        assert {**ours, "solutions": ()} == {**theirs, "solutions": ()}


def test_an_interrupt_before_anything_is_finished_says_how_to_go_on(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    fake.interrupt_after = 0
    assert run("upsample", inputs, "--output", tmp_path / "out") == 130
    assert "Interrupted: 0 of 1 inputs are finished" in capsys.readouterr().err
    assert shown(tmp_path / "out") == {"index.html", "run.toml", "summary.json"}


def test_a_kept_solution_that_is_not_what_it_says_is_searched_for_again(fake, inputs, tmp_path, capsys):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    fake.interrupt_after = 4
    command = ["upsample", inputs, "--output", tmp_path / "out", "--restarts", 3]
    assert run(*command) == 130
    (kept,) = (tmp_path / "out" / ".pulse-jax-state" / "inputs" / "a").glob("*-00001.npz")
    with np.load(kept) as stored:
        arrays = dict(stored)
    arrays["image"] = np.broadcast_to(np.array([255, 0, 0], np.uint8), arrays["image"].shape)
    np.savez(kept, **(arrays | {"downscaling_error": np.float64(0), "feasible": np.True_}))
    fake.interrupt_after = None
    capsys.readouterr()
    assert run(*command) == 0
    assert "a.png: what was kept of it is not what it says; it is searched for again\n" in capsys.readouterr().err
    shown = [np.asarray(Image.open(file)) for file in sorted((tmp_path / "out" / "a").glob("solution_*.png"))]
    assert not any((picture == [255, 0, 0]).all() for picture in shown)


@pytest.mark.parametrize("spoil", ["another picture", "another size", "no picture", "a record that lies"])
def test_finished_results_are_judged_again(fake, inputs, tmp_path, capsys, spoil):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    out = tmp_path / "out"
    command = ["upsample", inputs, "--output", out, "--restarts", 2]
    # Restarts 0 of both inputs come first.
    fake.interrupt_after = 3
    assert run(*command) == 130
    assert (out / "a" / "solutions.json").exists()
    file = out / "a" / "solution_01.png"
    if spoil == "no picture":
        file.write_bytes(b"")
    elif spoil == "a record that lies":
        record = json.loads((out / "a" / "solutions.json").read_text())
        record["solutions"][1] |= {"feasible": True, "downscaling_error": 0.0}
        (out / "a" / "solutions.json").write_text(json.dumps(record))
    else:
        Image.new("RGB", (16, 16) if spoil == "another picture" else (8, 8), "red").save(file)
    fake.interrupt_after = None
    capsys.readouterr()
    assert run(*command) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "is not the picture that was written there; remove a/ to solve it again" in told
    summary = summary_of(out)
    assert [Path(entry["input"]).name for entry in summary["inputs"]] == ["a.png", "b.png"]
