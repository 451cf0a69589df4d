"""Programs for accelerators are counted without one; none may ask for more than its budget.

`budget.json` holds the counts of each program, and beside them what `examples/benchmarks/aot.py` counts of some once
they are compiled, with the goals. Where a change lowers a count, lower the budget too.
"""

import dataclasses
import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest

from examples.benchmarks.described import described_chunk, described_generator, settings
from examples.benchmarks.lowered import count

BUDGET = json.loads((pathlib.Path(__file__).parent / "budget.json").read_text())
# The embedded generator, and both families from small to full size; what users run first, and what papers run.
NAMES = ("heads64", "stylegan1-64", "stylegan1-1024", "stylegan2-64", "stylegan2-1024")
PRECISIONS = {"float32": "f32*f32 HIGHEST", "tf32": "f32*f32 HIGH", "bfloat16": "bf16*bf16 HIGHEST"}
LANES = 4


def _counts(name, precision, form):
    """What the programs for GPUs and TPUs are counted to, which is the same."""
    generator = described_generator(name)
    generator = jax.eval_shape(lambda generator: generator.prepared(form), generator) if form else generator
    traced = described_chunk(generator, settings("pulse", precision), LANES)
    texts = [traced.lower(lowering_platforms=(platform,)).as_text() for platform in ("cuda", "tpu")]
    assert texts[0] == texts[1]
    return count(texts[0])


@pytest.mark.parametrize(("name", "precision"), list(itertools.product(NAMES, PRECISIONS)))
def test_programs_for_accelerators_ask_for_what_is_meant_and_no_more(name, precision):
    counts = _counts(name, precision, "gpu")
    assert (counts.callbacks, counts.doubles, counts.grouped) == ([], 0, 0)
    assert set(counts.convolutions) == {PRECISIONS[precision]}
    # What is not the synthesis's is never rounded: mapping, downscaling, losses.
    assert set(counts.products) == {"f32*f32 HIGHEST"}
    assert counts.longest_half_sum <= 64
    allowed = BUDGET["lowered"][f"{name} {precision}"]
    totals = {
        "size": counts.size,
        "convolutions": sum(counts.convolutions.values()),
        "products": sum(counts.products.values()),
        "reductions": counts.reductions,
    }
    over = {key: f"{totals[key]}, and the budget is {allowed[key]}" for key in totals if totals[key] > allowed[key]}
    assert not over


@pytest.mark.parametrize("name", ["stylegan1-64", "stylegan2-64"])
def test_the_plain_networks_have_no_long_sums_in_bfloat16_either(name):
    assert _counts(name, "bfloat16", None).longest_half_sum <= 64


def test_the_counts_see_what_they_are_there_for():
    def program(x, kernel):
        grouped = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=4
        )
        jax.debug.callback(print, grouped[0, 0, 0, 0])
        return jax.lax.reduce(grouped, jnp.bfloat16(0), jax.lax.add, (1, 2)), jnp.matmul(x, x)

    x, kernel = jnp.zeros((1, 16, 16, 16), jnp.bfloat16), jnp.zeros((3, 3, 4, 4), jnp.bfloat16)
    counts = count(jax.jit(program).lower(x, kernel).as_text())
    expected = {
        "convolutions": {"bf16*bf16 DEFAULT": 1},
        "products": {"bf16*bf16 DEFAULT": 1},
        "grouped": 1,
        "longest_half_sum": 256,
    }
    assert dataclasses.asdict(counts) == dataclasses.asdict(counts) | expected
    assert counts.callbacks
    with jax.enable_x64(True):
        wide = count(jax.jit(lambda x: x + 1).lower(jnp.zeros(3)).as_text())
    assert wide.doubles
