"""`upsample`: pictures in, a folder of results for each out; the engine is a stand-in."""

import re
import shlex
import threading
import types
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pulse_jax.cli import upsample
from pulse_jax.cli.advice import advice
from pulse_jax.cli.demo import verify
from pulse_jax.engine import memory
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs import inputs as reading
from pulse_jax.runs import plan, records, sheets, solution_files, writer
from pulse_jax.runs.solution_files import KeptSolution
from pulse_jax.search.presets import PRESETS
from pulse_jax.search.problems import Status
from pulse_jax.system import devices
from pulse_jax.system.devices import usable_cores
from pulse_jax.system.text import printable
from tests.cli.fake_engine import DIM, NOISE, RESOLUTION, ROWS, draw, listing, run, shown, summary_of


def test_upsample_writes_everything(fake, inputs, tmp_path, capsys):
    pixels = {name: draw(inputs / f"{name}.png", seed=i) for i, name in enumerate(("a", "b"))}
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--restarts", 3, "--seed", 7, "--eps", 0.2) == 0
    each = ["input.png", "sheet.png", "solutions.json", "solutions.npz"]
    each += [f"{kind}_0{k}.png" for k in (1, 2, 3) for kind in ("solution", "downscaled")]
    assert listing(out) == sorted(
        ["index.html", "run.toml", "sheet.png", "summary.json", *(f"{n}/{file}" for n in "ab" for file in each)]
    )
    summary = summary_of(out)
    assert sorted(summary["files"]) == [file for file in listing(out) if file != "summary.json"]
    assert summary["finished"] and summary["command"] == "upsample"
    assert (summary["seed"], summary["restarts"], summary["preset"]) == (7, 3, "fast")
    assert 1 <= summary["lanes"] <= usable_cores()
    assert (summary["solutions"], summary["feasible"]) == (6, 4)
    assert summary["config"]["eps"] == 0.2 and summary["config"]["steps"] == PRESETS["fast"]().steps
    assert summary["generator"]["folder"] == "embedded" and len(summary["generator"]["sha256"]) == 64
    assert summary["generator"]["architecture"]["resolution"] == RESOLUTION
    assert set(summary["versions"]) == {"pulse_jax", "jax", "jaxlib", "flax", "optax", "numpy", "python"}
    assert summary["device"]["platform"] == "cpu"
    assert summary["speed"]["steps"] == 60 and summary["speed"]["steps_per_second"] == 10
    assert summary["speed"]["compile_seconds"] == 1 and summary["speed"]["idle_seconds"] == 0.25
    assert summary["speed"]["peak_memory_bytes"]["process"] > 1e7
    for index, (entry, name) in enumerate(zip(summary["inputs"], "ab", strict=True)):
        assert entry["input"] == str(inputs / f"{name}.png") and entry["notes"] == []
        assert (entry["size"], entry["factor"]) == (4, 4)
        np.testing.assert_array_equal(to_uint8(read_image(out / entry["solved"]).pixels), pixels[name])
        # Feasible ones first, then by loss; what was not finite last.
        assert [solution["restart"] for solution in entry["solutions"]] == [2, 1, 0]
        assert [solution["status"] for solution in entry["solutions"]] == ["FEASIBLE", "FEASIBLE", "NONFINITE"]
        assert entry["solutions"][2]["loss"] is None and not entry["solutions"][2]["feasible"]
        for solution in entry["solutions"]:
            picture = fake.pictures[index, solution["restart"]]
            np.testing.assert_array_equal(read_image(out / solution["image"]).pixels, picture)
            small = to_uint8(Bicubic(4).apply_float64(picture))
            np.testing.assert_array_equal(to_uint8(read_image(out / solution["downscaled"]).pixels), small)
            words = shlex.split(solution["command"])
            assert words[:3] == ["pulse-jax", "upsample", str(out / name / "input.png")]
            assert words[words.index("--restarts") + 1] == str(solution["restart"] + 1)
            assert words[words.index("--seed") + 1] == "7" and words[words.index("--eps") + 1] == "0.2"
    assert all(not check.fault for of_input in verify(out) for check in of_input)
    (call,) = fake.calls
    for problem, name in zip(call, "ab", strict=True):
        np.testing.assert_array_equal(problem.low_res, pixels[name].astype(np.float32) / np.float32(255))
    screen = capsys.readouterr()
    assert (
        "4 of 6 solutions are feasible (error at most 0.2)" in screen.out and f"Look at {out}/index.html" in screen.out
    )
    assert "a.png: 2 of 3 feasible" in screen.err and "6/6 searches" in screen.err


