"""Plain enlargements: their kernels restated, and judged, streamed, written and resumed as searches are."""

import json
import resource

import numpy as np
import pytest

import pulse_jax
from pulse_jax.cli import main
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image, save_png
from pulse_jax.runs import writer
from pulse_jax.search import interpolation, presets
from pulse_jax.search.config import InterpolationConfig, UpsamplingConfig
from pulse_jax.search.interpolation import enlarge
from pulse_jax.search.presets import INTERPOLATIONS
from pulse_jax.search.problems import Problem, Start, Status
from pulse_jax.system.folder_process import FolderProcess
from tests.cli.test_kills import assert_same_results
from tests.tiny_networks import tiny_generator

SIDE = 16


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-16", fits=False)


def _smooth(*seed: int, side: int = 4) -> np.ndarray:
    """An input that varies little from pixel to pixel."""
    return (0.5 + 0.05 * np.random.default_rng(seed).standard_normal((side, side, 3))).astype(np.float32)


# --- kernels --------------------------------------------------------------------------------------------------------


def _keys(t):
    t = np.abs(t)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0))


def _lanczos(t):
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0)


def _box(t):
    return np.where((t >= -0.5) & (t < 0.5), 1, 0)


@pytest.mark.parametrize("method, kernel", [("bicubic", _keys), ("lanczos", _lanczos), ("nearest", _box)])
@pytest.mark.parametrize("side, size", [(4, 16), (5, 15), (6, 6), (8, 64)])
def test_an_enlargement_is_a_product_with_the_kernels_weights(method, kernel, side, size):
    image = np.random.default_rng(0).uniform(-0.2, 1.2, (side, side, 3)).astype(np.float32)
    places = (np.arange(size) + 0.5) * side / size - 0.5
    weights = kernel(np.arange(side) - places[:, None])
    weights = weights / weights.sum(axis=1, keepdims=True)
    expected = np.einsum("ip,jq,pqc->ijc", weights, weights, image)
    found = enlarge(image, size, method)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


# --- solutions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_solutions_have_a_searchs_shapes_and_are_judged_on_eight_bits(generator, name):
    low_res = np.stack([_smooth(0), _smooth(1), np.float32(1.5) * _smooth(2)])
    solutions = pulse_jax.upsample(generator, low_res, restarts=3, config=presets.PRESETS[name](eps=1e-4))
    assert solutions.images.shape == (3, 1, SIDE, SIDE, 3) and solutions.images.dtype == np.float32
    assert solutions.latents.shape == (3, 1, 0, generator.latent_dim) and solutions.noise == ()
    assert solutions.keys.shape == (3, 1, 2) and not solutions.keys.any()
    assert not solutions.steps.any() and not solutions.restart.any()
    for i, (image, small) in enumerate(zip(solutions.images[:, 0], low_res, strict=True)):
        levels = image.astype(np.float64) * 255
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
        exact = enlarge(small, SIDE, name)
        np.testing.assert_allclose(image, np.clip(exact, 0, 1), atol=0.5 / 255 + 1e-6)
        error = np.mean(np.square(Bicubic(4).apply_float64(np.rint(levels) / 255) - small))
        assert solutions.downscaling_error[i, 0] == pytest.approx(error, rel=1e-9)
        assert solutions.feasible[i, 0] == (error <= 1e-4)
        before = np.mean(np.square(Bicubic(4).apply_float64(exact) - small))
        assert solutions.search_error[i, 0] == solutions.loss[i, 0] == pytest.approx(before, rel=1e-6)
        np.testing.assert_allclose(solutions.downscaled[i, 0], Bicubic(4).apply_float64(levels / 255), atol=1e-6)
    assert set(solutions.status[solutions.feasible]) <= {Status.FEASIBLE}
    assert set(solutions.status[~solutions.feasible]) <= {Status.MAX_STEPS}


def test_feasible_is_what_eps_allows(generator):
    low_res = _smooth(0)
    error = float(pulse_jax.upsample(generator, low_res, config=presets.nearest()).downscaling_error.item())
    assert error > 1e-6
    for eps, feasible in ((1.01 * error, True), (0.99 * error, False)):
        assert pulse_jax.upsample(generator, low_res, config=presets.nearest(eps=eps)).feasible.item() == feasible


