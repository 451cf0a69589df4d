"""The comparison of presets: its inputs, what is kept, the numbers, and a run that is stopped and goes on."""

import dataclasses
import html.parser
import json
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from examples.benchmarks import compare_presets, comparison_inputs, comparison_report
from examples.benchmarks.comparison_inputs import input_sets, motion_blurred
from pulse_jax.engine.progress import Progress
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.reports import metrics
from pulse_jax.search import presets
from pulse_jax.search.problems import Solution, Status

# --- inputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle, moved", [(0.0, (0, 1)), (np.pi / 2, (1, 0)), (np.pi / 4, (1, 1))])
def test_a_moved_point_is_a_line_of_the_same_sum(angle, moved):
    image = np.zeros((21, 21, 3))
    image[10, 10] = 1
    blurred = motion_blurred(image, 5, angle)
    assert blurred.sum() == pytest.approx(3)
    ys, xs, _ = np.nonzero(blurred)
    # A diagonal of five pixels reaches 1.4 = 2 / sqrt 2 pixels along each axis.
    reach = 1 if all(moved) else 2
    assert (ys.max() - 10, xs.max() - 10) == (reach * moved[0], reach * moved[1])
    assert {(y - 10) * moved[1] == (x - 10) * moved[0] for y, x in zip(ys, xs, strict=True)} == {True}


def test_motion_leaves_one_colour_as_it_is_up_to_the_border():
    flat = np.full((8, 8, 3), 0.3)
    np.testing.assert_allclose(motion_blurred(flat, 15, 1.0), flat, atol=1e-12)


@pytest.fixture(scope="module")
def sets():
    return {inputs.name: inputs for inputs in input_sets("tune", None)}


def test_the_sets_are_renders_in_two_sizes_and_fifty_others(sets):
    assert {name: (len(inputs), inputs.low_res.shape[1]) for name, inputs in sets.items()} == {
        "8x": (50, 8),
        "16x": (50, 4),
        "unusual": (30, 8),
        "blurred": (10, 8),
        "noisy": (10, 8),
    }
    for inputs in sets.values():
        assert inputs.truths.shape[1:] == (64, 64, 3) and len(inputs.notes) == len(inputs.names) == len(inputs.truths)
        np.testing.assert_allclose(inputs.low_res * 255, np.rint(inputs.low_res * 255), atol=1e-4)
    assert set(sets["unusual"].notes) == {"coloured hair", "turned", "tilted", "lit from below", "coloured light"}


def test_reduced_renders_are_their_truths_reduced_and_degraded_ones_are_not(sets):
    errors = {name: metrics.downscaling_error(inputs.truths, inputs.low_res) for name, inputs in sets.items()}
    # Rounding to 8 bits is an error of (1/255)² / 12; what goes beyond white is clipped as well.
    for name in ("8x", "16x", "unusual"):
        assert np.median(errors[name]) == pytest.approx(1 / 255**2 / 12, rel=0.25) and errors[name].max() < 2e-4
    assert np.median(errors["noisy"]) == pytest.approx(0.05**2, rel=0.25)
    assert errors["blurred"].min() > 2e-4
    assert sets["noisy"].names == sets["8x"].names[:10]


def test_fewer_inputs_are_taken_from_first_to_last(sets):
    few = sets["unusual"].some(5)
    assert few.names[0] == sets["unusual"].names[0] and few.names[-1] == sets["unusual"].names[-1]
    assert len(set(few.notes)) == 5 and len(few.low_res) == len(few.truths) == 5
    assert sets["8x"].some(99) is sets["8x"]


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_a_ledger_goes_on_drops_a_torn_line_and_refuses_other_settings(tmp_path):
    path = tmp_path / "pulse.jsonl"
    ledger = compare_presets.Ledger(path, {"steps": (1, 2)})
    ledger.add({"set": "8x", "input": "a", "psnr": 1.5})
    with open(path, "ab") as file:
        file.write(b'{"set": "8x", "inp')
    again = compare_presets.Ledger(path, {"steps": (1, 2)})
    assert again.records == {("8x", "a"): {"set": "8x", "input": "a", "psnr": 1.5}}
    again.add({"set": "8x", "input": "b"})
    assert [json.loads(line) for line in path.read_text().splitlines()][1:] == list(again.records.values())
    with pytest.raises(SystemExit, match=r"other settings \(steps was .*choose another --output"):
        compare_presets.Ledger(path, {"steps": (1, 3)})


def test_a_preset_has_the_common_eps_and_no_more_steps_than_asked_for():
    options = compare_presets.Options(eps=5e-3, steps=30)
    assert compare_presets.configuration("pulse", options) == presets.pulse(eps=5e-3, steps=30)
    assert compare_presets.configuration("bicubic", options) == presets.bicubic(eps=5e-3)
    many = dataclasses.replace(options, steps=10**6)
    assert compare_presets.configuration("pulse_2020", many) == presets.pulse_2020(eps=5e-3)


