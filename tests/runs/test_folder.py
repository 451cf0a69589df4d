import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pulse_jax.runs import folder as runs
from pulse_jax.runs.folder import RunFolder, check_output_apart
from pulse_jax.system.errors import RunError, UsageError


def write_run(path, files=("a/input.png", "sheet.png"), command="upsample", **options):
    folder = RunFolder(path, **options)
    folder.begin(files, {"command": command})
    for name in {file.split("/")[0] for file in files if "/" in file}:
        with folder.publish(name) as part:
            for file in files:
                if file.startswith(f"{name}/"):
                    (part / file.split("/")[1]).write_text("result")
    with folder.publish() as part:
        for file in files:
            if "/" not in file:
                (part / file).write_text("result")
    folder.update({"command": command})
    folder.close()
    return folder


def listing(path):
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())


def test_a_run_in_a_new_folder(tmp_path):
    out = tmp_path / "new" / "out"
    write_run(out)
    assert listing(out) == ["a/input.png", "sheet.png", "summary.json"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary == {
        "program": "pulse-jax",
        "format": 1,
        "command": "upsample",
        "files": ["a/input.png", "sheet.png"],
    }


def test_nothing_is_written_before_the_run_begins(tmp_path):
    RunFolder(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_will_do(tmp_path):
    write_run(tmp_path)
    assert listing(tmp_path) == ["a/input.png", "sheet.png", "summary.json"]


def test_an_earlier_run_is_refused_and_replaced_on_demand(tmp_path):
    out = tmp_path / "out"
    write_run(out, ["a/input.png", "b/solution_01.png", "sheet.png"])
    with pytest.raises(UsageError, match="earlier run; choose another, or --overwrite"):
        RunFolder(out)
    write_run(out, ["a/solution_02.png", "sheet.png"], overwrite=True)
    assert listing(out) == ["a/solution_02.png", "sheet.png", "summary.json"]
    assert not (out / "b").exists()


def test_a_command_may_replace_its_own_results(tmp_path):
    write_run(tmp_path, command="demo")
    write_run(tmp_path, command="upsample", replaces=("demo",))
    with pytest.raises(UsageError):
        RunFolder(tmp_path, replaces=("demo",))


def test_foreign_files_stay(tmp_path):
    write_run(tmp_path, ["a/input.png", "b/solution_01.png"])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "b" / "notes.txt").write_text("mine")
    write_run(tmp_path, ["a/input.png"], overwrite=True)
    assert listing(tmp_path) == ["a/input.png", "b/notes.txt", "notes.txt", "summary.json"]


@pytest.mark.parametrize("files", [["a/input.png"], ["c/input.png", "notes.txt"], ["notes.txt"]], ids=str)
def test_foreign_files_in_the_way_stop_the_run_before_anything_is_removed(tmp_path, files):
    write_run(tmp_path, ["a/input.png", "sheet.png"])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "a" / "notes.txt").write_text("mine")
    before = listing(tmp_path)
    with pytest.raises(UsageError, match=r"notes\.txt: in the way of the results"):
        RunFolder(tmp_path, overwrite=True).begin(files, {})
    assert listing(tmp_path) == before


