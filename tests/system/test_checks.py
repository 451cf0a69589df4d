"""Settings that must be positive numbers."""

import math

import pytest

from pulse_jax.system.checks import check_positive


@pytest.mark.parametrize("value", [1, 1e-30, 0.5, 10**20])
def test_positive_numbers_pass(value):
    check_positive("eps", value)


@pytest.mark.parametrize("value", [0, -1, 0.0, math.nan, math.inf, -math.inf, 1e30, True])
def test_others_are_named(value):
    with pytest.raises(ValueError, match=r"^eps: expected a positive number, got "):
        check_positive("eps", value)


@pytest.mark.parametrize("value", ["1", None, [1], 1j, "x" * 1000])
def test_what_is_no_number_is_told_shortly(value):
    with pytest.raises(ValueError, match=r"^eps: expected a positive number, got ") as caught:
        check_positive("eps", value)
    assert len(str(caught.value)) < 130
