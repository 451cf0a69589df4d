"""How many lanes fit: a straight line through two compiled programs."""

import jax
import pytest
from tiny_networks import tiny_generator

from pulse_jax import memory, presets
from pulse_jax.lanes import Lanes

CONFIG = presets.pulse(steps=5)


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-4", contrast=0.1)


def test_the_account_of_two_lane_counts_predicts_a_third(unchecked, generator):
    device = jax.devices()[0]
    fixed, each = memory.lane_memory(generator, CONFIG, 2, device)
    assert each > 4 * 4 * 3 * 4
    assert Lanes(generator, CONFIG, 2, 16, device).memory() == pytest.approx(fixed + 16 * each, rel=0.2)


class Card:
    platform = "gpu"

    def __init__(self, free):
        self.free = free

    def memory_stats(self):
        return {"bytes_limit": self.free + 7, "bytes_in_use": 7}


@pytest.mark.parametrize(("free", "lanes"), [(10**9, 64), (1100, 4), (1250, 8), (300, 1), (1, 1)])
def test_as_many_lanes_as_fit_in_four_fifths_of_the_free_memory(unchecked, monkeypatch, free, lanes):
    monkeypatch.setattr(memory, "lane_memory", lambda *some: (200, 100))
    assert memory.fitting_lanes(None, CONFIG, 2, Card(free)) == lanes


def test_where_nobody_knows_the_memory_the_usual_number_is_taken(unchecked):
    class Unknown:
        platform = "tpu"

        def memory_stats(self):
            return None

    assert memory.fitting_lanes(None, CONFIG, 2, Unknown()) == 64


def test_the_machines_free_memory_is_a_part_of_all(generator):
    assert 2**20 < memory.free_memory(jax.devices("cpu")[0]) < 2**50
