"""The plan as a command: what it refuses, what it writes, and (slow) all of it at a toy size."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from pulse_jax.cli import benchmark_plan, main
from pulse_jax.cli.benchmark_plan import run_plan
from pulse_jax.cli.options.benchmark import Benchmark
from pulse_jax.reports import device_plan
from pulse_jax.system.screen import Screen
from tests.tiny_networks import tiny_generator

CELL = {
    "network": "stylegan2-1024",
    "precision": "bfloat16",
    "lanes": 8,
    "fault": "",
    "median_steps_per_second": 478.0,
    "bound": 661.0,
    "share_of_bound": 478 / 661,
    "kernels": 229,
    "gigabytes": 3.31,
    "gigaflops": 355.0,
    "temporary": 0.41 * 2**30,
    "compile_seconds": 53.2,
}


class Told:
    """A plan that knows all from the start, and may be cut short."""

    def __init__(self, *, interrupted=False, **settings):
        self._interrupted = interrupted
        self.report = {
            "first_picture": {"seconds": 31.25, "again": 0.5},
            "machine": {"products": {"bfloat16": 741e12}, "copy": 2.48e12},
            "goldens": {"tf32": {"picture": 8.7e-4, "gradient": 4.1e-3}},
            "selfcheck": [{"name": "numbers", "passed": False, "told": "far off"}],
            "drift": [{"precision": "tf32", "steps": 10, "degrees": 0.4, "levels": 1.5, "feasible": (3, 2)}],
            "cells": [CELL, CELL | {"lanes": 64, "fault": "XlaRuntimeError: [out] of memory"}],
            "kernels": {
                "stylegan2-1024, bfloat16, 8 lanes": [{"name": "k<4>", "runs": 3, "seconds": 1, "share": 0.25}]
            },
            "left_out": [],
        }

    def run(self, between):
        between()
        yield from ("first_picture", "machine", "goldens", "selfcheck", "drift", "cells", "kernels")
        if self._interrupted:
            raise KeyboardInterrupt


def _run(tmp_path, monkeypatch, *, interrupted=False, **options):
    monkeypatch.setattr(benchmark_plan, "Plan", lambda **settings: Told(interrupted=interrupted))
    screen = Screen()
    screen.out = Console(file=io.StringIO(), width=300)
    options = Benchmark(plan="gpu", resolution=8, channels=(4, 4), output=tmp_path / "out", **options)
    options.check()
    code = run_plan(options, screen, lambda generator, count: [])
    return code, screen.out.file.getvalue(), json.loads((tmp_path / "out" / "plan.json").read_text())


def test_every_answer_is_told_and_kept_with_date_device_and_versions(tmp_path, monkeypatch):
    code, out, report = _run(tmp_path, monkeypatch)
    assert code == 0 and report["finished"] is True
    assert {"plan", "date", "versions", "device", "machine", "cells", "kernels", "drift", "goldens"} <= set(report)
    page = (tmp_path / "out" / "plan.md").read_text()
    for text in (
        "first picture: after 31.2 s with compiling, the next after 0.50 s",
        "741 TFLOP/s in bfloat16; a plain copy: 2.48 TB/s",
        "tf32: pictures within 0.00087, gradients within 0.0041 of float64's",
        "numbers: far off: NOT AS PROMISED",
        "tf32 after 10 steps: 0.4 degrees and 1.5 levels from float32, 2 feasible against 3",
        "25.0% in 3 runs: k<4>",
    ):
        assert text in out and text in page
    # The section tells its last cell.
    assert "stylegan2-1024, bfloat16, 64 lanes: XlaRuntimeError: [out] of memory" in out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    assert ["stylegan2-1024", "bfloat16", "8", "478", "661", "72%", "229", "3.31", "355", "0.41", "53 s"] in rows
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["finished"] is True


def test_a_plan_that_is_cut_short_keeps_what_is_known(tmp_path, monkeypatch):
    code, _, report = _run(tmp_path, monkeypatch, interrupted=True)
    assert code == 130 and report["finished"] is False and report["cells"]


def test_the_original_has_a_program_of_its_own_and_its_failure_is_told(tmp_path, monkeypatch):
    _, out, report = _run(tmp_path, monkeypatch, original=tmp_path / "nowhere")
    assert report["original"]["lines"] == []
    assert "expected a checkout of the original program" in report["original"]["fault"]
    assert "the original: " in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "--plan gpu: this machine computes on a CPU; give a --resolution to try the plan at, such as 64"),
        (["--resolution", "48"], "--resolution: expected a power of two from 4 to 4096, got 48"),
        (["--steps", "3"], "--steps: has no meaning with --plan, which says itself what is measured"),
        (["--generator", "x"], "--generator: has no meaning with --plan, which says itself what is measured"),
        (
            ["--resolution", "8", "--original", "x"],
            "--original: run this in a checkout of pulse_jax, whose examples time the original",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_written(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "--plan", "gpu", *arguments]) == 2
    assert capsys.readouterr().err == f"pulse-jax: {line}\n"
    assert not list(tmp_path.iterdir())


def test_the_original_needs_a_plan(capsys):
    assert main(["benchmark", "--original", "x"]) == 2
    assert capsys.readouterr().err == "pulse-jax: --original: has a meaning with --plan only\n"


def test_the_command_at_a_toy_size_with_a_toy_in_the_embedded_generators_place(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_plan.generators, "open_generator", lambda path: tiny_generator("stylegan2-8"))
    monkeypatch.setattr(benchmark_plan.generators, "generator_record", lambda generator, path: {"sha256": "0"})
    monkeypatch.setattr(benchmark_plan, "_faces", lambda: np.full((1, 4, 4, 3), 0.5, np.float32))
    # What is recorded is of the embedded generator.
    monkeypatch.setattr(device_plan, "golden_errors", lambda generator, precision: (0.0, 0.0))
    monkeypatch.setattr(device_plan, "self_check", lambda generator: iter(()))
    monkeypatch.setattr(device_plan, "drift", lambda *arguments: iter(()))
    monkeypatch.setitem(device_plan.PLANS, "gpu", {"stylegan2": [("float32", (1,))]})
    size = ["--resolution", "8", "--channels", "4", "4", "--lanes", "1", "--precision", "float32"]
    assert main(["benchmark", "--plan", "gpu", *size, "--output", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert [cell["network"] for cell in report["cells"]] == ["stylegan2-8"]
    assert not any(cell["fault"] for cell in report["cells"])
    assert "stylegan2-8, float32, 1 lanes: " in out and "image-steps/s; compiled in" in out
    assert report["kernels"]["stylegan2-8, float32, 1 lanes"]


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["gpu", "tpu"])
def test_the_whole_plan_at_a_toy_size(plan, tmp_path, capsys):
    size = [
        "--resolution",
        "16",
        "--channels",
        "6",
        "5",
        "4",
        "--lanes",
        "1",
        "2",
        "--precision",
        "float32",
        "bfloat16",
    ]
    # However busy the machine is.
    size += ["--minutes", "60"]
    assert main(["benchmark", "--plan", plan, *size, "--output", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert len(report["cells"]) == 12 and not any(cell["fault"] for cell in report["cells"])
    assert all(finding["passed"] for finding in report["selfcheck"])
    assert report["goldens"]["float32"]["picture"] < 1e-4 < report["goldens"]["bfloat16"]["picture"] < 0.1
    assert len(report["kernels"]) == 3 and all(report["kernels"].values())
    assert [one["steps"] for one in report["drift"]] == [1, 10, 30, 100]