def test_a_folder_of_other_things_can_be_added_to(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty; choose another, or --overwrite adds to it"):
        RunFolder(tmp_path)
    write_run(tmp_path, overwrite=True)
    assert listing(tmp_path) == ["a/input.png", "notes.txt", "sheet.png", "summary.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"program": "other", "files": []}', '{"program": "pulse-jax", "files": 3}', "[" * 9999]
)
def test_a_foreign_summary_is_not_ours(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UsageError, match="is not empty"):
        RunFolder(tmp_path)
    with pytest.raises(UsageError, match=r"summary\.json: in the way"):
        RunFolder(tmp_path, overwrite=True).begin(["a/input.png"], {})


def test_a_changed_summary_reaches_nothing_outside(tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("mine")
    write_run(out)
    (out / "link").symlink_to(outside)
    evil = ["../outside/x", str(outside / "x"), "link/x", "a/../../outside/x", "..", "", 3, "a\0b", "//x", "a/b/c"]
    (out / "summary.json").write_text(json.dumps({"program": "pulse-jax", "files": [*evil, "a/input.png"]}))
    folder = RunFolder(out, overwrite=True)
    folder.begin(["b/input.png"], {})
    folder.close()
    assert (outside / "x").read_text() == "mine"
    assert listing(out) == ["sheet.png", "summary.json"] and (out / "link").is_symlink()


def test_results_appear_whole_or_not_at_all(tmp_path):
    folder = RunFolder(tmp_path)
    folder.begin(["a/input.png"], {})
    with pytest.raises(KeyboardInterrupt), folder.publish("a") as part:
        (part / "x.png").write_text("half")
        assert not (tmp_path / "a").exists()
        raise KeyboardInterrupt
    with pytest.raises(RunError, match=r"cannot be written to \(No space left on device\)"), folder.publish("a"):
        raise OSError(28, "No space left on device")
    folder.close()
    assert listing(tmp_path) == ["summary.json"]


def test_what_a_killed_run_left_is_cleaned_away(tmp_path):
    folder = RunFolder(tmp_path)
    folder.begin(["a/input.png", "b/input.png"], {})
    with folder.publish("a") as part:
        (part / "input.png").write_text("result")
    left = tmp_path / ".pulse-jax-0123456789ab.part"
    left.mkdir()
    (left / "x.png").write_text("half")
    (folder.state / "searches").mkdir(parents=True)
    folder._lock.release()  # as the end of its process does
    write_run(tmp_path, ["c/input.png"], overwrite=True)
    assert not folder.state.exists()
    assert listing(tmp_path) == ["c/input.png", "summary.json"]
    assert not left.exists()


SETTINGS = {"seed": 1}
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from pulse_jax.runs.folder import RunFolder

template, home, overwrite = Path(sys.argv[1]), Path(sys.argv[2]), bool(sys.argv[3])
for number in range(1, 100):
    out = home / str(number)
    shutil.copytree(template, out)
    child = os.fork()
    if not child:
        def count(event, arguments):
            global number
            if event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir"):
                number -= 1
                if not number:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        settings = {"seed": 1}
        folder = RunFolder(out, overwrite=overwrite, resumes=True)
        folder.begin(["a/input.png", "c/input.png", "sheet.png"], {"settings": settings, "finished": False}, settings)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        sys.exit(os.WEXITSTATUS(status))
"""


@pytest.mark.parametrize("earlier", ["finished", "unfinished", "empty"])
def test_a_run_that_replaces_another_can_be_killed_at_any_change_it_makes(tmp_path, earlier):
    """The folder is the earlier run's, all of it, or the new one's, which goes on and removes what is left."""
    old, notes = tmp_path / "old", "b/notes.txt"
    files = ["a/input.png", "a/solutions.json", "b/solution_01.png", "sheet.png", "summary.json"]
    overwrite = earlier != "empty"
    if overwrite:
        write_run(old, files[:-1])
        (old / notes).write_text("mine")
    else:
        old.mkdir()
    if earlier == "unfinished":
        settings = {"settings": {"seed": 0}, "finished": False, "program": "pulse-jax", "files": files[:-1]}
        (old / "summary.json").write_text(json.dumps(settings))
        (old / ".pulse-jax-state" / "inputs" / "c").mkdir(parents=True)
        (old / ".pulse-jax-state" / "inputs" / "c" / "kept.npz").write_text("of other settings")
    (tmp_path / "killed").mkdir()
    words = [sys.executable, "-c", KILLED, old, tmp_path / "killed", "overwrite" * overwrite]
    subprocess.run(words, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    killed = sorted((tmp_path / "killed").iterdir(), key=lambda path: int(path.name))[:-1]
    assert len(killed) > (10 if overwrite else 3)
    ways = set()
    for out in killed:
        resumed = (out / "summary.json").exists() and "seed" in (out / "summary.json").read_text()
        resumed = resumed and json.loads((out / "summary.json").read_text())["settings"] == SETTINGS
        if not resumed and overwrite:
            assert {*files, notes} <= {*listing(out)}
            assert (earlier == "unfinished") == (out / ".pulse-jax-state" / "inputs" / "c" / "kept.npz").exists()
        # The same command again.
        folder = RunFolder(out, overwrite=overwrite, resumes=True)
        summary = {"settings": SETTINGS, "finished": False}
        assert folder.begin(["a/input.png", "c/input.png", "sheet.png"], summary, SETTINGS) == resumed
        folder.close()
        assert listing(out) == [notes] * overwrite + ["summary.json"]
        assert not folder.state.exists() and "replaced" not in json.loads((out / "summary.json").read_text())
        ways.add(resumed)
    assert ways == {True, False}


def test_a_run_that_was_killed_while_it_replaced_another_can_be_replaced(tmp_path):
    write_run(tmp_path, ["a/input.png", "b/solution_01.png"])
    (tmp_path / "notes.txt").write_text("mine")
    summary = json.loads((tmp_path / "summary.json").read_text())
    left = ["b/solution_01.png", "a/input.png", "../x", "notes.txt/..", 3]
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"files": ["c/solution_02.png"], "replaced": left}))
    write_run(tmp_path, ["b/input.png"], overwrite=True)
    assert listing(tmp_path) == ["b/input.png", "notes.txt", "summary.json"]


def test_one_process_at_a_time(tmp_path):
    first = RunFolder(tmp_path, resumes=True)
    first.begin(["a/input.png"], {"settings": {"seed": 0}, "finished": False}, {"seed": 0})
    second = RunFolder(tmp_path, resumes=True)
    with pytest.raises(UsageError, match="another process is writing there"):
        second.begin(["a/input.png"], {}, {"seed": 0})
    first.close()
    assert second.begin(["a/input.png"], {}, {"seed": 0})
    second.close()
    assert listing(tmp_path) == ["summary.json"]


def test_only_the_same_settings_go_on(tmp_path):
    settings = {"seed": 0, "config": {"eps": 1e-3, "steps": 100}}
    folder = RunFolder(tmp_path, resumes=True)
    assert not folder.begin(["a/input.png"], {"settings": settings, "finished": False}, settings)
    folder.close()
    with pytest.raises(UsageError, match="results of an earlier run"):
        RunFolder(tmp_path)
    other = {"seed": 0, "config": {"eps": 2e-3, "steps": 100}}
    with pytest.raises(UsageError, match=r"with other settings \(config\.eps was 0\.001, is 0\.002\)"):
        RunFolder(tmp_path, resumes=True).begin(["a/input.png"], {}, other)
    folder = RunFolder(tmp_path, resumes=True)
    assert folder.begin(["a/input.png"], {}, dict(settings))
    folder.close()
    folder = RunFolder(tmp_path, resumes=True, overwrite=True)
    assert not folder.begin(["a/input.png"], {"settings": other, "finished": True}, other)
    folder.close()
    with pytest.raises(UsageError, match="holds a finished run with other settings"):
        RunFolder(tmp_path, resumes=True).begin(["a/input.png"], {}, settings)


@pytest.mark.parametrize(("number", "goes_on"), [(None, True), (1, True), (2, False)])
def test_a_run_goes_on_in_its_own_format(tmp_path, number, goes_on):
    """One without a number was written before there was any; one of another number may mean other things."""
    settings = {"seed": 0}
    folder = RunFolder(tmp_path, resumes=True)
    folder.begin(["a/input.png"], {"settings": settings, "finished": False}, settings)
    folder.close()
    summary = json.loads((tmp_path / "summary.json").read_text()) | {"format": number}
    if number is None:
        del summary["format"]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    if goes_on:
        folder = RunFolder(tmp_path, resumes=True)
        assert folder.earlier_settings == settings
        assert folder.begin(["a/input.png"], {"settings": settings, "finished": False}, settings)
        folder.close()
    else:
        with pytest.raises(UsageError, match="results of an earlier run; choose another, or --overwrite"):
            RunFolder(tmp_path, resumes=True)
        write_run(tmp_path, overwrite=True, resumes=True)
        assert listing(tmp_path) == ["a/input.png", "sheet.png", "summary.json"]


def test_a_summary_of_many_inputs_is_written_one_by_one(tmp_path):
    folder = RunFolder(tmp_path)
    folder.begin([], {"inputs": [], "x": 1})
    for entries in ([], [{"a": [1, {"b": "\n"}]}], [{"a": 1}, {}, {"c": None}]):
        folder.update({"command": "upsample", "inputs": [], "failed": []}, inputs=iter(entries))
        text = (tmp_path / "summary.json").read_text()
        whole = {
            "program": "pulse-jax",
            "format": 1,
            "command": "upsample",
            "inputs": entries,
            "failed": [],
            "files": [],
        }
        assert json.loads(text) == whole
        assert text == json.dumps(whole, indent=1) + "\n"
    folder.close()


def test_a_short_run_is_all_or_nothing(tmp_path):
    with RunFolder(tmp_path / "out").write_once(["x.png"], {"command": "sample"}) as part:
        (part / "x.png").write_text("result")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["finished"] and summary["files"] == ["x.png"]
    # What could not be made after all is no file of the run; what was added to the summary meanwhile counts.
    summary = {"command": "downscale", "inputs": []}
    with RunFolder(tmp_path / "some").write_once(["x.png", "y.png"], summary) as part:
        (part / "y.png").write_text("result")
        summary["inputs"].append("y")
    summary = json.loads((tmp_path / "some" / "summary.json").read_text())
    assert summary["files"] == ["y.png"] and summary["inputs"] == ["y"]
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "other").write_once(["x.png"], {}):
        raise KeyboardInterrupt
    assert not (tmp_path / "other").exists()


def test_frequent_summaries_cost_little_time(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    # Writing the first one takes a second: the next is due a hundred seconds after that.
    clock = iter([0.0, 1.0, 100.9, 101.1, 110.0, 111.0])
    monkeypatch.setattr(runs.time, "monotonic", lambda: next(clock))
    folder.begin([], {"n": 0})

    def held():
        return json.loads((tmp_path / "summary.json").read_text())["n"]

    assert not folder.is_summary_due() and held() == 0
    assert folder.is_summary_due()
    folder.update({"n": 1})
    assert held() == 1


def test_paths_that_are_no_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for path in (file, file / "inside", tmp_path / "dangling"):
        with pytest.raises(UsageError, match="not a folder"):
            RunFolder(path, overwrite=True)


def test_an_unreadable_folder(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UsageError, match=r"cannot be used \(Permission denied\)"):
        RunFolder(tmp_path)


def test_no_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match=f"{tmp_path}: no permission to write there"):
        RunFolder(tmp_path / "deep" / "out")


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    folder = RunFolder(tmp_path / "out")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match="Read-only file system"):
        folder.begin([], {})


def test_an_output_folder_inside_an_input_folder(tmp_path):
    inside = tmp_path / "in" / "deep" / "out"
    (tmp_path / "in").mkdir()
    with pytest.raises(UsageError, match="inside the input folder"):
        check_output_apart(inside, [tmp_path / "in"])
    check_output_apart(inside, [tmp_path / "in" / "a.png"])
    check_output_apart(tmp_path / "in2", [tmp_path / "in"])


def test_a_source_inside_the_output_folder(tmp_path):
    with pytest.raises(UsageError, match=r"solutions\.npz: lies inside the output folder"):
        check_output_apart(tmp_path, [], tmp_path / "a" / "solutions.npz")
    check_output_apart(tmp_path / "out", [], tmp_path / "out2" / "solutions.npz")


@pytest.mark.parametrize("linked", [".pulse-jax-state", ".pulse-jax-state/inputs", ".pulse-jax-state/searches"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_planted_link_harms_nobody(tmp_path, linked, finished):
    """A stranger's unfinished run, whose hidden folder is a link to somebody's own."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    (victim / "face").mkdir(parents=True)
    (victim / "face" / "mine.txt").write_text("mine")
    settings = {"seed": 0}
    folder = RunFolder(out, resumes=True)
    folder.begin(["face/input.png"], {"settings": settings, "finished": finished}, settings)
    folder.close()
    (out / linked).parent.mkdir(exist_ok=True)
    (out / linked).symlink_to(victim)
    for options in ({"resumes": True}, {"overwrite": True}, {"overwrite": True, "resumes": True}):
        folder = RunFolder(out, **options)
        with pytest.raises(UsageError, match="a link, or no folder, where a run keeps what is under way"):
            folder.begin(["face/input.png"], {}, settings)
    RunFolder(out, resumes=True).forget()
    assert (victim / "face" / "mine.txt").read_text() == "mine"


def test_a_forged_summary_removes_nothing_that_runs_do_not_write(tmp_path):
    mine = ["thesis.doc", "photo.png", "a/holiday.jpg", "a/notes.txt", "a/solution_01.png.bak", "a/input.PNG"]
    (tmp_path / "a").mkdir()
    for name in mine:
        (tmp_path / name).write_text("mine")
    forged = {"program": "pulse-jax", "files": mine, "replaced": mine, "sha256": {"photo.png": "0" * 64}}
    (tmp_path / "summary.json").write_text(json.dumps(forged))
    folder = RunFolder(tmp_path, overwrite=True)
    folder.begin(["b/input.png"], {})
    folder.close()
    assert all((tmp_path / name).read_text() == "mine" for name in mine)


def test_a_short_runs_files_are_replaced_only_as_they_were_written(tmp_path):
    for text in ("first", "second"):
        with RunFolder(tmp_path, overwrite=True).write_once(["x.png"], {"command": "sample"}) as part:
            (part / "x.png").write_text(text)
        assert (tmp_path / "x.png").read_text() == text
    (tmp_path / "x.png").write_text("mine")
    with pytest.raises(UsageError, match=r"x\.png: in the way of the results, and not written by an earlier run"):
        RunFolder(tmp_path, overwrite=True).begin(["x.png"], {})
    assert (tmp_path / "x.png").read_text() == "mine"


def test_what_a_short_run_wrote_into_a_folder_is_told_by_its_hash(tmp_path):
    for text in ("first", "second"):
        with RunFolder(tmp_path, overwrite=True).write_once(["a/x.png", "a/y.png"], {"command": "study make"}) as part:
            (part / "a").mkdir()
            (part / "a" / "x.png").write_text(text)
        assert (tmp_path / "a" / "x.png").read_text() == text
    (tmp_path / "a" / "x.png").write_text("mine")
    with pytest.raises(UsageError, match=r"a/x\.png: in the way of the results"):
        RunFolder(tmp_path, overwrite=True).begin(["a/x.png"], {})
    folder = RunFolder(tmp_path, overwrite=True)
    folder.begin(["b/x.png"], {})
    folder.close()
    assert (tmp_path / "a" / "x.png").read_text() == "mine"
