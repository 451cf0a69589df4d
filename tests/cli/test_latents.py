"""`latents`, and the files that it writes as `sample --latents` and `upsample --init` take them."""

import numpy as np
import pytest

from pulse_jax.images.files import read_image
from tests.cli.fake_engine import DIM, LAYERS, NOISE, draw, listing, run, summary_of

FILES = {
    "ada": ["projected_w.npz", "projected_w_02.npz"],
    "npy": ["w.npy"],
    "rosinality": ["projected.pt"],
}


@pytest.fixture
def done(fake, inputs, tmp_path, capsys):
    """A finished run of two inputs, two solutions each."""
    for name in ("a", "b"):
        draw(inputs / f"{name}.png", seed=ord(name))
    assert run("upsample", inputs, "--output", tmp_path / "run", "--restarts", 2) == 0
    capsys.readouterr()
    return tmp_path / "run"


@pytest.mark.parametrize("kind", FILES)
def test_every_inputs_files_are_written(done, tmp_path, capsys, kind):
    assert run("latents", done, "--output", tmp_path / "w", "--format", kind) == 0
    assert listing(tmp_path / "w") == sorted([*(f"{i}/{file}" for i in "ab" for file in FILES[kind]), "summary.json"])
    assert "w of 4 solutions of 2 inputs in" in capsys.readouterr().out
    summary = summary_of(tmp_path / "w")
    assert (summary["kind"], summary["solutions"], summary["run"]) == (kind, 4, str(done))
    # Once more: what is there is not replaced unless that is asked for, and then it is.
    assert run("latents", done, "--output", tmp_path / "w", "--format", kind) == 2
    assert run("latents", done, "--output", tmp_path / "w", "--format", "npy", "--overwrite") == 0
    assert listing(tmp_path / "w") == ["a/w.npy", "b/w.npy", "summary.json"]


def test_the_latents_are_the_solutions_best_first(done, tmp_path):
    with np.load(done / "a" / "solutions.npz") as stored:
        w, restarts = stored["w"], stored["restart"]
    # The engine's w tells the restart; the second was better.
    assert restarts.tolist() == [1, 0]
    np.testing.assert_array_equal(w, np.broadcast_to(2.0 * restarts[:, None, None], (2, LAYERS, DIM)))
    assert run("latents", done / "a" / "solutions.npz", "--output", tmp_path / "w") == 0
    assert listing(tmp_path / "w") == [*(f"a/{file}" for file in FILES["ada"]), "summary.json"]
    for k, file in enumerate(FILES["ada"]):
        with np.load(tmp_path / "w" / "a" / file) as stored:
            np.testing.assert_array_equal(stored["w"], w[k : k + 1])
            assert [stored[f"noise_{i:02}"].shape for i in range(len(NOISE))] == [(1, *shape) for shape in NOISE]


def _npz(path, **changes):
    with np.load(path) as stored:
        arrays = dict(stored) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def test_what_has_no_such_form_is_told(done, tmp_path, capsys):
    file = done / "b" / "solutions.npz"
    content = file.read_bytes()
    _npz(file, w=None)
    assert run("latents", done, "--output", tmp_path / "w") == 1
    assert "b/solutions.npz: holds no w, an earlier version wrote it; make the run again" in capsys.readouterr().err
    file.write_bytes(content)
    _npz(file, config=np.array(str(np.load(file)["config"]).replace('"w+"', '"w++"').replace('"surrogate"', '"tiled"')))
    assert run("latents", done, "--output", tmp_path / "w") == 1
    assert "has a w for every filter of the generator (W++), which ada has no place for" in capsys.readouterr().err
    assert run("latents", done, "--output", tmp_path / "w", "--format", "npy") == 0
    capsys.readouterr()
    file.write_bytes(content[:100])
    for words, text in (
        ([done, "--output", tmp_path / "v"], "b/solutions.npz: not a solutions.npz"),
        ([tmp_path / "w", "--output", tmp_path / "v"], "holds no solutions.npz; name the folder of a finished"),
        ([tmp_path / "none", "--output", tmp_path / "v"], "no such file"),
        ([done, "--output", done], "lies inside the output folder"),
    ):
        assert run("latents", *words) in (1, 2)
        err = capsys.readouterr().err
        assert text in err and err.count("\n") == 1
    assert not (tmp_path / "v").exists()


def test_offsets_inside_the_generator_are_told(done, tmp_path, capsys):
    _npz(done / "a" / "solutions.npz", offset_01=np.zeros((2, 8, 8, 3), np.float32))
    assert run("latents", done, "--output", tmp_path / "w") == 0
    assert "w alone makes other pictures" in capsys.readouterr().err


def test_an_interpolation_has_none(real, tmp_path, capsys):
    home, _ = real
    words = ["--generator", home / "generator", "--preset", "nearest"]
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "run", *words) == 0
    assert run("latents", tmp_path / "run", "--output", tmp_path / "w") == 1
    assert "its pictures are interpolated and have no latents" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["ada", "rosinality"])
