"""The program's own check: it passes here, and finds what it is there to find."""

import dataclasses

import jax
import numpy as np
import pytest

from pulse_jax.engine import selfcheck
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import load_generator


@pytest.fixture(scope="module")
def generator():
    return load_generator()


@pytest.mark.slow
def test_all_is_as_promised(generator):
    findings = list(selfcheck.self_check(generator))
    assert [finding.name for finding in findings] == [
        "numbers", "sums", "positions", "company", "lanes", "interruption",
    ]  # fmt: skip
    assert all(finding.passed for finding in findings), findings


def test_errors_as_large_as_those_of_coarser_products_are_found(generator):
    """TF32 keeps 10 bits of what is multiplied."""
    rng = np.random.default_rng(0)

    def coarse(leaf):
        return leaf * (1 + rng.uniform(-(2**-11), 2**-11, leaf.shape)).astype(np.float32)

    spoilt = dataclasses.replace(generator, params=jax.tree.map(coarse, generator.params))
    finding = selfcheck._golden(spoilt)
    assert not finding.passed and "of 255 levels" in finding.told


@pytest.mark.parametrize("missed", ["positions", "company", "lanes", "interruption"])
def test_other_bits_are_found(generator, monkeypatch, missed):
    calls = iter(range(100))
    # Searches in order; reversed; alone, twice; one at a time; interrupted, which they are not here.
    spoilt = {"positions": 1, "company": 2, "lanes": 4, "interruption": 5}[missed]

    def fake(problems, generator, *, config, lanes, chunk_steps, checkpoint_dir=None, on_chunk=None):
        call = next(calls)
        for number, solution in enumerate(known):
            for problem in problems:
                if problem.index == solution.index:
                    yield dataclasses.replace(solution, loss=solution.loss + (call == spoilt and number == 0))

    config = selfcheck.pulse(steps=1)
    known = list(solve_stream(selfcheck._problems([0, 1]), generator, config=config, lanes=1))
    monkeypatch.setattr(selfcheck, "_SEARCHES", 2)
    monkeypatch.setattr(selfcheck, "solve_stream", fake)
    monkeypatch.setattr(selfcheck, "_golden", lambda generator: selfcheck.Finding("numbers", True, ""))
    failed = [finding.name for finding in selfcheck.self_check(generator) if not finding.passed]
    assert failed == [missed]