# --- numbers --------------------------------------------------------------------------------------------------------


def _solution(latent: np.ndarray, **fields: Any) -> Solution:
    settings = {"index": 0, "restart": 0, "loss": 0.0, "downscaling_error": 1e-4, "search_error": 1e-4} | fields
    image = np.zeros((64, 64, 3), np.float32)
    settings = {"image": image, "downscaled": image[:8, :8], "status": Status.FEASIBLE, "feasible": True} | settings
    unseen = {"w": latent, "noise": (), "key": np.zeros(2, np.uint32)}
    return Solution(**{"steps": 5, "latent": latent} | unseen | settings)


def _identity_generator(**fields: Any) -> Generator:
    return Generator.from_function(
        lambda params, w, noise: jax.numpy.zeros((64, 64, 3)), {}, resolution=64, latent_dim=4, num_layers=3, **fields
    )


def test_norms_are_of_whitened_w_whatever_space_was_searched():
    fit = GaussianFit(jax.numpy.ones(4), 2 * jax.numpy.ones(4))
    generator = _identity_generator(gaussian_fit=fit)
    whitened = np.array([[1.0, 1, 1, 1], [3, 3, 3, 3], [0, 0, 0, 0]], np.float32)
    found = compare_presets.latent_norms(generator, presets.pulse(), [_solution(whitened)])["whitened"]
    # Norms 2, 6 and 0 around √4 = 2; beyond 2.12 lies the second alone.
    assert (found["count"], found["least"], found["greatest"]) == (3, 0, pytest.approx(3))
    assert found["far"] == pytest.approx(1 / 3)
    plain = presets.pulse(coordinates="plain", space="w")
    found = compare_presets.latent_norms(generator, plain, [_solution(np.full((1, 4), 5.0, np.float32))] * 2)[
        "whitened"
    ]
    assert found["count"] == 2 and found["mean"] == pytest.approx(2)
    # z is w here: a leaky ReLU's positive side, then (w - 1) / 2.
    z = np.array([[5.0, 5, 5, 5]], np.float32)
    found = compare_presets.latent_norms(generator, presets.pulse(space="z"), [_solution(z)])["whitened"]
    assert found["count"] == 1 and found["mean"] == pytest.approx(2)
    assert compare_presets.latent_norms(_identity_generator(), presets.pulse(space="z"), [_solution(z)]) == {}
    assert compare_presets.latent_norms(generator, presets.bicubic(), [_solution(np.zeros((0, 4)))]) == {}


def test_a_step_of_all_lanes_costs_what_is_left_without_compilation():
    first = Progress(done=1, feasible=1, steps=10, lane_steps=80, seconds=7.0, compile_seconds=2.0, idle_seconds=0.0)
    assert compare_presets.step_seconds([first], lanes=8) == 0.5
    assert compare_presets.step_seconds([], lanes=8) is None
    assert compare_presets.step_seconds([dataclasses.replace(first, lane_steps=0)], lanes=8) is None
    # The second chunk was held up by something else.
    second = dataclasses.replace(first, lane_steps=160, seconds=107.0)
    third = dataclasses.replace(first, lane_steps=240, seconds=113.0)
    assert compare_presets.step_seconds([first, second, third], lanes=8) == pytest.approx(0.6)


def test_numbers_are_shares_medians_and_means():
    def record(searches, **fields):
        named = [
            {"feasible": at is not None, "feasible_at": at or 0, "steps": steps, "error": 0.0} for at, steps in searches
        ]
        return {"searches": named, "step_seconds": 0.5, "ssim": 0.5, "diversity": {}, "norms": {}} | fields

    found = [
        record([(10, 10), (None, 99)], psnr=20.0, diversity={"made": 0.1}),
        # The first of them was found feasible by the judge alone.
        record([(0, 40), (30, 99)], psnr=24.0, step_seconds=None, diversity={"made": 0.3, "feasible": 0.2}),
        record([(None, 99), (None, 99)], psnr=None, norms={"whitened": {"count": 1, "mean": 1.0, "far": 0.0}}),
        record([(None, 99)], psnr=25.0, norms={"whitened": {"count": 3, "mean": 2.0, "far": 1.0}}),
    ]
    pictures = np.random.default_rng(0).random((4, 32, 32, 3))
    row = comparison_report.numbers(found, pictures, pictures)
    assert (row["inputs"], row["feasible"]) == (4, 0.5)
    # Of 10 and 40 looks; only the first of these was timed.
    assert (row["evaluations"], row["seconds"], row["psnr"], row["swd"]) == (25, 5.0, 23.0, 0)
    assert row["steps"] == pytest.approx((10 + 40 + 2 * 99) / 4)
    assert (row["diversity_made"], row["diversity_made_inputs"]) == (pytest.approx(0.2), 2)
    assert (row["diversity_feasible"], row["diversity_feasible_inputs"]) == (0.2, 1)
    assert (row["whitened_norm"], row["whitened_far"], row["flow_far"]) == (1.75, 0.75, None)


