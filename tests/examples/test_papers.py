"""The papers beside what is found: their numbers as printed, and both programs from end to end at toy size."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.papers import ablations, evaluated, quoted, reproduce_pulse, reproduce_srls, solutions, variants
from pulse_jax.cli import generators, main
from pulse_jax.engine import stream
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.flow import Flow, init_blocks
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.images.files import read_image
from pulse_jax.reports import metrics, prior_quality
from tests.cli.fake_engine import DIM, LAYERS, NOISE, RESOLUTION, FakeEngine, draw, paint

# Lines of the papers' tables as they are printed.
PULSE_TABLE_1 = "HR Nearest Bicubic FSRNet FSRGAN PULSE", "3.74 1.01 1.34 2.77 2.92 3.60"
PULSE_TABLE_2 = "HR Nearest Bicubic PULSE", "3.90 12.48 7.06 2.47"
SRLS_TABLE_1 = """
    Method   FID   NIQE  PSNR  SSIM
    Bicubic  51.38 14.17 17.62 0.62
    PULSE    5.15  5.09  19.55 0.58
    BRGM     5.41  4.98  15.11 0.52
    Ours     4.18  3.93  19.23 0.57
    GT       -     3.75  ∞     1
"""


def test_numbers_are_the_papers():
    for (names, numbers), table in ((PULSE_TABLE_1, quoted.PULSE_OPINIONS), (PULSE_TABLE_2, quoted.PULSE_NIQE)):
        assert dict(zip(names.split(), map(float, numbers.split()), strict=True)) == table
    head, *lines = [line.split() for line in SRLS_TABLE_1.strip().splitlines()]
    for method, *printed in lines:
        numbers = {
            name: float(cell) for name, cell in zip(head[1:], printed, strict=True) if cell not in ("-", "∞", "1")
        }
        assert quoted.SRLS_TABLE[method] == numbers
    assert len(quoted.SRLS_TABLE) == len(lines)
    # 40 inputs of each of six methods; one rater sees them all.
    assert quoted.PULSE_STUDY["pictures"] == 6 * 40


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A generator and an engine that cost nothing, few samples for histograms, and two pictures."""
    blocks = init_blocks(jax.random.key(0), 1, 4, DIM)
    generator = Generator.from_function(
        paint,
        {},
        resolution=RESOLUTION,
        latent_dim=DIM,
        num_layers=LAYERS,
        noise_shapes=NOISE,
        gaussian_fit=GaussianFit(jnp.zeros(DIM), jnp.ones(DIM)),
    )
    flow = Flow(jnp.zeros(DIM), jnp.ones(DIM), None, blocks, jnp.ones((1, DIM)), jnp.zeros((1, DIM)))
    generator = dataclasses.replace(generator, flow=flow, w_avg=jnp.zeros(DIM), w_std=jnp.float32(1))
    engine = FakeEngine()

    def solve(problems, generator, *, config):
        settings = dict.fromkeys(("strict", "other_device", "checkpoint_dir", "on_compiling"))
        return engine.solve(list(problems), generator, config=config, lanes=1, on_chunk=lambda _: None, **settings)

    monkeypatch.setattr("pulse_jax.generators.generator.load_generator", lambda folder: generator)
    monkeypatch.setattr(generators, "architecture_to_dict", lambda config: {"family": "x"})
    monkeypatch.setattr(stream, "solve_stream", engine.solve_stream)
    monkeypatch.setattr(variants, "solve_stream", solve)
    for name in ("_SAMPLES", "_NORMS", "_GAUSSIAN_SAMPLES", "_ROWS"):
        monkeypatch.setattr(prior_quality, name, 40)
    # Half of the time, and tested by itself.
    for module, name in ((metrics, "patch_distances"), (ablations, "patch_distances")):
        monkeypatch.setattr(module, name, lambda ours, theirs: [0.1])
    for i in range(2):
        draw(tmp_path / "data" / f"face{i}.png", RESOLUTION, i)
    engine.options = {
        "data": tmp_path / "data",
        "output": tmp_path / "out",
        "factors": "4",
        "count": 2,
        "few": 2,
        "restarts": 3,
        "shown": 1,
        "steps": 3,
    }
    return engine


def written(out):
    """The report, and the numbers; every picture that the report shows is there, and large enough to be seen."""
    report = (out / "report.md").read_text(encoding="utf-8")
    for name in re.findall(r"!\[[^]]*\]\(([^)]*)\)", report):
        assert min(read_image(out / name).pixels.shape[:2]) > 200
    return report, json.loads((out / "numbers.json").read_text())


