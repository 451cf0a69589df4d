"""What only a GPU can show; all other tests run on one too: `JAX_PLATFORMS=cuda XLA_FLAGS= python -m pytest`."""

import jax
import numpy as np
import pytest

import pulse_jax
from pulse_jax.engine.lanes import Lanes, placed
from pulse_jax.engine.tasks import Task
from pulse_jax.search import presets
from pulse_jax.search.problems import Problem


@pytest.mark.gpu
@pytest.mark.parametrize("lanes", [4, 64])
def test_the_position_of_a_search_changes_no_bit(lanes):
    """One problem in every lane of the embedded generator."""
    device = jax.local_devices()[0]
    config = presets.pulse(steps=20, stop="never")
    problem = Problem(low_res=np.random.default_rng(0).uniform(size=(8, 8, 3)).astype(np.float32))
    run = Lanes(placed(pulse_jax.load_generator(), config, device), config, 8, lanes, device)
    run.fill([Task(problem, 0)] * lanes, {})
    run.dispatch(20, waiting=False)
    ended, _ = run.collect()
    first, *others = [jax.device_get(one.state) for one in ended]
    assert len(others) == lanes - 1
    for other in others:
        for a, b in zip(*map(jax.tree.leaves, (first, other)), strict=True):
            np.testing.assert_array_equal(a, b)