# --- a whole comparison ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generator():
    """Pictures of 64×64 that are linear in six numbers."""
    basis = np.random.default_rng(5).normal(size=(6, 8, 8, 3)).astype(np.float32).repeat(8, 1).repeat(8, 2) / 20
    return Generator.from_function(
        lambda basis, w, noise: 0.5 + jax.numpy.tensordot(w[0], basis, axes=1),
        basis,
        resolution=64,
        latent_dim=6,
        gaussian_fit=GaussianFit(jax.numpy.zeros(6), jax.numpy.ones(6)),
    )


class _Pictures(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.sources.append(dict(attrs)["src"] or "")


@pytest.mark.slow
def test_a_stopped_comparison_goes_on_and_shows_every_preset(generator, tmp_path, monkeypatch, capsys):
    options = compare_presets.Options(
        output=tmp_path / "out", presets="pulse, nearest", inputs=2, restarts=4, steps=2, shown=1, eps=0.02
    )
    # It takes long, and has tests of its own.
    monkeypatch.setattr(metrics, "patch_distances", lambda ours, others: [float(np.mean(np.abs(ours - others)))])
    whole, real = [], compare_presets.solve_stream

    def counted(problems, *others, **settings):
        whole.append(len(problems))
        return real(problems, *others, **settings)

    def stopped(problems, *others, **settings):
        # One input has all its solutions, and another not, when the process ends.
        for done, solution in enumerate(counted(problems, *others, **settings), 1):
            yield solution
            if done == 6:
                raise KeyboardInterrupt

    monkeypatch.setattr(compare_presets, "solve_stream", stopped)
    with pytest.raises(KeyboardInterrupt):
        compare_presets.compare(options, generator)
    assert whole == [2]
    monkeypatch.setattr(compare_presets, "solve_stream", counted)
    whole.clear()
    compared = compare_presets.compare(options, generator)
    # Of the first set one input was left; then four more sets of pulse, and five of nearest.
    assert whole == [1] + [2] * 9
    whole.clear()
    assert compare_presets.compare(options, generator) == compared and not whole

    out = options.output
    assert json.loads((out / "compared.json").read_text()) == compared
    assert list(compared["sets"]) == ["8x", "unusual", "blurred", "noisy", "16x"]
    for name, inputs in compared["sets"].items():
        rows = inputs["rows"]
        assert list(rows) == ["the truths", "pulse", "nearest"]
        assert rows["pulse"]["inputs"] == 2
        assert rows["pulse"]["diversity_made_inputs"] == (2 if name == "8x" else 0)
        assert rows["nearest"]["evaluations"] in (0, None) and rows["nearest"]["diversity_made"] is None
        assert rows["pulse"]["whitened_norm"] == pytest.approx(1, abs=1e-4)
    assert compared["settings"]["pulse"]["config"]["steps"] == 2
    # What is told of a solution is what its PNG holds.
    records = [json.loads(line) for line in (out / "nearest.jsonl").read_text().splitlines()[1:]]
    inputs = next(one for one in input_sets("tune", 2) if one.name == "blurred")
    for record in (record for record in records if record["set"] == "blurred"):
        i = list(inputs.names).index(record["input"])
        picture = np.asarray(Image.open(out / "nearest" / "blurred" / f"{record['input']}.png")) / 255
        assert record["psnr"] == pytest.approx(float(metrics.psnr(picture, inputs.truths[i])), abs=1e-4)
        error = float(metrics.downscaling_error(picture, inputs.low_res[i]))
        assert record["searches"][0]["error"] == pytest.approx(error, rel=1e-4)

    page = _Pictures()
    page.feed((out / "index.html").read_text())
    assert len(page.sources) == 5 * 2 * (2 + 2) and all((out / source).is_file() for source in page.sources)
    with Image.open(out / "compared.png") as sheet:
        assert sheet.width > 5 * 192
    assert (out / "compared.md").read_text().count("| pulse |") == 5
    assert "Look at" in capsys.readouterr().out


def test_a_preset_that_cannot_be_served_is_told_and_the_others_go_on(generator, tmp_path, capsys):
    bare = dataclasses.replace(generator, gaussian_fit=None)
    options = compare_presets.Options(output=tmp_path / "out", presets="pulse,nearest", inputs=1, restarts=1)
    compared = compare_presets.compare(options, bare)
    assert list(compared["sets"]["8x"]["rows"]) == ["the truths", "nearest"]
    assert "pulse: left out (the search needs this generator's gaussian_fit" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(generator, tmp_path):
    options = compare_presets.Options(output=tmp_path / "out", presets="pulse,plus")
    with pytest.raises(SystemExit, match=r"expected some of fast, pulse, .*got plus$"):
        compare_presets.compare(options, generator)
    with pytest.raises(FileNotFoundError, match="expected PNGs"):
        comparison_inputs.read_pictures(tmp_path)