def test_they_are_drawn_again_to_the_same_pictures(real, tmp_path, capsys, kind):
    home, out = real
    words = ["--generator", home / "generator"]
    assert run("latents", out / "head_0" / "solutions.npz", "--output", tmp_path / "w", "--format", kind) == 0
    file = tmp_path / "w" / "head_0" / FILES[kind][0]
    assert run("sample", "--output", tmp_path / "again", "--latents", file, *words) == 0
    assert "noise" not in capsys.readouterr().err
    found = sorted((tmp_path / "again").glob("sample_*.png"))
    assert len(found) == (1 if kind == "ada" else 4)
    for k, path in enumerate(found, 1):
        earlier = read_image(out / "head_0" / f"solution_{k:02}.png").pixels
        # Rounded twice, half a level may have become one.
        np.testing.assert_allclose(read_image(path).pixels, earlier, atol=1.01 / 255)


def test_noise_that_is_not_stored_is_drawn_again_from_the_keys(real, tmp_path, capsys):
    home, out = real
    words = ["--generator", home / "generator"]
    lean = tmp_path / "solutions.npz"
    lean.write_bytes((out / "head_0" / "solutions.npz").read_bytes())
    with np.load(lean) as stored:
        names = [name for name in stored if name.startswith("noise_")]
    assert names
    _npz(lean, **dict.fromkeys(names))
    found = {}
    for name, path in (("whole", out / "head_0" / "solutions.npz"), ("lean", lean)):
        assert run("sample", "--output", tmp_path / name, "--latents", path, *words) == 0
        found[name] = [file.read_bytes() for file in sorted((tmp_path / name).glob("sample_*.png"))]
    assert found["lean"] == found["whole"] and len(found["lean"]) == 4
    words += ["--steps", 60, "--eps", 0.03, "--restarts", 1, "--preset", "pulse", "--init", lean]
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "next", *words) == 0
    assert summary_of(tmp_path / "next")["inputs"][0]["solutions"][0]["steps"] == 1


def test_without_noise_it_is_drawn_and_told(real, tmp_path, capsys):
    home, out = real
    words = ["--generator", home / "generator"]
    assert run("latents", out / "head_0" / "solutions.npz", "--output", tmp_path / "w", "--format", "npy") == 0
    assert "with --format ada it is" in capsys.readouterr().err
    for folder in ("one", "two"):
        assert run("sample", "--output", tmp_path / folder, "--latents", tmp_path / "w/head_0/w.npy", *words) == 0
        assert "w.npy: holds no noise; it is drawn at random, the same for all pictures" in capsys.readouterr().err
    for path in (tmp_path / "one").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_search_goes_on_from_them(real, tmp_path):
    """The search's rows lie on spheres and w's came from them: it starts where the other ended."""
    home, out = real
    words = ["--generator", home / "generator", "--steps", 60, "--eps", 0.03, "--restarts", 1]
    assert run("latents", out / "head_0" / "solutions.npz", "--output", tmp_path / "w") == 0
    words += ["--init", tmp_path / "w" / "head_0" / "projected_w.npz"]
    assert run("upsample", home / "head_0.png", "--output", tmp_path / "next", *words) == 0
    earlier, later = (summary_of(path)["inputs"][0]["solutions"][0] for path in (out, tmp_path / "next"))
    assert earlier["feasible"] and earlier["steps"] > 1 and later["steps"] == 1
    np.testing.assert_allclose(later["downscaling_error"], earlier["downscaling_error"], rtol=1e-2)


@pytest.mark.parametrize(
    ("array", "words", "text", "code"),
    [
        (np.zeros((2, LAYERS, DIM)), ["--restarts", 3], "w.npy: holds 2 solutions to start from, expected one for", 2),
        (np.zeros((1, LAYERS, DIM + 1)), [], f"are {LAYERS} x {DIM + 1}, this generator takes {LAYERS} x {DIM}", 1),
        (np.zeros((1, LAYERS + 1, DIM)), [], "name the generator that they are for", 1),
        (np.zeros((1, LAYERS, DIM)), ["--preset", "csgm"], "from which no way leads back to z", 2),
        (np.full((1, LAYERS, DIM), np.inf), [], "holds NaN or infinite latents", 1),
    ],
    ids=["few", "wide", "layers", "z", "inf"],
)
def test_what_cannot_be_started_from_is_told(fake, inputs, tmp_path, capsys, array, words, text, code):
    draw(inputs / "a.png")
    np.save(tmp_path / "w.npy", array)
    words = words if "--restarts" in words else [*words, "--restarts", 1]
    assert run("upsample", inputs, "--output", tmp_path / "out", "--init", tmp_path / "w.npy", *words) == code
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_given_noise_must_be_the_generators(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png")
    noise = {f"noise_{i:02}": np.zeros((1, *shape), np.float32) for i, shape in enumerate(NOISE)}
    np.savez(tmp_path / "w.npz", w=np.ones((1, LAYERS, DIM), np.float32), **noise)
    words = ["upsample", inputs, "--restarts", 1, "--init", tmp_path / "w.npz", "--output"]
    assert run(*words, tmp_path / "out") == 0
    (problem,) = fake.calls[-1]
    assert [n.shape for n in problem.start.noise] == [(1, *shape) for shape in NOISE]
    np.savez(tmp_path / "w.npz", w=np.ones((1, LAYERS, DIM), np.float32), noise_00=noise["noise_00"])
    capsys.readouterr()
    assert run(*words, tmp_path / "next") == 1
    assert "its noise does not suit this generator" in capsys.readouterr().err
