"""The benchmark: every cell is told, whatever became of it; what it is measured against solves the same problems."""

import io
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from pulse_jax.cli import benchmark, main
from pulse_jax.cli.benchmark import make_problems, run_benchmark
from pulse_jax.cli.options.benchmark import Benchmark
from pulse_jax.images.files import read_image
from pulse_jax.reports import machine, speed
from pulse_jax.runs.formats import BenchmarkSummary
from pulse_jax.system.screen import Screen
from tests.runs.records_check import faults
from tests.tiny_networks import tiny_generator

CELL_FIELDS = {
    "lanes",
    "precision",
    "problems",
    "feasible",
    "steps_per_second",
    "median_steps_per_second",
    "best_steps_per_second",
    "solutions_per_second",
    "batch_solutions_per_second",
    "single_solutions_per_second",
    "against_batch",
    "against_single",
    "seconds_to_feasible",
    "occupancy",
    "batch_occupancy",
    "compile_seconds",
    "memory",
    "costs",
    "share_of_product",
    "share_of_copy",
    "fault",
}


@pytest.fixture(scope="module", autouse=True)
def small_machine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "_SIDE_CPU", 32)
        patch.setattr(machine, "_COPIED_CPU", 4096)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("generators") / "tiny"
    tiny_generator("stylegan2-4", contrast=0.1).save(path)
    return path


def _run(output, folder, **settings):
    """The exit code, standard output and what was written."""
    screen = Screen()
    screen.out = Console(file=io.StringIO(), width=80)
    settings = {"lanes": (2, 1), "precision": ("float32",), "steps": 12, "factor": 2} | settings
    code = run_benchmark(Benchmark(output=output, generator=folder, **settings), screen)
    return code, screen.out.file.getvalue(), json.loads((output / "benchmark.json").read_text())


@pytest.fixture(scope="module")
def measured(tmp_path_factory, folder):
    output = tmp_path_factory.mktemp("runs") / "benchmark"
    return *_run(output, folder), output


def test_every_cell_is_in_the_tables(measured):
    code, out, _, _ = measured
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    told = [" ".join(line) for line in lines]
    assert "lanes precision steps/s best solved/s x single x batch occupied seconds" in told
    assert "lanes precision compiling process device program GFLOP product copy" in told
    assert [line[:2] for line in lines if line[1:2] == ["float32"]] == [["1", "float32"], ["2", "float32"]] * 2
    assert "Most solutions per second: --lanes" in out


def test_the_file_has_all_numbers_and_what_they_depend_on(measured):
    _, _, report, output = measured
    assert set(report) == {
        "date",
        "versions",
        "device",
        "generator",
        "factor",
        "config",
        "machine",
        "finished",
        "cells",
    }
    assert report["finished"] is True
    assert report["config"]["steps"] == 12
    assert set(report["machine"]["products"]) == {"float32"}
    for cell in report["cells"]:
        assert set(cell) == CELL_FIELDS
        assert cell["fault"] == ""
        assert len(cell["steps_per_second"]) == 5
        assert cell["best_steps_per_second"] >= cell["median_steps_per_second"] > 0
        assert 0 < cell["occupancy"] <= 1
        assert 0 < cell["batch_occupancy"] <= 1
        assert cell["against_batch"] == pytest.approx(cell["solutions_per_second"] / cell["batch_solutions_per_second"])
        assert (cell["seconds_to_feasible"] is None) == (cell["feasible"] == 0)
    one, two = report["cells"]
    assert one["problems"] == two["problems"] == 8
    assert one["single_solutions_per_second"] is None, "it would be compared with itself"
    assert two["single_solutions_per_second"] > 0
    summary = json.loads((output / "summary.json").read_text())
    assert summary["finished"] is True
    assert summary["files"] == ["benchmark.json", "benchmark.png"]
    assert faults(summary, BenchmarkSummary) == []
    assert read_image(output / "benchmark.png").pixels.ndim == 3


