"""The profile names what runs, by how long it takes."""

import jax
import jax.numpy as jnp
import pytest

from pulse_jax.reports.profiling import largest_kernels


@pytest.mark.slow
def test_what_takes_longest_is_named_first_and_shares_are_of_all():
    # Sines of a hundred times as many numbers as the cosines.
    f = jax.jit(lambda a, b: (jnp.sin(a), jnp.cos(b)))
    arguments = jnp.ones(1_000_000), jnp.ones(10_000)
    jax.block_until_ready(f(*arguments))

    def work():
        for _ in range(3):
            jax.block_until_ready(f(*arguments))

    first, *others = largest_kernels(work)
    assert "sin" in first.name and first.runs >= 3
    assert others and all(first.seconds >= other.seconds > 0 for other in others)
    assert 0.5 < first.share <= 1
    assert len(largest_kernels(work, count=1)) == 1


def test_where_nothing_runs_nothing_is_named():
    assert largest_kernels(lambda: None) == []
