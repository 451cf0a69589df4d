"""The curve of a search: what its looks were worth, thinned evenly, whatever their number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax import presets
from pulse_jax.search import step as search
from pulse_jax.search.curve import SLOTS, looks_of, noted, points_of
from pulse_jax.search.problems import problem_key
from tests.tiny_networks import tiny_generator


@pytest.mark.parametrize("steps", [0, 1, 2, 32, 33, 34, 64, 65, 66, 100, 129, 1000, 5003])
def test_points_are_of_evenly_spaced_looks_and_of_the_last(steps):
    """Each look's error is its number, so that the curve says which looks it holds."""

    def one(curve, look):
        return noted(curve, (look + 1).astype(jnp.float32), look), None

    curve, _ = jax.jit(lambda looks: jax.lax.scan(one, jnp.zeros(SLOTS), looks))(jnp.arange(steps, dtype=jnp.int32))
    looks = looks_of(steps)
    np.testing.assert_array_equal(points_of(np.asarray(curve), steps), looks)
    assert len(looks) == min(steps, len(looks)) and len(looks) <= SLOTS
    if steps:
        assert (looks[0], looks[-1]) == (1, steps)
        # Even but for the last, and no thinner than it has to be.
        spaces = np.diff(looks)
        assert len(set(spaces[:-1])) <= 1 and set(spaces[:-1]) <= {2**k for k in range(13)}
        assert steps <= SLOTS or len(looks) > SLOTS // 2


def test_a_search_notes_the_error_of_every_look():
    """Against the looks themselves, one by one; a lane that has ended keeps its curve."""
    generator = tiny_generator("stylegan2-8")
    config = presets.pulse(steps=40, eps=1e-9)
    target = jnp.full((2, 2, 3), 0.4)
    state = search.init(generator, config, target, problem_key(0, 1, 0))
    step = jax.jit(lambda state: search.step(generator, config, state))
    errors = []
    for _ in range(40):
        state, seen = step(state)
        errors.append(float(seen.search_error))
    curve = points_of(np.asarray(state.curve), 40)
    np.testing.assert_array_equal(curve, np.float32(errors)[looks_of(40) - 1])
    np.testing.assert_array_equal(step(state)[0].curve, state.curve)