def test_an_earlier_benchmark_is_replaced_and_other_files_are_not(measured, folder, monkeypatch):
    output = measured[-1]
    monkeypatch.setattr(benchmark, "measure", lambda cell, *others: None)
    code, _, report = _run(output, folder, lanes=(3,))
    assert code == 0
    assert [cell["lanes"] for cell in report["cells"]] == [3]


def _full(*arguments):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")


def test_a_cell_without_memory_says_so_and_the_rest_goes_on(tmp_path, folder, monkeypatch):
    real = speed.Lanes

    def lanes(generator, config, side, count, device):
        return _full() if count == 2 else real(generator, config, side, count, device)

    monkeypatch.setattr(speed, "Lanes", lanes)
    monkeypatch.setattr(speed, "groups", lambda device, lanes: [lanes])
    code, out, report = _run(tmp_path / "out", folder, lanes=(2, 1))
    assert code == 0
    assert [cell["fault"] for cell in report["cells"]] == ["", "out of memory"]
    assert report["cells"][1]["median_steps_per_second"] is None
    words = [line.split() for line in out.splitlines()]
    assert [line[:4] for line in words].count(["2", "float32", "out", "of"]) == 2, "a row of each table"
    assert "--lanes 1 " in out


def test_an_interrupted_benchmark_writes_what_is_done(tmp_path, folder, monkeypatch):
    def interrupted(cell, *others):
        if cell.lanes > 1:
            raise KeyboardInterrupt
        cell.steps_per_second, cell.solutions_per_second = [2.0], 1.0

    monkeypatch.setattr(benchmark, "measure", interrupted)
    code, out, report = _run(tmp_path / "out", folder)
    assert code == 130
    assert report["finished"] is False
    assert [cell["lanes"] for cell in report["cells"]] == [1]
    assert "--lanes 1 " in out
    assert (tmp_path / "out" / "benchmark.png").is_file()


def test_a_benchmark_interrupted_at_once_leaves_nothing(tmp_path, folder, monkeypatch, capsys):
    def interrupted(*others):
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "measure", interrupted)
    arguments = ["benchmark", "--generator", str(folder), "--output", str(tmp_path / "out"), "--factor", "2"]
    assert main(arguments) == 130
    assert not (tmp_path / "out").exists()
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--lanes", "4", "0"], "--lanes: expected 1 to 65536, got 0"),
        (["--resolution", "64"], "--resolution: has a meaning with --architecture or --plan only"),
        (["--channels", "8", "8"], "--channels: has a meaning with --architecture or --plan only"),
        (
            ["--architecture", "stylegan1", "--generator", "x"],
            "--architecture: has no meaning with --generator, leave one of the two out",
        ),
        (
            ["--architecture", "stylegan1", "--resolution", "48"],
            "--resolution: expected a power of two from 4 to 4096, got 48",
        ),
        (
            ["--architecture", "stylegan2", "--resolution", "8", "--channels", "4"],
            "--channels: expected 2 widths from 1 to 16384 for 8x8, got (4,)",
        ),
        (
            ["--architecture", "stylegan2", "--resolution", "8", "--channels", "4", "4", "--preset", "srls"],
            "--preset srls: the loss FLOW needs this generator's flow, and random weights have none; "
            "give another preset or a --generator",
        ),
        (["--steps", "0"], "--steps: expected 1 to 1000000, got 0"),
        (["--factor", "3"], "--factor: expected one of 2, 4, 8, 16, 32 for 64x64, got 3"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_written(arguments, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *arguments]) == 2
    assert capsys.readouterr().err.removeprefix("drawing random weights ...\n") == f"pulse-jax: {line}\n"
    assert list(Path(tmp_path).iterdir()) == []


def test_problems_are_easy_and_hard_in_turn(monkeypatch):
    generator = tiny_generator("stylegan2-4", contrast=0.1)
    problems = make_problems(generator, 2, 40)
    assert [problem.index for problem in problems] == list(range(40))
    assert len({problem.seed for problem in problems}) == 40
    assert all(set(np.unique(problem.low_res)) == {0, 1} for problem in problems[1::2])
    assert all(np.unique(problem.low_res).size > 2 for problem in problems[::2])
    assert all(problem.low_res.shape == (2, 2, 3) for problem in problems)
