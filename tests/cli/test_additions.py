"""`upsample` with more than the best: solutions that differ, variations, animations."""

import weakref

import numpy as np
import pytest
from PIL import Image

from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.solution_files import KeptSolution
from tests.cli.fake_engine import RESOLUTION, draw, listing, run, summary_of


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


@pytest.mark.slow
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
