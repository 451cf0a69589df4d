"""Measuring speed: plain batches solve what the engine does, and rates are what their names say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine.stream import solve_stream
from pulse_jax.reports import machine, speed
from pulse_jax.reports.speed import Measurement, PlainBatches, measure
from pulse_jax.search import presets
from pulse_jax.search.problems import as_problems
from tests.tiny_networks import tiny_generator

# Some of them are reached within a few steps, and some never.
LOW_RES = np.random.default_rng(0).uniform(0.3, 0.7, (8, 2, 2, 3)).astype(np.float32)
PROBLEMS = as_problems(LOW_RES)


def test_a_plain_batch_delivers_what_the_engine_does():
    generator = tiny_generator("stylegan2-4", contrast=0.1)
    config = presets.pulse(steps=12, eps=2e-2)
    batches = {s.index: s for s in PlainBatches(generator, config, 2, 2).solve(PROBLEMS[:5])}
    stream = {s.index: s for s in solve_stream(PROBLEMS[:5], generator, config=config, lanes=2)}
    assert set(batches) == set(stream) == set(range(5))
    for index, solution in stream.items():
        np.testing.assert_array_equal(batches[index].image, solution.image)
        assert (batches[index].steps, batches[index].status) == (solution.steps, solution.status)


def test_a_measurement_is_complete():
    generator = tiny_generator("stylegan2-4", contrast=0.1)
    found = Measurement(lanes=2, precision="float32")
    measure(found, generator, presets.pulse(steps=12, eps=2e-2), PROBLEMS, jax.local_devices()[0])
    assert found.fault == "" and found.problems == 8
    stream = list(solve_stream(PROBLEMS, generator, config=presets.pulse(steps=12, eps=2e-2), lanes=2))
    assert found.feasible == sum(solution.feasible for solution in stream)
    assert len(found.steps_per_second) == 5
    assert found.best_rate == max(found.steps_per_second) >= found.median_rate > 0
    # Of plain batches, by what they are: every pair waits for its slower one.
    steps = [solution.steps for solution in sorted(stream, key=lambda solution: solution.index)]
    slowest = [2 * max(pair) for pair in zip(steps[::2], steps[1::2], strict=True)]
    assert found.batch_occupancy == pytest.approx(sum(steps) / sum(slowest))
    assert 0 < found.occupancy <= 1
    assert found.against(found.solutions_per_second / 2) == pytest.approx(2)
    assert found.against(None) is None and Measurement(lanes=1, precision="float32").against(1.0) is None


def _full(*arguments):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")


def test_what_was_measured_before_memory_ran_out_is_kept(monkeypatch):
    generator = tiny_generator("stylegan2-4", contrast=0.1)
    monkeypatch.setattr(speed, "PlainBatches", _full)
    cell = Measurement(lanes=2, precision="float32")
    measure(cell, generator, presets.pulse(steps=12), PROBLEMS, jax.local_devices()[0])
    assert cell.fault == "out of memory"
    assert cell.median_rate
    assert cell.solutions_per_second is None


def test_another_failure_is_no_lack_of_memory(monkeypatch):
    def broken(*arguments):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    generator = tiny_generator("stylegan2-4", contrast=0.1)
    monkeypatch.setattr(speed, "Lanes", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        measure(
            Measurement(lanes=2, precision="float32"),
            generator,
            presets.pulse(),
            PROBLEMS,
            jax.local_devices()[0],
        )


def test_costs_of_a_product_are_its_operations():
    """2 n³ of them; XLA counts a few more or less for what surrounds them."""
    x = jnp.ones((64, 64))
    costs = machine.costs_of(jax.jit(jnp.matmul).lower(x, x).compile())
    assert costs.flops == pytest.approx(2 * 64**3, rel=0.05)
    assert costs.bytes >= 3 * 4 * 64**2
    assert costs.memory >= 3 * 4 * 64**2


def test_rates_are_work_over_time(monkeypatch):
    monkeypatch.setattr(machine, "_SIDE_CPU", 32)
    monkeypatch.setattr(machine, "_COPIED_CPU", 4096)
    monkeypatch.setattr(machine, "_best_seconds", lambda work: jax.block_until_ready(work()) is None or 0.5)
    device = jax.local_devices()[0]
    assert machine.product_rate("float32", device) == 2 * 32**3 / 0.5
    assert machine.product_rate("bfloat16", device) == 2 * 32**3 / 0.5
    assert machine.copy_rate(device) == 2 * 4096 / 0.5
