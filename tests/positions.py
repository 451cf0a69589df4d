"""Whether this CPU computes a search alike in every lane: the known limit that pulse_jax/ARCHITECTURE.md tells of."""

import contextlib

import jax
import numpy as np
import pytest

from pulse_jax.engine.lanes import Lanes, placed
from pulse_jax.engine.tasks import Task
from pulse_jax.search.problems import Problem


def differing_lanes(generator, config, side, lanes, *, steps=20):
    """The lanes whose search ends with other bits than that of lane 0, one problem being in all of them."""
    device = jax.local_devices()[0]
    problem = Problem(low_res=np.random.default_rng(0).uniform(size=(side, side, 3)).astype(np.float32))
    run = Lanes(placed(generator, config, device), config, side, lanes, device)
    run.fill([Task(problem, 0)] * lanes, {})
    run.dispatch(steps, waiting=False)
    run.collect()
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(run._state)]
    return [lane for lane in range(1, lanes) if any(leaf[lane].tobytes() != leaf[0].tobytes() for leaf in leaves)]


@contextlib.contextmanager
def bit_for_bit(searched):
    """Hold what is compared within to be the same bits, which it need not be where a CPU tells lanes apart.

    Only comparisons of bits belong inside: there, a difference is an expected failure on such a CPU.

    Args:
        searched: Function without arguments that returns what was searched: generator, config, side of the inputs and
            number of lanes. It is called if a comparison fails.
    """
    try:
        yield
    except AssertionError:
        generator, config, side, lanes = searched()
        differing = differing_lanes(generator, config, side, lanes)
        if not differing:
            raise
        pytest.xfail(f"on this CPU lanes {differing} of {lanes} compute other bits than lane 0: a known limit")