@pytest.mark.parametrize(
    ("status", "feasible", "detail"),
    [
        (Status.FEASIBLE, True, "40 steps"),
        (Status.MAX_STEPS, False, "40 steps, all taken"),
        (Status.PLATEAU, False, "40 steps, plateau"),
        (Status.NONFINITE, False, "40 steps, not finite"),
        # An earlier look was feasible, and is what was delivered.
        (Status.NONFINITE, True, "40 steps"),
    ],
)
def test_a_tile_says_how_the_search_ended(status, feasible, detail):
    numbers = {"restart": 0, "loss": 1.0, "downscaling_error": 1.004e-3, "search_error": 1e-3, "steps": 40}
    solution = KeptSolution(path=Path("x.npz"), **numbers, status=status, feasible=feasible)
    record = records.solution_record(solution, ("a.png", "b.png"), "")
    tile = sheets.tile(record, np.zeros((8, 8, 3), np.float32), np.zeros((4, 4, 3), np.float32), 1e-3 + feasible)
    assert tile.detail == detail and tile.good is feasible
    # As many digits as it takes to see on which side of eps it is.
    assert tile.caption == ("1.0e-3 feasible" if feasible else "1.004e-3 missed")


def test_solutions_npz_holds_what_is_needed_to_go_on(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 3)
    stored = solution_files.read_solutions(tmp_path / "out" / "a" / "solutions.npz")
    assert stored.latents.shape == (3, ROWS, DIM) and stored.latents[:, 0, 0].tolist() == [2, 1, 0]
    assert [noise.shape for noise in stored.noise] == [(3, *shape) for shape in NOISE]
    assert stored.config == PRESETS["fast"]()
    with np.load(tmp_path / "out" / "a" / "solutions.npz") as file:
        assert file["keys"].tolist() == [[0, 2], [0, 1], [0, 0]] and file["restart"].tolist() == [2, 1, 0]
        assert file["status"].tolist() == ["FEASIBLE", "FEASIBLE", "NONFINITE"]


def test_infeasible_is_a_result(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 1) == 0
    out = capsys.readouterr().out
    assert "0 of 1 solutions are feasible" in out and "Not feasible, with their lowest errors: a.png (" in out
    assert "a face must lie in the picture as the generator's do" in out


def test_two_sizes_in_one_folder(fake, inputs, tmp_path):
    for i, side in enumerate((4, 8, 4)):
        draw(inputs / f"{i}.png", side, seed=i)
    assert run("upsample", inputs, "--output", tmp_path / "out") == 0
    assert [len(problem.low_res) for problem in fake.calls[0]] == [4, 8, 4]
    summary = summary_of(tmp_path / "out")
    assert [entry["size"] for entry in summary["inputs"]] == [4, 8, 4]
    assert [Path(entry["input"]).stem for entry in summary["inputs"]] == ["0", "1", "2"]
    assert summary["speed"]["steps"] == 120
    assert all(not check.fault for of_input in verify(tmp_path / "out") for check in of_input)


@pytest.mark.parametrize("name", ["[bold]x", "a\nb\x1b[31m", ":smile:", "naïve 字", "-x", "x" * 200])
def test_any_file_name(fake, inputs, tmp_path, capsys, name):
    draw(inputs / f"{name}.png")
    assert run("upsample", inputs, "--output", tmp_path / "out") == 0
    assert (tmp_path / "out" / name / "solution_01.png").is_file()
    err = capsys.readouterr().err
    assert "\x1b" not in err and (printable(name)[:60] + "") in err


@pytest.mark.parametrize("name", ["...png", "..png", "sheet.png.png", "summary.json.png", ".pulse-jax-state.png"])
def test_names_that_results_cannot_have(fake, inputs, tmp_path, capsys, name):
    path = inputs / name
    draw(path)
    draw(tmp_path / "good.png")
    assert run("upsample", path, tmp_path / "good.png", "--output", tmp_path / "out") == 1
    assert "rename the file" in capsys.readouterr().err
    assert {file.split("/")[0] for file in listing(tmp_path / "out")} == {
        "good",
        "index.html",
        "run.toml",
        "sheet.png",
        "summary.json",
    }