def test_a_stream_makes_one_solution_of_each_input_whatever_its_size_and_reports(generator):
    problems = [
        Problem(low_res=_smooth(0), index=7, restarts=4),
        Problem(low_res=_smooth(1, side=2), index=3, restarts=4, solutions=2),
        Problem(low_res=_smooth(2), index=4, ended={0: False}),
        Problem(low_res=np.full((4, 4, 3), np.nan), index=5),
        Problem(low_res=_smooth(2), index=6, ended={1: True}),
    ]
    reports = []
    stream = pulse_jax.solve_stream(problems, generator, config=presets.bicubic(), on_chunk=reports.append)
    solutions = {solution.index: solution for solution in stream}
    assert list(solutions) == [7, 3, 5, 6]
    assert [(report.done, report.steps) for report in reports] == [(1, 0), (2, 0), (3, 0), (4, 0)]
    assert reports[-1].feasible == sum(solution.feasible for solution in solutions.values())
    lost = solutions[5]
    assert (lost.status, lost.feasible, lost.loss) == (Status.NONFINITE, False, np.inf) and not lost.image.any()


def test_pictures_may_be_smaller_than_the_generators(generator):
    solutions = pulse_jax.upsample(generator, _smooth(0), config=presets.lanczos(output_size=8))
    assert solutions.images.shape == (1, 1, 8, 8, 3)
    with pytest.raises(ValueError, match="output_size: expected 16 or a part"):
        pulse_jax.upsample(generator, _smooth(0), config=presets.lanczos(output_size=5))


def test_what_cannot_be_enlarged_is_refused(generator):
    with pytest.raises(ValueError, match="low_res: expected a side of"):
        pulse_jax.upsample(generator, _smooth(0, side=5), config=presets.bicubic())
    start = Start(np.zeros((1, 1, generator.latent_dim)))
    problem = Problem(low_res=_smooth(0), start=start)
    with pytest.raises(ValueError, match="start: expected none"):
        next(pulse_jax.solve_stream([problem], generator, config=presets.bicubic()))


# --- settings -------------------------------------------------------------------------------------------------------


def test_the_presets_are_one_setting_each_and_steps_change_nothing(generator):
    for name in INTERPOLATIONS:
        assert presets.PRESETS[name](eps=2e-3) == InterpolationConfig(method=name, eps=2e-3)
    one, other = (pulse_jax.upsample(generator, _smooth(0), config=presets.bicubic(steps=n)) for n in (1, 500))
    np.testing.assert_array_equal(one.images, other.images)
    assert one.steps == other.steps == 0


