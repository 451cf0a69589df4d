import collections
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from convert.safetensors_file import save_safetensors
from pulse_jax.cli import generators, main
from pulse_jax.cli.demo import verify
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.engine import stream
from pulse_jax.engine.progress import Progress
from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks import stylegan2
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image, save_png
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.runs import inputs as reading
from pulse_jax.runs import plan, records, sheets, solution_files, writer
from pulse_jax.runs.solution_files import KeptSolution
from pulse_jax.search.presets import PRESETS
from pulse_jax.search.problems import Solution, Status
from pulse_jax.system import text as system_text_
from tests.tiny_networks import perceptual_arrays, tiny_perceptual

RESOLUTION, DIM, LAYERS, NOISE = 16, 4, 3, ((4, 4, 1), (8, 8, 1))
ROWS = LAYERS  # of a searched latent, in the default preset's space


# --- a generator and an engine that cost nothing ---


def paint(params, w, noise):
    return jnp.broadcast_to(0.5 + 0.1 * w[0, :3], (RESOLUTION, RESOLUTION, 3)) + 0.01 * noise[0].sum()


def levels(*seed):
    return (np.random.default_rng(seed).integers(0, 256, (RESOLUTION, RESOLUTION, 3)) / 255).astype(np.float32)


class FakeEngine:
    """Random pictures, black for restart 0, which fails; remembers its calls, and stops after `interrupt_after`."""

    def __init__(self):
        self.calls = []
        self.interrupt_after = None
        self.signal_at = None
        self.most_lanes = 1000
        self.error = KeyboardInterrupt()
        self.pictures = {}

    def solve_stream(self, problems, *others, **settings):
        return self.solve(list(problems), *others, **settings)

    def solve(self, problems, generator, *, config, lanes, checkpoint_dir, on_chunk):
        self.lanes, self.generator = lanes, generator
        if lanes > self.most_lanes:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        self.calls.append(problems)
        found = collections.Counter()
        tasks = [(p, k) for k in range(10) for p in problems if k < p.restarts and k not in p.ended]
        for done, (problem, restart) in enumerate(tasks, 1):
            if self.interrupt_after is not None and done > self.interrupt_after:
                raise self.error
            low_res, index = problem.low_res, problem.index
            if found[index] == problem.solutions:
                continue
            image = levels(problem.seed, index, restart, len(low_res)) * np.float32(restart > 0)
            small = Bicubic(RESOLUTION // len(low_res)).apply_float64(image)
            error = float(np.mean(np.square(small - low_res.astype(np.float64))))
            found[index] += error <= config.eps
            self.pictures[index, restart] = image
            yield Solution(
                index=index,
                restart=restart,
                image=image,
                downscaled=small.astype(np.float32),
                loss=float("nan") if restart == 0 else 1.0 / restart,
                downscaling_error=error,
                search_error=0.25,
                feasible=error <= config.eps,
                status=Status.NONFINITE if restart == 0 else Status.FEASIBLE,
                steps=10 + restart,
                latent=np.full((ROWS, DIM), restart, np.float32),
                noise=tuple(np.full(shape, index, np.float32) for shape in NOISE),
                key=np.array([index, restart], np.uint32),
            )
            if done == self.signal_at:
                signal.raise_signal(signal.SIGINT)
            on_chunk(Progress(done, done // 2, 10 * done, 10 * done, 1.0 + done, 1.0, 0.25))


@pytest.fixture
def fake(monkeypatch, tmp_path):
    generator = Generator.from_function(
        paint,
        {},
        resolution=RESOLUTION,
        latent_dim=DIM,
        num_layers=LAYERS,
        noise_shapes=NOISE,
        gaussian_fit=GaussianFit(jnp.zeros(DIM), jnp.ones(DIM)),
    )
    package = tmp_path / "package"
    (package / "data" / "heads64").mkdir(parents=True)
    (package / "data" / "heads64" / "config.json").write_text("{}")
    fake = FakeEngine()
    monkeypatch.setattr("importlib.resources.files", lambda name: package)
    monkeypatch.setattr("pulse_jax.generators.generator.load_generator", lambda folder: generator)
    monkeypatch.setattr(generators, "architecture_to_dict", lambda config: {"family": "x", **asdict(config)})
    monkeypatch.setattr(stream, "solve_stream", fake.solve_stream)
    return fake


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def draw(path, side=4, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "BMP" if path.suffix == ".bmp" else "PNG")
    return pixels


def run(*words):
    return main([str(word) for word in words])


def summary_of(out):
    text = (out / "summary.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    return json.loads(text)


def listing(path):
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())


def shown(path):
    """What lies in a folder and is not hidden."""
    return {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}


# --- the command line ---


def test_help_answers_without_the_heavy_libraries():
    program = """
import sys
from pulse_jax.cli import main
for command in ([], ["upsample"], ["downscale"], ["demo"], ["sample"], ["info"]):
    try:
        main([*command, "--help"])
    except SystemExit as ended:
        assert ended.code == 0
print("HEAVY", [name for name in ("jax", "jaxlib", "flax", "orbax", "optax", "numpy", "PIL") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for word in ("usage: pulse-jax", "--restarts", "--factor", "--latents", "pulse-demo", "FILES_OR_FOLDERS"):
        assert word in done.stdout
    for default in ("(default: 16)", "(default: 0)", "(default: 1.0)"):
        assert default in done.stdout


def test_the_presets_on_offer_are_those_that_exist():
    assert set(get_args(get_type_hints(Upsample)["preset"])) == set(PRESETS)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--restarts 0", "--restarts: expected 1 to 10000, got 0"),
        ("--restarts 10001", "--restarts: expected 1 to 10000"),
        ("--seed -1", "--seed: expected 0 to 4294967295, got -1"),
        ("--seed 4294967296", "--seed: expected 0 to 4294967295"),
        ("--lanes 0", "--lanes: expected 1 to"),
        ("--steps 0", "--steps: expected 1 to"),
        ("--output-size 7", "--output-size: expected 16 or a part of it that D can make, 8 for instance, got 7"),
        ("--output-size 0", "--output-size: expected a positive integer, got 0"),
        ("--eps 0", "--eps: expected a mean squared error in (0, 1], got 0.0"),
        ("--eps nan", "--eps: expected a mean squared error in (0, 1], got nan"),
        ("--eps 1e400", "--eps: expected a mean squared error in (0, 1], got inf"),
    ],
)
def test_settings_out_of_range_are_one_line_and_nothing_written(fake, inputs, tmp_path, capsys, words, text):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", *words.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"pulse-jax: {text}") and err.count("\n") == 1 and out == ""
    assert not (tmp_path / "out").exists() and not fake.calls


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("upsample --output out", "no inputs: expected picture files"),
        ("downscale --output out --size 4", "no inputs"),
        ("downscale a.png --output out", "expected --size or --factor, got neither"),
        ("downscale a.png --output out --size 4 --factor 4", "expected --size or --factor, got both"),
        ("downscale a.png --output out --size 1", "--size: expected 2 to"),
        ("downscale a.png --output out --factor 0", "--factor: expected 1 to"),
        ("sample --output out --count 0", "--count: expected 1 to 1000"),
        ("sample --output out --seed -1", "--seed: expected 0"),
        ("sample --output out --truncation nan", "--truncation: expected -2 to 2, got nan"),
        ("sample --output out --latents x.npz --count 16", "--count: has no meaning with --latents"),
        ("sample --output out --latents x.npz --seed 0", "--seed: has no meaning with --latents"),
        ("sample --output out --latents x.npz --truncation 1", "--truncation: has no meaning with --latents"),
        ("demo --restarts 0", "--restarts: expected 1"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, monkeypatch, capsys, words, text):
    monkeypatch.chdir(tmp_path)
    assert run(*words.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"pulse-jax: {text}") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["", "nonsense", "upsample a.png", "upsample a.png --output o --restarts few"])
def test_what_cannot_be_parsed_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run(*words.split())
    assert ended.value.code == 2 and capsys.readouterr().err


# --- upsample ---


def test_upsample_writes_everything(fake, inputs, tmp_path, capsys):
    pixels = {name: draw(inputs / f"{name}.png", seed=i) for i, name in enumerate(("a", "b"))}
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--restarts", 3, "--seed", 7, "--eps", 0.2) == 0
    each = ["input.png", "sheet.png", "solutions.json", "solutions.npz"]
    each += [f"{kind}_0{k}.png" for k in (1, 2, 3) for kind in ("solution", "downscaled")]
    assert listing(out) == sorted(["sheet.png", "summary.json", *(f"{n}/{file}" for n in "ab" for file in each)])
    summary = summary_of(out)
    assert sorted(summary["files"]) == [file for file in listing(out) if file != "summary.json"]
    assert summary["finished"] and summary["command"] == "upsample"
    assert (summary["seed"], summary["restarts"], summary["lanes"], summary["preset"]) == (7, 3, 8, "pulse")
    assert (summary["solutions"], summary["feasible"]) == (6, 4)
    assert summary["config"]["eps"] == 0.2 and summary["config"]["steps"] == PRESETS["pulse"]().steps
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
        "4 of 6 solutions are feasible (error at most 0.2)" in screen.out and f"Look at {out}/sheet.png" in screen.out
    )
    assert "a.png: 2 of 3 feasible" in screen.err and "6/6 searches" in screen.err


@pytest.mark.parametrize(
    ("error", "words"), [(8.7e-4, "8.7e-4"), (0.25, "2.5e-1"), (1.0, "1.0e0"), (0.0, "0"), (float("nan"), "no number")]
)
def test_errors_in_two_digits(error, words):
    assert system_text_.short(error) == words


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
    numbers = {"restart": 0, "loss": 1.0, "downscaling_error": 1e-3, "search_error": 1e-3, "steps": 40}
    solution = KeptSolution(path=Path("x.npz"), **numbers, status=status, feasible=feasible)
    record = records.solution_record(solution, ("a.png", "b.png"), "")
    tile = sheets.tile(record, np.zeros((8, 8, 3), np.float32), np.zeros((4, 4, 3), np.float32))
    assert tile.detail == detail and tile.good is feasible
    assert tile.caption == f"1.0e-3 {'feasible' if feasible else 'missed'}"


def test_solutions_npz_holds_what_is_needed_to_go_on(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 3)
    stored = solution_files.read_solutions(tmp_path / "out" / "a" / "solutions.npz")
    assert stored.latents.shape == (3, ROWS, DIM) and stored.latents[:, 0, 0].tolist() == [2, 1, 0]
    assert [noise.shape for noise in stored.noise] == [(3, *shape) for shape in NOISE]
    assert stored.config == PRESETS["pulse"]()
    with np.load(tmp_path / "out" / "a" / "solutions.npz") as file:
        assert file["keys"].tolist() == [[0, 2], [0, 1], [0, 0]] and file["restart"].tolist() == [2, 1, 0]
        assert file["status"].tolist() == ["FEASIBLE", "FEASIBLE", "NONFINITE"]


def test_infeasible_is_a_result(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 1) == 0
    out = capsys.readouterr().out
    assert "0 of 1 solutions are feasible" in out and "Not feasible: a.png. The generator may not be able" in out


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
    assert "\x1b" not in err and (system_text_.printable(name)[:60] + "") in err


@pytest.mark.parametrize("name", ["...png", "..png", "sheet.png.png", "summary.json.png", ".pulse-jax-state.png"])
def test_names_that_results_cannot_have(fake, inputs, tmp_path, capsys, name):
    path = inputs / name
    draw(path)
    draw(tmp_path / "good.png")
    assert run("upsample", path, tmp_path / "good.png", "--output", tmp_path / "out") == 1
    assert "rename the file" in capsys.readouterr().err
    assert {file.split("/")[0] for file in listing(tmp_path / "out")} == {"good", "sheet.png", "summary.json"}


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
    listed = err[err.index("13 of 14 inputs failed:") :].splitlines()
    expected = {
        "missing.png": "no such file",
        "empty": "no pictures in this folder",
        "inside.png": "inside the output folder",
        "link.png": "a link to a file that does not exist",
        "zero-device.png": "a device",
        "good.png": "the same name",
        "wrong-size.png": "5x5; expected a square of 2x2, 4x4, 8x8, 16x16 for a generator of 16x16; use --fit",
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
    assert len(summary["failed"]) == 13 and summary["finished"]
    names = {file.split("/")[0] for file in listing(out)}
    assert names == {"good", "inside.png", "sheet.png", "summary.json"}
    assert "cut.png: cannot be used (told at the end)" in err


@pytest.mark.parametrize("command", [["upsample", "--restarts", "1"], ["downscale", "--size", "4"]], ids=lambda c: c[0])
def test_one_picture_at_a_time_is_in_memory(fake, inputs, tmp_path, monkeypatch, command):
    for i, side in enumerate((4, 9, 4, 2, 4, 3, 4)):
        draw(inputs / f"{i}.png", side, seed=i)
    (inputs / "3b.png").write_bytes(b"")
    earlier = []

    def read(path):
        assert all(picture() is None for picture in earlier)
        picture = read_image(path)
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


def test_an_interrupt_keeps_what_is_finished(fake, inputs, tmp_path, capsys):
    for name in ("a.png", "b.png", "c.png"):
        draw(inputs / name)
    fake.interrupt_after = 4
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--restarts", 2) == 130
    told = f"Interrupted: 1 of 3 inputs are finished, kept in {out}. The same command goes on from here.\n"
    assert told in capsys.readouterr().err
    assert shown(out) == {"a", "sheet.png", "summary.json"}
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
        assert "Stopping after these steps" in err and SEARCHED in err and "Interrupted" not in err
        assert summary_of(tmp_path / name)["finished"] and not (tmp_path / name / ".pulse-jax-state").exists()


def test_a_signal_while_the_last_results_are_written_lets_the_run_finish(fake, inputs, tmp_path, capsys, monkeypatch):
    draw(inputs / "a.png")
    real = writer.write_solutions

    def write(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        real(*arguments)

    monkeypatch.setattr(writer, "write_solutions", write)
    assert run("upsample", inputs, "--output", tmp_path / "out") == 0
    assert SEARCHED in capsys.readouterr().err and summary_of(tmp_path / "out")["finished"]


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
            assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
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
    left = tmp_path / "out" / ".pulse-jax-0123.part"
    left.mkdir()
    fake.interrupt_after = None
    assert run(*words) == 0
    assert fake.calls[-1][0].ended == {1: False}
    assert shown(tmp_path / "out") == {"a", "sheet.png", "summary.json"} and not left.exists()


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


# --- more than the best K: different ones, variations, animations ---

EXTRAS = ["--solutions", 2, "--max-restarts", 5, "--diverse", "--noise-samples", 3, "--save-intermediate"]


def test_diverse_solutions_are_the_farthest_apart_of_all_searches(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    words = ["upsample", inputs, "--eps", 1.0, "--solutions", 3, "--max-restarts", 7, "--diverse"]
    assert run(*words, "--output", tmp_path / "out") == 0
    (problem,) = fake.calls[0]
    assert (problem.restarts, problem.solutions) == (7, None)
    (entry,) = summary_of(tmp_path / "out")["inputs"]
    # Of the searches by rank: the loss falls with the restart, and the first is last.
    parts = {k: Bicubic(4).unseen(fake.pictures[0, k].astype(np.float64)) for k in (6, 5, 4, 3, 2, 1, 0)}

    def apart(one, other):
        return np.sqrt(np.mean((parts[one] - parts[other]) ** 2))

    chosen = [6]
    while len(chosen) < 3:
        chosen.append(max(parts.keys() - chosen, key=lambda k: min(apart(k, other) for other in chosen)))
    delivered = [solution["restart"] for solution in entry["solutions"]]
    assert delivered == [k for k in parts if k in chosen] and entry["searches"] == 7
    for solution in entry["solutions"]:
        expected = min(apart(solution["restart"], other) for other in delivered if other != solution["restart"])
        assert solution["unseen_distance"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("words", [["--restarts", 10], ["--solutions", 9, "--max-restarts", 10, "--diverse"]], ids=str)
def test_few_solutions_of_an_input_are_in_memory_at_a_time(fake, inputs, tmp_path, monkeypatch, words):
    draw(inputs / "a.png")
    earlier, most = [], []

    def read(self):
        most.append(sum(solution() is not None for solution in earlier))
        solution = real(self)
        earlier.append(weakref.ref(solution))
        return solution

    real = KeptSolution.read
    monkeypatch.setattr(KeptSolution, "read", read)
    assert run("upsample", inputs, "--output", tmp_path / "out", "--eps", 1.0, *words) == 0
    assert len(earlier) >= 9 and max(most) <= 1
    assert len(listing(tmp_path / "out" / "a")) == 2 * (9 if "--diverse" in words else 10) + 4


def test_too_few_diverse_solutions_are_filled_up_with_the_best_others(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    words = ["upsample", inputs, "--solutions", 3, "--max-restarts", 5, "--diverse", "--eps", 1e-9]
    assert run(*words, "--output", tmp_path / "out") == 0
    solutions = summary_of(tmp_path / "out")["inputs"][0]["solutions"]
    assert [s["restart"] for s in solutions] == [4, 3, 2] and not any(s["feasible"] for s in solutions)
    assert run(*words, "--output", tmp_path / "one", "--solutions", 1) == 0
    assert summary_of(tmp_path / "one")["inputs"][0]["solutions"][0]["unseen_distance"] is None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--diverse", "--diverse: needs --solutions K and --max-restarts M"),
        ("--diverse --solutions 2", "--diverse: needs --solutions K and --max-restarts M"),
        ("--noise-samples -1", "--noise-samples: expected 0 to 1000, got -1"),
        ("--noise-samples 1001", "--noise-samples: expected 0 to 1000"),
    ],
)
def test_extras_asked_for_wrongly_are_one_line(fake, inputs, tmp_path, capsys, words, text):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "out", *words.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"pulse-jax: {text}") and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_variations_lie_beside_their_solutions(fake, inputs, tmp_path):
    Image.new("RGB", (4, 4), (128, 128, 128)).save(inputs / "a.png")
    out = tmp_path / "out"
    words = ["upsample", inputs, "--output", out, "--restarts", 2, "--eps", 0.01]
    # Variations are as grey as the input or lighter, by 0.1 on average: half of them pass.
    assert run(*words, "--noise-samples", 12) == 0
    (entry,) = summary_of(out)["inputs"]
    target = np.float32(128) / np.float32(255)
    assert [solution["feasible"] for solution in entry["solutions"]] == [True, False]
    found, none = (solution["variations"] for solution in entry["solutions"])
    assert none == [] and 0 < len(found) < 12
    for variation in found:
        number = variation["variation"]
        assert variation["image"] == f"a/solution_01_noise_{number:02}.png" and variation["feasible"]
        assert variation["downscaled"] == f"a/downscaled_01_noise_{number:02}.png"
        small = Bicubic(4).apply_float64(np.asarray(Image.open(out / variation["image"])) / 255)
        assert variation["downscaling_error"] == pytest.approx(np.mean((small - target) ** 2))
        assert variation["downscaling_error"] <= 0.01
        small = to_uint8(small)
        np.testing.assert_array_equal(to_uint8(read_image(out / variation["downscaled"]).pixels), small)
    assert "--noise-samples 12" in entry["solutions"][0]["command"]
    files = summary_of(out)["files"]
    assert set(listing(out)) <= {*files, "summary.json"}
    assert sum("noise" in file for file in listing(out)) == 2 * len(found)
    with np.load(out / "a" / "solutions.npz") as stored:
        assert len(stored["latents"]) == 2
    assert run(*words, "--overwrite") == 0
    assert not any("noise" in file for file in listing(out))
    assert "variations" not in summary_of(out)["inputs"][0]["solutions"][0]


def test_noise_that_nothing_is_left_of_is_told(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    # The program of 2020 searches the first five noise inputs; this generator has two.
    words = ["--noise-samples", 3, "--preset", "pulse_2020", "--restarts", 1]
    assert run("upsample", inputs, "--output", tmp_path / "out", *words) == 0
    assert "every noise input is searched or zero; there is nothing to draw anew" in capsys.readouterr().err
    assert "variations" not in summary_of(tmp_path / "out")["inputs"][0]["solutions"][0]


def test_animations_are_written(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--restarts", 3, "--save-intermediate", "--eps", 1.0) == 0
    (entry,) = summary_of(out)["inputs"]
    assert entry["animations"] == ["a/search.webp", "a/morph.webp"]
    assert set(entry["animations"]) <= set(summary_of(out)["files"])
    with Image.open(out / "a" / "search.webp") as search, Image.open(out / "a" / "morph.webp") as morph:
        assert search.size == morph.size == (RESOLUTION, RESOLUTION)
        assert 2 <= search.n_frames <= 51 and 2 <= morph.n_frames <= 48
        search.seek(search.n_frames - 1)
        last = np.asarray(search.convert("RGB")).astype(float)
    best = np.asarray(Image.open(out / "a" / "solution_01.png")).astype(float)
    # Compressed, but the picture that was delivered.
    assert np.corrcoef(last.ravel(), best.ravel())[0, 1] > 0.5
    assert run("upsample", inputs, "--output", out, "--restarts", 3, "--save-intermediate", "--overwrite") == 0
    # Nothing is feasible: nothing to go over into.
    assert summary_of(out)["inputs"][0]["animations"] == ["a/search.webp"]
    assert "a/morph.webp" not in listing(out)


@pytest.mark.parametrize("after", [2, 5, 7])
def test_a_run_with_everything_goes_on_where_it_was_interrupted(fake, inputs, tmp_path, capsys, after):
    for seed, name in enumerate(("a.png", "b.png")):
        draw(inputs / name, seed=seed)
    words = ["upsample", inputs, "--eps", 0.3, *EXTRAS]
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
            assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    for ours, theirs in zip(summary_of(out)["inputs"], summary_of(tmp_path / "whole")["inputs"], strict=True):
        for one, other in zip(ours["solutions"], theirs["solutions"], strict=True):
            assert {**one, "command": ""} == {**other, "command": ""}
        assert {**ours, "solutions": ()} == {**theirs, "solutions": ()}


def test_an_interrupt_before_anything_is_finished_says_how_to_go_on(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    fake.interrupt_after = 0
    assert run("upsample", inputs, "--output", tmp_path / "out") == 130
    assert "Interrupted: 0 of 1 inputs are finished" in capsys.readouterr().err
    assert shown(tmp_path / "out") == {"summary.json"}


def test_lack_of_memory_is_told(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    fake.interrupt_after, fake.error = 0, RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
    assert run("upsample", inputs, "--output", tmp_path / "out") == 1
    assert "not enough memory for this many searches at once; use fewer --lanes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_automatic_number_of_lanes_is_decided_once(fake, inputs, tmp_path, capsys, monkeypatch):
    draw(inputs / "a.png")
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some: 4)
    words = ["upsample", inputs, "--lanes", "auto", "--output", tmp_path / "out"]
    fake.interrupt_after = 2
    assert run(*words) == 130
    assert "4 lanes" in capsys.readouterr().err and fake.lanes == 4
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some: 16)
    fake.interrupt_after = None
    assert run(*words) == 0
    assert fake.lanes == 4 and summary_of(tmp_path / "out")["lanes"] == 4
    assert " --lanes 4 " in summary_of(tmp_path / "out")["inputs"][0]["solutions"][0]["command"]


@pytest.mark.parametrize("words", [[], ["--noise-samples", 1], ["--save-intermediate"]], ids=str)
def test_automatic_lanes_leave_room_for_extras(unchecked, fake, inputs, tmp_path, monkeypatch, words):
    draw(inputs / "a.png")
    beside = []
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some: beside.append(some[4]) or 4)
    assert run("upsample", inputs, "--lanes", "auto", "--restarts", 1, "--output", tmp_path / "out", *words) == 0
    assert (beside[0] > 0) == bool(words)


def test_fewer_lanes_are_tried_when_memory_runs_out(fake, inputs, tmp_path, capsys, monkeypatch):
    draw(inputs / "a.png")
    monkeypatch.setattr(plan, "fitting_lanes", lambda *some: 8)
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

    def fill(folder, low_res, *others):
        if (low_res[0, 0, 0] != first).any():
            written.wait(10)
            raise OSError(28, "No space left on device")
        real(folder, low_res, *others)
        written.set()

    monkeypatch.setattr(writer, "write_solutions", fill)
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 1) == 1
    assert "cannot be written to (No space left on device)" in capsys.readouterr().err
    assert shown(tmp_path / "out") == {"a", "sheet.png", "summary.json"}
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
    assert run("upsample", inputs, "--output", out) == 2
    err = capsys.readouterr().err
    assert "earlier run" in err and "--overwrite" in err and err.count("\n") == 1
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


# --- starting from solutions ---


def test_init_starts_from_the_solutions_of_a_file(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    draw(inputs / "b.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 3)
    file = tmp_path / "out" / "b" / "solutions.npz"
    assert run("upsample", inputs, "--output", tmp_path / "next", "--restarts", 2, "--init", file) == 0
    for problem in fake.calls[-1]:
        assert problem.start.latents.shape == (2, ROWS, DIM) and problem.start.latents[:, 0, 0].tolist() == [2, 1]
        assert [noise.shape for noise in problem.start.noise] == [(2, *shape) for shape in NOISE]
        assert all((noise == 1).all() for noise in problem.start.noise)
    assert summary_of(tmp_path / "next")["init"] == str(file)
    assert f"--init {file}" in summary_of(tmp_path / "next")["inputs"][0]["solutions"][0]["command"]


@pytest.mark.parametrize(
    ("change", "words", "text", "code"),
    [
        (None, "--restarts 4", "holds 3 solutions to start from, expected one for each of the 4 restarts", 2),
        (None, "--preset pulse_2020 --restarts 2", "searched with start 'tiled', expected 'gaussian'", 1),
        ({"latents": np.zeros((3, 1, DIM), np.float32)}, "", "do not suit this generator", 1),
        ({"noise_00": np.zeros((3, 4, 4, 2), np.float32)}, "", "do not suit this generator", 1),
        ({"noise_00": np.zeros((2, 4, 4, 1), np.float32)}, "", "not those of solutions", 1),
        ({"latents": np.full((3, ROWS, DIM), np.nan, np.float32)}, "", "holds NaN or infinite latents", 1),
        ({"latents": np.zeros((0, ROWS, DIM), np.float32)}, "", "not those of solutions", 1),
        ({"config": np.array("[]")}, "", "not a solutions.npz that pulse-jax upsample wrote", 1),
        ({"config": np.array("{")}, "", "not a solutions.npz", 1),
        ({"latents": None}, "", "not a solutions.npz that pulse-jax upsample wrote", 1),
        ({"latents": np.array([{}])}, "", "not a solutions.npz", 1),
        (b"", "", "not a solutions.npz", 1),
        (b"PK\x03\x04 and nonsense", "", "not a solutions.npz", 1),
        ("missing", "", "no such file", 1),
        ("folder", "", "expected a solutions.npz", 1),
        ("array", "", "not a solutions.npz", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unsuitable_files_to_start_from(fake, inputs, tmp_path, capsys, change, words, text, code):
    draw(inputs / "a.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 3)
    file = tmp_path / "out" / "a" / "solutions.npz"
    if isinstance(change, dict):
        with np.load(file) as stored:
            arrays = dict(stored) | change
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    elif isinstance(change, bytes):
        file.write_bytes(change)
    elif change == "array":
        with open(file, "wb") as opened:
            np.save(opened, np.zeros(3))
    elif change:
        file = tmp_path / change
        if change == "folder":
            file.mkdir()
    capsys.readouterr()
    words = words.split() or ["--restarts", "3"]
    assert run("upsample", inputs, "--output", tmp_path / "next", "--init", file, *words) == code
    err = capsys.readouterr().err
    assert text in err and file.name in err and err.count("\n") == 1
    assert not (tmp_path / "next").exists()


@pytest.fixture
def perceptual(fake, monkeypatch, tmp_path):
    """A file of a perceptual network of few channels, and a generator that has all else that brgm takes."""
    fitted = replace(generators.open_generator(None), w_avg=jnp.zeros(DIM), w_std=jnp.ones(()))
    monkeypatch.setattr("pulse_jax.generators.generator.load_generator", lambda folder: fitted)
    monkeypatch.setattr("convert.perceptual._WIDTHS", (4, 5, 6, 6, 4))
    network, heads = perceptual_arrays()
    save_safetensors(tmp_path / "perceptual.safetensors", network | heads)
    return tmp_path / "perceptual.safetensors"


def test_a_perceptual_network_gives_brgm_its_whole_loss(fake, inputs, tmp_path, capsys, perceptual):
    draw(inputs / "a.png", side=16)
    draw(inputs / "small.png")
    words = ["--preset", "brgm", "--perceptual", perceptual]
    assert run("upsample", inputs, "--output", tmp_path / "out", *words) == 1
    assert "the picture is 4x4; expected a square of 16x16" in capsys.readouterr().err
    for found, expected in zip(*map(jax.tree.leaves, (fake.generator.perceptual, tiny_perceptual())), strict=True):
        np.testing.assert_array_equal(found, expected)
    summary = summary_of(tmp_path / "out")
    assert summary["config"] == json.loads(json.dumps(asdict(PRESETS["brgm"](perceptual=True))))
    assert summary["perceptual"] == str(perceptual)
    assert summary["settings"]["perceptual"] == hashlib.sha256(perceptual.read_bytes()).hexdigest()
    assert f"--perceptual {perceptual}" in summary["inputs"][0]["solutions"][0]["command"]
    # Drawing takes no loss.
    assert run("sample", "--latents", tmp_path / "out" / "a" / "solutions.npz", "--output", tmp_path / "again") == 0
    assert run("upsample", inputs, "--output", tmp_path / "without", "--preset", "brgm") == 0
    assert fake.generator.perceptual is None
    summary = summary_of(tmp_path / "without")
    assert summary["settings"]["perceptual"] is summary["perceptual"] is None and "LPIPS" not in str(summary["config"])


@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        ("--perceptual FILE", "--perceptual: has a meaning with --preset brgm only", 2),
        ("--perceptual FILE --preset bicubic", "--perceptual: has a meaning with --preset brgm only", 2),
        (
            "--perceptual FILE --preset brgm --output-size 8",
            "--output-size: expected 16 at least for the loss LPIPS",
            2,
        ),
        ("--perceptual missing.pth --preset brgm", "missing.pth: cannot be read", 1),
        ("--perceptual PICTURE --preset brgm", "a.png: not a checkpoint", 1),
    ],
)
def test_a_perceptual_network_that_cannot_be_used(fake, inputs, tmp_path, capsys, perceptual, words, text, code):
    draw(inputs / "a.png", side=16)
    words = words.replace("FILE", str(perceptual)).replace("PICTURE", str(inputs / "a.png")).split()
    assert run("upsample", inputs, "--output", tmp_path / "out", *words) == code
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists() and not fake.calls


# --- the other commands ---


def test_demo_solves_verifies_and_can_be_repeated(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        draw(tmp_path / "package" / "data" / "demo" / f"head_{i}.png", 4, i)
        draw(tmp_path / "package" / "data" / "demo" / "truth" / f"head_{i}.png", 16, i)
    for _ in range(2):
        assert run("demo", "--restarts", 2) == 0
        out = capsys.readouterr().out
        assert "Verified: 4 pictures were read back" in out and "Look at pulse-demo/sheet.png" in out
        assert "head_0" in out and "0 of 2" in out
    assert summary_of(tmp_path / "pulse-demo")["command"] == "demo"
    assert run("upsample", "package/data/demo/head_0.png", "--output", "other") == 0
    assert run("demo", "--output", "other") == 2
    assert run("demo", "--output", "other", "--overwrite") == 0


def test_demo_finds_out_what_is_not_as_claimed(fake, tmp_path, monkeypatch, capsys):
    draw(tmp_path / "package" / "data" / "demo" / "head.png")
    real = writer.save_png

    def spoil(path, image):
        real(path, 1 - image if path.name == "solution_01.png" else image)

    monkeypatch.setattr(writer, "save_png", spoil)
    assert run("demo", "--output", tmp_path / "out", "--restarts", 2) == 1
    err = capsys.readouterr().err
    assert "head/solution_01.png: claimed an error of" in err and "1 of 2 solutions are not what was claimed" in err


def test_verify_checks_verdict_and_downscaled_picture(fake, inputs, tmp_path):
    draw(inputs / "a.png")
    out = tmp_path / "out"
    run("upsample", inputs, "--output", out, "--restarts", 2)
    summary = summary_of(out)
    summary["inputs"][0]["solutions"][0]["feasible"] = True
    (out / "summary.json").write_text(json.dumps(summary))
    faults = [check.fault for check in verify(out)[0]]
    assert faults[0].startswith("claimed feasible at an error of") and faults[1] == ""
    save_png(out / "a" / "downscaled_02.png", np.ones((4, 4, 3)))
    assert verify(out)[0][1].fault == "its downscaled picture is another"


def test_verify_takes_roundings_for_none(fake, inputs, tmp_path, monkeypatch):
    """An error of zero but for roundings: claimed and found may differ by any factor."""
    Image.new("RGB", (4, 4), (77, 77, 77)).save(inputs / "a.png")
    monkeypatch.setattr(sys.modules[__name__], "levels", lambda *_: np.full((16, 16, 3), 77 / 255, np.float32))
    assert run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 2) == 0
    solution = summary_of(tmp_path / "out")["inputs"][0]["solutions"][0]
    assert solution["feasible"] and solution["downscaling_error"] < 1e-12
    ((best, _),) = verify(tmp_path / "out")
    assert best.fault == ""


def test_verify_reads_the_target_as_the_search_was_given_it(inputs, tmp_path):
    """An error large enough for its float32 rounding to be told from that of float64."""
    levels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3))
    target, picture = from_uint8(levels[0, :4, :4].astype(np.uint8)), levels[1] / 255
    claimed = np.mean(np.square(Bicubic(4).apply_float64(picture) - target.astype(np.float64)))
    save_png(tmp_path / "a.png", target)
    save_png(tmp_path / "s.png", picture)
    save_png(tmp_path / "d.png", Bicubic(4).apply_float64(picture))
    solution = {"image": "s.png", "downscaled": "d.png", "downscaling_error": claimed, "feasible": False}
    entry = {"input": str(tmp_path / "a.png"), "notes": [], "factor": 4, "solutions": [solution]}
    config = {"eps": 1e-3, "blur_at_factor_one": False}
    (tmp_path / "summary.json").write_text(json.dumps({"config": config, "inputs": [entry]}))
    ((check,),) = verify(tmp_path)
    assert check.fault == "" and check.error == pytest.approx(claimed, rel=1e-12)


def test_demo_without_its_pictures(fake, tmp_path, capsys):
    assert run("demo", "--output", tmp_path / "out") == 1
    assert "the demo's pictures are missing" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "side", "factor"), [(("--size", 4), 16, 4), (("--factor", 3), 15, 3)])
def test_downscale_is_the_exact_operator(inputs, tmp_path, capsys, flag, side, factor):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    Image.fromarray(pixels).save(inputs / "a.jpg", "PNG")
    (inputs / "b.png").write_bytes(b"")
    assert run("downscale", inputs, "--output", tmp_path / "out", *flag) == 1
    cut = pixels[:side, (20 - side) // 2 :][:, :side].astype(np.float32) / np.float32(255)
    expected = to_uint8(np.asarray(Bicubic(factor).apply(jnp.asarray(cut))))
    np.testing.assert_array_equal(to_uint8(read_image(tmp_path / "out" / "a.png").pixels), expected)
    screen = capsys.readouterr()
    assert f"a.jpg: cropped from 20x16 to its centre {side}x{side}, factor {factor}" in screen.err
    assert "1 of 2 inputs failed:" in screen.err and "1 picture in" in screen.out
    assert listing(tmp_path / "out") == ["a.png", "summary.json"]
    summary = summary_of(tmp_path / "out")
    assert summary["finished"] and summary["files"] == ["a.png"]
    assert [Path(failure["input"]).name for failure in summary["failed"]] == ["b.png"]
    assert run("downscale", inputs / "a.jpg", "--output", tmp_path / "out", *flag) == 2
    assert run("downscale", inputs / "a.jpg", "--output", tmp_path / "out", *flag, "--overwrite") == 0


def test_pictures_too_small_to_downscale(inputs, tmp_path, capsys):
    draw(inputs / "a.png", 3)
    assert run("downscale", inputs, "--output", tmp_path / "out", "--size", 4) == 1
    assert "the picture is 3x3, too small for --size 4" in capsys.readouterr().err
    assert run("downscale", inputs, "--output", tmp_path / "out", "--factor", 3) == 1
    assert "3x3 is too small to be downscaled by 3" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_sample(fake, tmp_path, capsys):
    assert run("sample", "--output", tmp_path / "out", "--count", 3, "--seed", 5) == 0
    assert listing(tmp_path / "out") == [*(f"sample_000{i}.png" for i in (1, 2, 3)), "sheet.png", "summary.json"]
    first = read_image(tmp_path / "out" / "sample_0001.png").pixels
    assert run("sample", "--output", tmp_path / "one", "--count", 1, "--seed", 5) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "one" / "sample_0001.png").pixels, first)
    assert "3 pictures; look at" in capsys.readouterr().out
    assert run("sample", "--output", tmp_path / "none", "--truncation", 0.5) == 2
    assert "this generator knows no average" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_solutions_of_another_generator_are_told(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    run("upsample", inputs, "--output", tmp_path / "out", "--restarts", 2)
    (tmp_path / "package" / "data" / "heads64" / "config.json").write_text("{ }")
    file = tmp_path / "out" / "a" / "solutions.npz"
    assert run("sample", "--output", tmp_path / "again", "--latents", file) == 0
    screen = capsys.readouterr()
    assert "made with another generator" in screen.err
    # The fake engine's pictures are not what its latents would give.
    assert "different, by up to" in screen.out
    assert run("upsample", inputs, "--output", tmp_path / "next", "--restarts", 2, "--init", file) == 0
    assert "made with another generator" in capsys.readouterr().err


def test_info(capsys, monkeypatch):
    arrays = jax.tree.leaves(generators.open_generator(None).params)
    monkeypatch.setattr("pulse_jax.generators.folder._read", None)  # no array is loaded
    assert run("info") == 0
    out = capsys.readouterr().out
    for text in ("embedded", "64x64", "10 rows of 256", "2x2, 4x4, 8x8", "Gaussian fit", "model_card.md", "jaxlib"):
        assert text in out
    assert f"{sum(array.size for array in arrays):,}" in out and "cpu" in out


# --- with a real generator and the real engine ---


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder with a tiny generator and inputs that it can nearly draw, and a run on them."""
    home = tmp_path_factory.mktemp("real")
    config = StyleGAN2Config(resolution=8, latent_dim=8, mapping_layers=1, channels=(8, 8))
    key = jax.random.key(0)
    noise = tuple(jnp.zeros((1, *shape)) for shape in config.noise_shapes)
    w = jnp.zeros((1, config.num_layers, 8))
    generator = Generator(
        config=config,
        params={
            "mapping": stylegan2.Mapping(config).init(key, jnp.zeros((1, 8)))["params"],
            "synthesis": stylegan2.Synthesis(config).init(key, w, noise)["params"],
        },
        w_avg=jnp.zeros(8),
        gaussian_fit=GaussianFit(jnp.zeros(8), jnp.ones(8)),
    )
    generator.save(home / "generator")
    for i, level in enumerate((0.4, 0.6)):
        save_png(home / f"head_{i}.png", np.full((4, 4, 3), level))
    words = ["--generator", home / "generator", "--lanes", 2, "--steps", 60, "--eps", 0.03]
    assert run("upsample", home, "--output", home.parent / "run", *words) == 0
    return home, home.parent / "run"


def test_a_real_run_verifies(real):
    _, out = real
    summary = summary_of(out)
    assert summary["solutions"] == 8 and summary["feasible"] > 0
    assert summary["generator"]["architecture"]["family"] == "stylegan2"
    assert all(not check.fault for of_input in verify(out) for check in of_input)


def test_the_command_in_the_summary_makes_a_solution_again(real, tmp_path, monkeypatch):
    _, out = real
    monkeypatch.chdir(tmp_path)
    wanted = next(s for s in summary_of(out)["inputs"][1]["solutions"] if s["restart"] == 2)
    assert main(shlex.split(wanted["command"])[1:]) == 0
    (entry,) = summary_of(tmp_path / "again")["inputs"]
    found = next(solution for solution in entry["solutions"] if solution["restart"] == 2)
    for name in ("loss", "downscaling_error", "search_error", "steps", "status", "feasible"):
        assert found[name] == wanted[name]
    assert (tmp_path / "again" / found["image"]).read_bytes() == (out / wanted["image"]).read_bytes()


def test_a_real_solution_is_drawn_again_and_gone_on_from(real, tmp_path, capsys):
    home, out = real
    words = ["--generator", home / "generator"]
    file = out / "head_0" / "solutions.npz"
    assert run("sample", "--output", tmp_path / "again", "--latents", file, *words) == 0
    said = capsys.readouterr().out
    assert "exactly the same" in said or "the same within 1 of 255 levels" in said
    words += ["--lanes", 2, "--steps", 60, "--eps", 0.03, "--init", file]
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "next", *words) == 0
    earlier, later = (summary_of(path)["inputs"][0]["solutions"] for path in (out, tmp_path / "next"))
    started_feasible = sum(solution["feasible"] for solution in earlier)
    assert [solution["steps"] for solution in later].count(1) >= started_feasible


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: next(f for f in (folder / "params").rglob("*") if f.is_file()).write_bytes(b"x"), "damaged"),
        (lambda folder: (folder / "config.json").write_text("{"), "not valid JSON"),
    ],
    ids=["foreign", "damaged", "no json"],
)
def test_a_generator_that_cannot_be_used(real, tmp_path, capsys, damage, text):
    home, _ = real
    shutil.copytree(home / "generator", tmp_path / "generator")
    damage(tmp_path / "generator")
    for words in (["upsample", home / "head_0.png", "--output", tmp_path / "out"], ["info"]):
        assert run(*words, "--generator", tmp_path / "generator") == 1
        err = capsys.readouterr().err
        assert text in err and str(tmp_path / "generator") in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nan_weights_are_refused(real, tmp_path, capsys):
    home, _ = real
    generator = Generator.load(home / "generator")
    spoiled = replace(generator, params=jax.tree.map(lambda a: a * jnp.nan, generator.params))
    spoiled.save(tmp_path / "nan")
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "out", "--generator", tmp_path / "nan") == 1
    assert "NaN" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_generator_without_a_gaussian_fit_says_how_to_add_it(real, tmp_path, capsys):
    home, out = real
    folder = tmp_path / "bare"
    replace(Generator.load(home / "generator"), gaussian_fit=None).save(folder)
    again = ["sample", "--latents", out / "head_0" / "solutions.npz"]
    for words in (["upsample", home / "head_0.png"], again):
        capsys.readouterr()
        assert run(*words, "--output", tmp_path / "out", "--generator", folder) == 1
        assert capsys.readouterr().err == (
            f"pulse-jax: {folder}: the search needs this generator's gaussian_fit; "
            f"pulse-jax fit-prior {folder} --kind gaussian makes it\n"
        )
    assert not (tmp_path / "out").exists()
