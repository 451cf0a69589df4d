"""The report of a benchmark: what follows from a measurement, in its entry, its tables and its plot."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from pulse_jax.reports.machine import Costs
from pulse_jax.reports.speed import Measurement
from pulse_jax.reports.speed_report import draw_speed, measurement_record, show_speed
from pulse_jax.system.screen import Screen

MACHINE = {"products": {"float32": 1e9, "bfloat16": 4e9}, "copy": 5e8}
MEASURED = Measurement(
    lanes=4,
    precision="float32",
    problems=8,
    feasible=6,
    steps_per_second=[80.0, 100.0, 90.0],
    solutions_per_second=3.0,
    batch_solutions_per_second=2.0,
    single_solutions_per_second=1.0,
    seconds_to_feasible=0.5,
    occupancy=0.75,
    batch_occupancy=0.5,
    compile_seconds=12.3,
    memory={"process": 3 * 2**30},
    costs=Costs(flops=1e7, bytes=2e6, memory=2**20),
)
FAILED = Measurement(lanes=16, precision="bfloat16", problems=32, fault="out of memory")


def report(*measurements):
    return {
        "date": "2026-01-02T03:04:05+00:00",
        "machine": MACHINE,
        "device": {"platform": "cpu", "kind": "cpu", "cpus": 2},
        "generator": {"architecture": {"family": "stylegan2", "resolution": 64}},
        "factor": 8,
        "cells": [measurement_record(one, MACHINE) for one in measurements],
    }


def test_an_entry_has_all_that_was_measured_and_what_follows():
    entry = measurement_record(MEASURED, MACHINE)
    assert entry | dataclasses.asdict(MEASURED) == entry
    assert (entry["median_steps_per_second"], entry["best_steps_per_second"]) == (90, 100)
    assert (entry["against_batch"], entry["against_single"]) == (1.5, 3)
    # 90 image-steps in four lanes are 22.5 steps a second, of 1e7 operations and 2e6 bytes each.
    assert entry["share_of_product"] == pytest.approx(22.5 * 1e7 / 1e9)
    assert entry["share_of_copy"] == pytest.approx(22.5 * 2e6 / 5e8)


def test_what_was_not_measured_is_none():
    entry = measurement_record(FAILED, MACHINE)
    derived = set(entry) - set(dataclasses.asdict(FAILED))
    assert len(derived) == 6 and all(entry[name] is None for name in derived)


def test_both_tables_have_a_row_for_each_and_the_best_is_named():
    screen = Screen()
    screen.out = Console(file=io.StringIO(), width=80)
    show_speed(report(MEASURED, FAILED), screen)
    out = screen.out.file.getvalue()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "4 float32 90 100 3 3.00 1.50 75% 0.5" in lines
    assert "4 float32 12.3 s 3,072 - 1 0.01 22% 9%" in lines
    assert sum(line.startswith("16 bfloat16 out of memory - ") for line in lines) == 2
    assert "Most solutions per second: --lanes 4 --precision float32" in lines
    assert "A plain matrix product: 1 GFLOP/s in float32, 4 GFLOP/s in bfloat16. A copy: 0.5 GB/s." in out.replace(
        "\n", " "
    )


def test_nothing_is_recommended_where_nothing_was_solved():
    screen = Screen()
    screen.out = Console(file=io.StringIO(), width=80)
    show_speed(report(FAILED), screen)
    assert "Most solutions" not in screen.out.file.getvalue()


def test_the_plot_says_what_a_mark_means_only_where_there_is_one():
    whole, marked = draw_speed(report(MEASURED)), draw_speed(report(MEASURED, FAILED))
    assert whole.dtype == marked.dtype == np.uint8
    assert len(marked) > len(whole), "a footer, and more lines in the legend"
