"""The plan for a lent card: what is wanted most comes first, what fails is told, and time has an end."""

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from pulse_jax.reports import device_plan, drift, machine, speed
from pulse_jax.reports.device_plan import EMBEDDED, PLANS, Cell, Plan, counts, planned_cells
from pulse_jax.search.problems import Problem
from tests.tiny_networks import tiny_generator

HLO = Path(__file__).parents[1] / "goldens" / "k_loop_h100.hlo"


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(machine, "_SIDE_CPU", 32)
    monkeypatch.setattr(machine, "_COPIED_CPU", 4096)
    monkeypatch.setattr(speed, "_STEPS", 2)
    # What is recorded of the embedded generator is checked where that is (tests/engine).
    monkeypatch.setattr(device_plan, "golden_errors", lambda generator, precision: (1e-6, 2e-6))
    monkeypatch.setattr(device_plan, "self_check", lambda generator: iter(()))


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_the_first_of_each_network_come_before_the_second(platform):
    cells = planned_cells(platform, 1024)
    assert [cell.network for cell in cells[:3]] == ["stylegan2-1024", "stylegan1-1024", EMBEDDED]
    assert [cell.precision for cell in cells[:3]] == ["bfloat16", "bfloat16", "float32"]
    assert len(set(cells)) == len(cells) == sum(len(lanes) for rows in PLANS[platform].values() for _, lanes in rows)
    wanted = {(precision, family) for family in ("stylegan1", "stylegan2") for precision in device_plan._PRECISIONS}
    assert {(cell.precision, cell.network.removesuffix("-1024")) for cell in cells} >= wanted


def test_lanes_and_arithmetics_that_are_given_take_the_plans_place():
    cells = planned_cells("gpu", 64, lanes=(2, 3), precisions=("tf32",))
    assert {(cell.precision, cell.lanes) for cell in cells} == {("tf32", 2), ("tf32", 3)}
    assert {cell.network for cell in cells} == {"stylegan1-64", "stylegan2-64", EMBEDDED}


def program(text="", costs=None):
    memory = SimpleNamespace(temp_size_in_bytes=600)
    return SimpleNamespace(as_text=lambda: text, memory_analysis=lambda: memory, cost_analysis=lambda: costs)


def test_a_gpus_program_is_counted_by_kernels_and_each_lane_has_its_share():
    record = counts(program(HLO.read_text()), 2, "gpu").record(product=1e12, copy=1e9)
    products, kernel = 2 * 512 * 256 * 256 + 2 * 2 * 16 * 16 * 8 * 72, 4 * 9 * 8 * 8
    moved = 8 + 4 * (2 * 16 * 16 * 8) * 4 + kernel + 4 * (2 * 512 * 256 + 256 * 256) + 4 * (2 * 512 * 256)
    assert record["kernels"] == 5 and record["temporary"] == 300
    assert record["gigabytes"] == pytest.approx(moved / 2 / 1e9) and record["gigaflops"] == products / 2 / 1e9
    # At these rates every kernel waits for its bytes.
    assert record["bound"] == pytest.approx(2 / (moved / 1e9))


def test_a_tpus_program_is_counted_as_a_whole_and_a_cpus_not_at_all():
    record = counts(program(costs={"flops": 8e9, "bytes accessed": 2e9}), 4, "tpu").record(product=1e9, copy=1e9)
    assert record["kernels"] is None
    assert (record["gigaflops"], record["gigabytes"], record["bound"]) == (2, 0.5, 0.5)
    bare = counts(program(), 4, "cpu").record(1e9, 1e9)
    assert bare == {"kernels": None, "gigabytes": None, "gigaflops": None, "temporary": 150, "bound": None}


def _plan(cells, networks, minutes=10.0):
    generator = tiny_generator("stylegan2-8")
    faces = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype(np.float32)

    def problems(generator, count):
        side = generator.resolution // 2
        inputs = [np.full((side, side, 3), 0.1 + 0.01 * i, np.float32) for i in range(count)]
        return [Problem(low_res=one, index=i, seed=i) for i, one in enumerate(inputs)]

    return Plan(
        embedded=generator,
        networks={EMBEDDED: lambda: generator, **networks},
        problems=problems,
        faces=faces,
        cells=cells,
        minutes=minutes,
        say=lambda line: None,
    )


@pytest.mark.slow  # the suite has the command's own (tests/cli/test_benchmark_plan.py)
def test_all_sections_are_filled_and_a_cell_that_fails_says_so_and_the_rest_goes_on(monkeypatch):
    real = speed.step_rates

    def rates(sets, problems):
        if len(sets) == 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand more")
        return real(sets, problems)

    monkeypatch.setattr(device_plan, "step_rates", rates)
    monkeypatch.setattr(device_plan, "drift", lambda *arguments: drift.drift(*arguments, steps=(1, 2)))
    cells = [Cell("stylegan1-4", "tf32", 1), Cell("stylegan1-4", "float32", 2), Cell(EMBEDDED, "float32", 1)]
    between = []
    plan = _plan(cells, {"stylegan1-4": lambda: tiny_generator("stylegan1-4")})
    sections = list(plan.run(lambda: between.append(sorted(plan.report))))
    assert sections == [
        "first_picture", "machine", "goldens", "selfcheck", "drift", "cells", "kernels", "cells", "cells", "kernels",
    ]  # fmt: skip
    # The original has the device to itself: before anything compiles.
    assert between == [["cells", "first_picture", "left_out", "machine"]]
    report = plan.report
    assert report["left_out"] == [] and set(report["machine"]["products"]) == {"float32", "tf32"}
    assert [entry["fault"] for entry in report["cells"]] == [
        "",
        "JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory",
        "",
    ]
    for entry in report["cells"][::2]:
        assert len(entry["steps_per_second"]) == 5 and entry["median_steps_per_second"] > 0
        assert entry["bound"] is entry["share_of_bound"] is None, "no bound is known of a CPU"
    assert set(report["kernels"]) == {"stylegan1-4, tf32, 1 lanes", "embedded, float32, 1 lanes"}
    assert [(one["precision"], one["steps"]) for one in report["drift"]] == [("tf32", 1), ("tf32", 2)]
    # Off a GPU, what is called TF32 is float32.
    assert {one["degrees"] for one in report["drift"]} == {0.0}


def test_when_time_is_up_nothing_new_is_begun(monkeypatch):
    monkeypatch.setattr(device_plan, "drift", lambda *arguments: iter(()))
    plan = _plan([Cell(EMBEDDED, "float32", 1)], {}, minutes=0.0)
    assert "cells" not in list(plan.run())
    assert plan.report["left_out"] == ["embedded, float32, 1 lanes"] and plan.report["cells"] == []