@pytest.mark.parametrize("settings", [{"eps": 0.0}, {"steps": 0}, {"output_size": 0}])
def test_impossible_settings_are_named_as_a_searchs_are(unchecked, settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        presets.bicubic(**settings)
    with pytest.raises(ValueError, match="method: expected one of bicubic, lanczos, nearest, got 'cubic'"):
        InterpolationConfig(method="cubic")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", presets.PRESETS)
def test_searches_and_interpolations_answer_the_same_questions(name):
    assert isinstance(presets.PRESETS[name](), UpsamplingConfig)


def test_what_is_no_kind_of_settings_is_refused(unchecked, generator):
    for given in (3, presets.bicubic):
        with pytest.raises(TypeError, match=r"^config: expected a SearchConfig or an InterpolationConfig, got "):
            pulse_jax.upsample(generator, _smooth(0), config=given)


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(tmp_path_factory, generator):
    """A generator's folder, whose missing Gaussian fit does not matter, and three inputs, one of them strange."""
    work = tmp_path_factory.mktemp("interpolation")
    generator.save(work / "generator")
    for number in range(3):
        (work / "in").mkdir(exist_ok=True)
        save_png(work / "in" / f"{number}.png", _smooth(number, side=2 if number == 2 else 4))
    save_png(work / "in" / "1.png", np.random.default_rng(0).uniform(size=(4, 4, 3)))
    return work


def _run(work, output, *more):
    words = ["upsample", work / "in", "--generator", work / "generator", "--preset", "bicubic", "--output", output]
    return main([str(word) for word in (*words, *more)])


def test_the_command_writes_what_a_search_would(work, capsys):
    out = work / "out"
    assert _run(work, out) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["config"] == {"method": "bicubic", "eps": 1e-3, "steps": 1, "output_size": None, "exact": False}
    assert (summary["preset"], summary["restarts"], summary["solutions"]) == ("bicubic", 1, 3)
    assert summary["finished"] and (out / "sheet.png").exists()
    for entry in summary["inputs"]:
        (solution,) = entry["solutions"]
        image, low_res = (read_image(out / path).pixels for path in (solution["image"], entry["solved"]))
        error = np.mean(np.square(Bicubic(SIDE // len(low_res)).apply_float64(image) - low_res))
        assert solution["downscaling_error"] == pytest.approx(error, rel=1e-5)
        assert solution["feasible"] == (error <= 1e-3) and solution["steps"] == 0
    assert sum(entry["solutions"][0]["feasible"] for entry in summary["inputs"]) == summary["feasible"] == 2
    told = capsys.readouterr().out
    assert "2 of 3 solutions are feasible" in told and "Not feasible, with their lowest errors: 1.png (" in told
    assert "restarts" not in told
    # What made a solution makes it again.
    words = [*summary["inputs"][0]["solutions"][0]["command"].split()[1:], "--overwrite"]
    words[words.index("again")] = str(work / "again")
    assert main(words) == 0
    folder = summary["inputs"][0]["solutions"][0]["image"].split("/")[0]
    assert (work / "again" / "input" / "solution_01.png").read_bytes() == (
        out / folder / "solution_01.png"
    ).read_bytes()


def test_no_latents_are_found_in_its_solutions(work, capsys):
    if not (work / "out").exists():
        _run(work, work / "out")
    words = ["sample", "--latents", work / "out/0/solutions.npz", "--generator", work / "generator"]
    assert main([str(word) for word in (*words, "--output", work / "sampled")]) == 1
    assert "interpolated and have no latents" in capsys.readouterr().err


def test_without_sheets_a_process_of_its_own_writes_the_same_files(work, monkeypatch):
    """But for what speaks of sheets; and memory, not threads, holds a folder until it is whole."""
    begun = []
    monkeypatch.setattr(writer, "FolderProcess", lambda: begun.append(FolderProcess()) or begun[-1])
    _run(work, work / "sheets")
    assert not begun
    assert _run(work, work / "plain", "--no-sheets") == 0
    assert len(begun) == 1 and begun[0]._process.returncode == 0
    for number in range(3):
        plain, sheets = (work / name / str(number) for name in ("plain", "sheets"))
        files = {path.name: path.read_bytes() for path in plain.iterdir()}
        others = {path.name: path.read_bytes() for path in sheets.iterdir() if path.name != "sheet.png"}
        one, other = (json.loads(some.pop("solutions.json")) for some in (files, others))
        assert files == others and sorted(files) == [
            "downscaled_01.png",
            "input.png",
            "solution_01.png",
            "solutions.npz",
        ]
        assert one.pop("sheet") is None and other.pop("sheet")
        for record in (one, other):
            record["solutions"][0].pop("command")
        assert one == other


def test_a_full_disk_stops_that_process_and_the_same_command_goes_on(work, monkeypatch, capsys):
    def small():
        process = FolderProcess()
        limit = (1000, 1000)  # less than an archive of numbers
        resource.prlimit(process._process.pid, resource.RLIMIT_FSIZE, limit)
        return process

    monkeypatch.setattr(writer, "FolderProcess", small)
    assert _run(work, work / "full", "--no-sheets") == 1
    assert "cannot be written to (File too large)" in capsys.readouterr().err
    assert not (work / "full").exists() or not list((work / "full").glob("[0-9]*"))
    monkeypatch.undo()
    assert _run(work, work / "full", "--no-sheets") == 0
    assert sorted(path.name for path in (work / "full").glob("[0-9]*")) == ["0", "1", "2"]


@pytest.mark.parametrize("words", [[], ["--no-sheets"]], ids=["threads", "process"])
def test_an_interrupted_run_goes_on(work, monkeypatch, capsys, words):
    whole, broken = (work / f"{name}{len(words)}" for name in ("whole", "broken"))
    _run(work, whole, *words)
    left = [enlarge]

    def interrupted(*arguments):
        if not left:
            raise KeyboardInterrupt
        return left.pop()(*arguments)

    monkeypatch.setattr(interpolation, "enlarge", interrupted)
    assert _run(work, broken, *words) == 130
    assert "The same command goes on from here" in capsys.readouterr().err
    monkeypatch.undo()
    made = []
    monkeypatch.setattr(interpolation, "enlarge", lambda *arguments: made.append(1) or enlarge(*arguments))
    assert _run(work, broken, *words) == 0
    assert len(made) == 2
    assert_same_results(broken, whole)


@pytest.mark.parametrize(
    "words",
    [
        "--restarts 2",
        "--solutions 1",
        "--noise-samples 1",
        "--save-intermediate",
        "--init x.npz",
        "--precision bfloat16",
    ],
)
def test_what_only_a_search_can_use_is_refused(work, capsys, words):
    assert _run(work, work / "refused", *words.split()) == 2
    flag = words.split()[0]
    assert f"{flag}: has no meaning with --preset bicubic" in capsys.readouterr().err
    assert not (work / "refused").exists()


def test_one_restart_and_steps_are_taken(work):
    assert _run(work, work / "taken", "--restarts", "1", "--steps", "9", "--lanes", "auto", "--eps", "0.5") == 0