def test_a_bad_file_costs_only_itself(fake, inputs, tmp_path, capsys):
    draw(inputs / "good.png")
    draw(inputs / "good.bmp")
    draw(inputs / "wrong-size.png", 5)
    Image.new("RGB", (8, 4)).save(inputs / "oblong.png")
    (inputs / "zero.png").write_bytes(b"")
    (inputs / "text.png").write_bytes(b"hello")
    draw(inputs / "cut.png")
    (inputs / "cut.png").write_bytes((inputs / "cut.png").read_bytes()[:50])
    frames = [Image.new("RGB", (4, 4), (80 * i, 0, 0)) for i in range(3)]
    frames[0].save(inputs / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(inputs / "old.gif")
    (inputs / "link.png").symlink_to(inputs / "gone.png")
    (inputs / "zero-device.png").symlink_to("/dev/zero")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    draw(out / "inside.png")
    bad = [tmp_path / "missing.png", tmp_path / "empty", out / "inside.png"]
    assert run("upsample", *bad, inputs, "--output", out, "--overwrite") == 1
    err = capsys.readouterr().err
    listed = err[err.index("12 of 14 inputs failed:") :].splitlines()
    expected = {
        "missing.png": "no such file",
        "empty": "no pictures in this folder",
        "inside.png": "inside the output folder",
        "link.png": "a link to a file that does not exist",
        "zero-device.png": "a device",
        "wrong-size.png": "5x5; expected a square of 2x2, 4x4, 8x8 for a generator of 16x16; use --fit",
        "oblong.png": "8x4",
        "zero.png": "zero bytes",
        "text.png": "not a picture",
        "cut.png": "damaged",
        "moving.webp": "3 frames",
        "old.gif": "another format (GIF)",
    }
    assert len(listed) == 1 + len(expected)
    for name, text in expected.items():
        (line,) = [line for line in listed if line.partition(": ")[0].endswith(f"/{name}")]
        assert text in line
    summary = summary_of(out)
    assert len(summary["failed"]) == 12 and summary["finished"]
    names = {file.split("/")[0] for file in listing(out)}
    assert names == {"good", "good.png", "index.html", "inside.png", "run.toml", "sheet.png", "summary.json"}
    assert "cut.png: cannot be used (told at the end)" in err


@pytest.mark.parametrize("command", [["upsample", "--restarts", "1"], ["downscale", "--size", "4"]], ids=lambda c: c[0])
def test_one_picture_at_a_time_is_in_memory(fake, inputs, tmp_path, monkeypatch, command):
    for i, side in enumerate((4, 9, 4, 2, 4, 3, 4)):
        draw(inputs / f"{i}.png", side, seed=i)
    (inputs / "3b.png").write_bytes(b"")
    earlier = []

    def read(path, **options):
        assert all(picture() is None for picture in earlier)
        picture = read_image(path, **options)
        earlier.append(weakref.ref(picture.pixels))
        return picture

    monkeypatch.setattr(reading, "read_image", read)
    assert run(*command, inputs, "--output", tmp_path / "out") == 1
    # Upsampling looks for a picture of use before it begins, and reads that again.
    assert len(earlier) == (8 if command[0] == "upsample" else 7)
    summary = summary_of(tmp_path / "out")
    assert [Path(entry["input"]).stem for entry in summary["inputs"]] == (
        ["0", "2", "3", "4", "6"] if command[0] == "upsample" else ["0", "1", "2", "4", "6"]
    )
    assert [Path(failure["input"]).stem for failure in summary["failed"]] == (
        ["1", "3b", "5"] if command[0] == "upsample" else ["3", "3b", "5"]
    )


def test_only_bad_files_write_nothing(fake, inputs, tmp_path, capsys):
    (inputs / "a.png").write_bytes(b"")
    assert run("upsample", inputs, "--output", tmp_path / "out") == 1
    draw(inputs / "a.png", 5)
    assert run("upsample", inputs, "--output", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()
    assert capsys.readouterr().err.count("1 of 1 inputs failed:") == 2


def test_a_picture_is_fitted_rounded_and_told(fake, inputs, tmp_path, capsys):
    alpha = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
    Image.fromarray(alpha).save(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--fit", "resize") == 0
    notes = ["composited on white", "resized from the centre of 7x9 to 4x4"]
    assert summary_of(tmp_path / "out")["inputs"][0]["notes"] == notes
    assert f"a.png: {', '.join(notes)}" in capsys.readouterr().err
    solved = read_image(tmp_path / "out" / "a" / "input.png").pixels
    np.testing.assert_array_equal(fake.calls[0][0].low_res, solved)


def test_enough_solutions_end_an_input(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    words = ["upsample", inputs, "--output", out, "--eps", 1.0]
    assert run(*words, "--solutions", 2, "--max-restarts", 5) == 0
    (problem,) = fake.calls[0]
    assert (problem.restarts, problem.solutions) == (5, 2)
    assert [s["restart"] for s in summary_of(out)["inputs"][0]["solutions"]] == [1, 0]
    for more, text in (
        (["--solutions", 2, "--restarts", 3], "--restarts: has no meaning with --solutions"),
        (["--max-restarts", 3], "--max-restarts: has a meaning with --solutions only"),
        (["--solutions", 4, "--max-restarts", 3], "--max-restarts: expected 4 to 10000, got 3"),
    ):
        assert run(*words, "--overwrite", *more) == 2
        assert text in capsys.readouterr().err


def test_lack_of_memory_is_told(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    fake.interrupt_after, fake.error = 0, RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
    assert run("upsample", inputs, "--output", tmp_path / "out") == 1
    assert "not enough memory for this many searches at once; use fewer --lanes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "size", "folder", "told"),
    [
        (4e-3, None, "embedded", "saved as JPEG.*--eps 0.008 accepts"),
        (4e-3, 8, "embedded", "^More --restarts or --steps may help; else a face must lie.*draws rendered heads"),
        (0.1, None, "embedded", "^More searching hardly helps: a face must lie.*draws rendered heads"),
        (0.1, 8, "/their/own", "must be able to draw it. eps is 0.001.$"),
    ],
)
def test_advice_names_the_likeliest_reason(unchecked, error, size, folder, told):
    missed = types.SimpleNamespace(
        input_size=size, alignment=None, generator_record={"folder": folder}, config=types.SimpleNamespace(eps=1e-3)
    )
    assert re.search(told, advice(missed, error))


def test_more_lanes_than_memory_has_room_for_are_one_line(fake, inputs, tmp_path, monkeypatch, capsys):
    draw(inputs / "a.png")
    monkeypatch.setattr(memory, "free_memory", lambda device: 10**6)
    monkeypatch.setattr(upsample, "groups", lambda device, lanes, strict: [lanes])
    assert run("upsample", inputs, "--lanes", 30000, "--output", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert re.fullmatch(
        r"pulse-jax: --lanes 30000: 30000 searches at once take \d+\.\d GB at least, 0\.0 GB are free; "
        "use --lanes auto\n",
        told,
    )
    assert not (tmp_path / "out").exists()


def test_where_lanes_decide_last_bits_their_number_is_decided_once(fake, inputs, tmp_path, monkeypatch):
    draw(inputs / "a.png")
    monkeypatch.setattr(records, "groups", lambda device, lanes, strict: [lanes])
    monkeypatch.setattr(devices, "device_summary", lambda: {"platform": "gpu", "kind": "card", "count": 1})
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some, **more: 4)
    words = ["upsample", inputs, "--lanes", "auto", "--output", tmp_path / "out"]
    fake.interrupt_after = 2
    assert run(*words) == 130
    assert fake.lanes == 4
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some, **more: 16)
    fake.interrupt_after = None
    assert run(*words) == 0
    assert fake.lanes == 4 and summary_of(tmp_path / "out")["lanes"] == 4
    assert " --lanes 4 " in summary_of(tmp_path / "out")["inputs"][0]["solutions"][0]["command"]


def test_on_a_cpu_lanes_may_change_within_a_run(fake, inputs, tmp_path, monkeypatch):
    draw(inputs / "a.png")
    fake.interrupt_after = 2
    assert run("upsample", inputs, "--lanes", 1, "--output", tmp_path / "out") == 130
    fake.interrupt_after = None
    assert run("upsample", inputs, "--lanes", 2, "--output", tmp_path / "out") == 0
    assert fake.lanes == 2 and summary_of(tmp_path / "out")["lanes"] == 2
    assert "--lanes" not in summary_of(tmp_path / "out")["inputs"][0]["solutions"][0]["command"]


def test_another_kind_of_device_is_told_and_goes_on_where_asked_to(fake, inputs, tmp_path, capsys, monkeypatch):
    draw(inputs / "a.png")
    words = ["upsample", inputs, "--output", tmp_path / "out"]
    fake.interrupt_after = 2
    assert run(*words) == 130
    fake.interrupt_after = None
    monkeypatch.setattr(devices, "kind_of_device", lambda device: "cpu cpu (another)")
    capsys.readouterr()
    assert run(*words) == 2
    assert '(another)"' in capsys.readouterr().err
    assert run(*words, "--other-device") == 0
    assert summary_of(tmp_path / "out")["finished"]


@pytest.mark.parametrize("words", [[], ["--noise-samples", 1], ["--save-intermediate"]], ids=str)
def test_automatic_lanes_leave_room_for_extras(unchecked, fake, inputs, tmp_path, monkeypatch, words):
    draw(inputs / "a.png")
    taken = []
    card = types.SimpleNamespace(platform="gpu")
    monkeypatch.setattr(plan, "jax", types.SimpleNamespace(local_devices=lambda: [card]))
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some, searches, beside: taken.append(beside) or 4)
    assert run("upsample", inputs, "--lanes", "auto", "--restarts", 1, "--output", tmp_path / "out", *words) == 0
    assert (taken[0] > 0) == bool(words)


def test_fewer_lanes_are_tried_when_memory_runs_out(fake, inputs, tmp_path, capsys, monkeypatch):
    draw(inputs / "a.png")
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some, **more: 8)
    fake.most_lanes = 2
    assert run("upsample", inputs, "--lanes", "auto", "--output", tmp_path / "out") == 0
    err = capsys.readouterr().err
    assert "not enough memory: 4 lanes\nnot enough memory: 2 lanes\n" in err.replace("compiling ...\n", "")
    assert summary_of(tmp_path / "out")["lanes"] == 2 and summary_of(tmp_path / "out")["finished"]
    fake.most_lanes = 0
    assert run("upsample", inputs, "--lanes", "auto", "--output", tmp_path / "other") == 1
    assert not (tmp_path / "other").exists()


def test_a_full_disk_leaves_no_half_of_anything(fake, inputs, tmp_path, capsys, monkeypatch):
    draw(inputs / "a.png")
    draw(inputs / "b.png", seed=1)
    real = writer.write_solutions
    first = read_image(inputs / "a.png").pixels[0, 0, 0]
    written = threading.Event()

    def fill(folder, low_res, *others, **named):
        if (low_res[0, 0, 0] != first).any():
            written.wait(10)
            raise OSError(28, "No space left on device")
        real(folder, low_res, *others, **named)
        written.set()

    monkeypatch.setattr(writer, "write_solutions", fill)
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 1) == 1
    assert "cannot be written to (No space left on device)" in capsys.readouterr().err
    assert shown(tmp_path / "out") == {"a", "index.html", "run.toml", "sheet.png", "summary.json"}
    assert not summary_of(tmp_path / "out")["finished"]
    monkeypatch.setattr(writer, "write_solutions", real)
    solved = len(fake.calls)
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 1) == 0
    assert summary_of(tmp_path / "out")["finished"] and len(fake.calls) == solved + 1 and fake.calls[-1] == []


def test_an_occupied_output_folder(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out) == 0
    before = {file: (out / file).read_bytes() for file in listing(out)}
    capsys.readouterr()
    assert run("upsample", inputs, "--output", out, "--seed", 1) == 2
    err = capsys.readouterr().err
    assert "holds a finished run with other settings (seed was 0, is 1)" in err and err.count("\n") == 1
    assert {file: (out / file).read_bytes() for file in listing(out)} == before
    (out / "a" / "notes.txt").write_text("mine")
    assert run("upsample", inputs, "--output", out, "--overwrite") == 2
    assert "a/notes.txt: in the way of the results" in capsys.readouterr().err
    (out / "a" / "notes.txt").rename(out / "notes.txt")
    assert run("upsample", inputs, "--output", out, "--overwrite", "--restarts", 2) == 0
    assert (
        "notes.txt" in listing(out) and "a/solution_02.png" in listing(out) and "a/solution_03.png" not in listing(out)
    )


def test_output_inside_input_is_refused(fake, inputs, capsys):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", inputs / "out") == 2
    assert "lies inside the input folder" in capsys.readouterr().err
    assert listing(inputs) == ["a.png"]