def test_pulse_from_end_to_end(toy, capsys):
    options = reproduce_pulse.Options(**toy.options)
    reproduce_pulse.main(options)
    report, numbers = written(options.output)
    for number in (*quoted.PULSE_OPINIONS.values(), *quoted.PULSE_NIQE.values()):
        assert f"| {number:.2f} |" in report
    assert report.count("undefined at 16×16: it needs 192 pixels") == 4
    assert "not measured: no program here" in report
    for figure in ("figure_3", "figure_4", "figure_5", "section_4_4", "figure_6_4x_1"):
        assert f"({figure}.png)" in report
    # The study that the report names is made of pictures of the same names.
    command = re.search(r"`pulse-jax (study make [^`]*)`", report).group(1).replace("DIR", str(options.data))
    names = {folder.name: {file.name for file in folder.iterdir()} for folder in (options.output / "study").iterdir()}
    assert {*names} == {"HR", "Nearest", "Bicubic", "PULSE"} and len({frozenset(some) for some in names.values()}) == 1
    assert main(command.split()) == 0
    # Errors are those of the files: of the first disturbance, against the clean and the given inputs.
    one = numbers["figure_6, 4x"]["bicubic|gaussian(50), pulse"]
    home, case = options.output / "evaluation", "4x-gaussian-50"
    given = [read_image(file).pixels for file in sorted((home / "inputs" / case).glob("*.png"))]
    truths = [read_image(file).pixels for file in sorted((home / "truths").glob("*.png"))]
    clean = [np.round(np.clip(Bicubic(4).apply_float64(truth), 0, 1) * 255) / 255 for truth in truths]
    apart = np.mean([np.mean((a - b) ** 2) for a, b in zip(given, clean, strict=True)])
    assert one["given_to_clean"] == pytest.approx(apart, rel=1e-5) and one["pictures"] == 2
    # The toy engine's first search delivers black.
    assert one["error_to_clean"]["mean"] == pytest.approx(np.mean([np.mean(low**2) for low in clean]), rel=1e-5)
    assert one["error_to_given"] == pytest.approx(np.mean([np.mean(low**2) for low in given]), rel=1e-5)


def test_srls_from_end_to_end(toy, capsys):
    options = reproduce_srls.Options(**toy.options)
    reproduce_srls.main(options)
    report, numbers = written(options.output)
    for measures in quoted.SRLS_TABLE.values():
        assert all(f"| {number:.2f} |" in report for number in measures.values())
    assert report.count("not measured: needs --inception") == 4 and report.count("undefined at 16×16") == 5
    for figure in ("figure_2", "figure_3_1", "figure_4", "figure_5", "figure_8", "figure_9"):
        assert f"({figure}.png)" in report
    assert {*numbers["figure_8"]} == {"all", "without_gaussian", "without_w", "without_cross", "without_w_plus"}
    assert len(numbers["figure_9"]) == 10
    assert {*numbers["figure_4"]} == {"pulse", "srls", "srls from random styles"}
    # One picture's solutions, from their files: what downscaling by 4 does not see of them.
    seen = []
    for picture in ("face0", "face1"):
        folder = options.output / "many" / "runs" / "srls" / f"{picture}_4x"
        unseen = Bicubic(4).unseen(np.stack([read_image(file).pixels for file in sorted(folder.glob("sol*.png"))]))
        assert len(unseen) == 3
        seen += [np.mean([np.sqrt(np.mean((unseen[i] - unseen[j]) ** 2)) for i, j in ((0, 1), (0, 2), (1, 2))])]
    assert numbers["figure_4"]["srls"]["mean"] == pytest.approx(np.mean(seen), rel=1e-4)
    # What was searched is kept; a picture that is gone is searched again, and nothing else is.
    searched = len(toy.calls)
    (options.output / "variants" / "without_w" / "face1_4x_0.png").unlink()
    reproduce_srls.main(options)
    assert [len(call) for call in toy.calls[searched:]] == [1]
    assert written(options.output)[1] == numbers


def test_ablations_leave_out_what_they_say():
    configs = {one.name: one.config for one in ablations.ABLATIONS}
    whole = {term for term in re.findall(r"\*(\w+)", configs["all"].loss)}
    without = {name: whole - {*re.findall(r"\*(\w+)", config.loss)} for name, config in configs.items()}
    # P_gaussian is of the norm under the flow, P_w its density, P_cross of the distance of rows (SRLS, section 2).
    assert without["without_gaussian"] == {"NORM"} and without["without_w"] == {"FLOW"}
    assert without["without_cross"] == {"CROSS"} and configs["without_w_plus"].space == "w"
    weights = [dict(re.findall(r"([\d.]+)\*(\w+)", config.loss)) for config in configs.values()]
    assert all({*one.items()} <= {*weights[0].items()} for one in weights)


@pytest.mark.parametrize("clean, given, said", [(1.0, 2.0, "clean"), (2.0, 1.0, "given one, disturbance")])
def test_the_verdict_on_disturbed_inputs(clean, given, said):
    gain = given - clean
    one = {"gain": [gain, gain, gain], "error_to_clean": {"mean": clean}, "given_to_clean": 4.0}
    told = solutions.disturbed_verdict({("bicubic|gaussian(25)", "pulse"): one}, ["pulse"])
    assert f"nearer to the {said}" in told and f"noise of deviation 25 {clean / 4:.2f}" in told


def test_what_cannot_be_used_is_told_in_a_line(tmp_path):
    for options, said in (
        ({"factors": "8,x"}, "--factors: expected whole numbers"),
        ({"generator": tmp_path / "none"}, "none"),
    ):
        with pytest.raises(SystemExit, match=said):
            evaluated.run_program(reproduce_srls.main, reproduce_srls.Options(output=tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()
