"""How many lanes fit, by a guess from the generator's size."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pulse_jax.engine import lanes, memory
from pulse_jax.engine.lanes import Lanes, placed
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.architectures import FAMILIES
from pulse_jax.generators.generator import load_generator
from pulse_jax.runs.additions import Additions, Animations, Variations
from pulse_jax.search import animations, presets, variations
from pulse_jax.search.problems import Problem, Start
from pulse_jax.system import devices
from tests.tiny_networks import tiny_generator

CONFIG = presets.pulse(steps=5)
PROGRAMS = [(variations, "_draw"), (animations, "_replay"), (animations, "_morph")]


@pytest.fixture(scope="module")
def generator():
    return tiny_generator("stylegan2-4", contrast=0.1)


class Card:
    platform = "gpu"

    def __init__(self, free):
        self.free = free

    def memory_stats(self):
        return {"bytes_limit": self.free + 7, "bytes_in_use": 7}


@pytest.mark.parametrize(("free", "lanes"), [(10**9, 64), (1100, 4), (1250, 8), (300, 1), (1, 1)])
def test_as_many_lanes_as_fit_in_four_fifths_of_the_free_memory(unchecked, monkeypatch, generator, free, lanes):
    monkeypatch.setattr(memory, "lane_memory", lambda *some: (200, 100))
    assert memory.fitting_lanes(generator, CONFIG, Card(free)) == lanes


@pytest.mark.parametrize(
    ("family", "precision", "measured"),
    [("stylegan2", "bfloat16", 456_365_803), ("stylegan1", "bfloat16", 234_785_817), ("stylegan1", "float32", 528e6)],
)
def test_the_guess_on_a_gpu_is_near_what_was_measured_on_an_h100(unchecked, family, precision, measured):
    architecture = FAMILIES[family].load_config()()
    described = SimpleNamespace(config=architecture, nbytes=120_000_000)
    _, each = memory.lane_memory(described, replace(CONFIG, precision=precision), Card(10**9))
    assert 1 <= each / measured < 2


def test_no_activation_has_more_elements_than_libraries_on_gpus_can_number(unchecked):
    """64 lanes of StyleGAN2's last activation, 1024x1024 with 32 channels, have 2^31."""
    large = SimpleNamespace(config=FAMILIES["stylegan2"].load_config()(), nbytes=120_000_000)
    assert memory.fitting_lanes(large, replace(CONFIG, precision="bfloat16"), Card(10**12)) == 32


def test_room_is_left_for_what_runs_beside_the_lanes(unchecked, monkeypatch, generator):
    monkeypatch.setattr(memory, "lane_memory", lambda *some: (200, 100))
    assert memory.fitting_lanes(generator, CONFIG, Card(1250), beside=390) == 4
    assert memory.fitting_lanes(generator, CONFIG, Card(1250), beside=10**6) == 1


@pytest.mark.parametrize(
    ("lanes", "free", "missing"),
    [(2, 330, None), (2, 319, (320, 319)), (64, 4000, (4040, 4000)), (64, 4040, None), (1, 5, None), (64, None, None)],
)
def test_lanes_that_cannot_fit_are_told_before_they_are_tried(unchecked, monkeypatch, generator, lanes, free, missing):
    """Of a guess of 100 bytes a lane, three fifths are the least that was measured."""
    monkeypatch.setattr(memory, "lane_memory", lambda *some: (200, 100))
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    assert memory.missing_memory(generator, CONFIG, Card(0), lanes) == missing


@pytest.mark.parametrize(("searches", "lanes"), [(1, 1), (3, 2), (8, 8), (100, 64)])
def test_there_are_no_more_lanes_than_searches(unchecked, monkeypatch, generator, searches, lanes):
    monkeypatch.setattr(memory, "lane_memory", lambda *some: (200, 100))
    assert memory.fitting_lanes(generator, CONFIG, Card(10**9), searches=searches) == lanes


@pytest.mark.parametrize(
    ("cores", "searches", "free", "lanes"),
    [(6, None, 2**30, 6), (6, 5, 2**30, 5), (6, None, 5000, 1), (6, 5, None, 5), (1, None, 2**30, 1)],
)
def test_a_cpu_has_a_lane_for_each_core_as_far_as_memory_goes(monkeypatch, generator, cores, searches, free, lanes):
    monkeypatch.setattr(memory, "usable_cores", lambda: cores)
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    assert memory.fitting_lanes(generator, CONFIG, jax.devices("cpu")[0], searches=searches) == lanes


def chunk_memory(generator):
    """The bytes that a chunk of one lane takes, the generator included, by XLA's account."""
    run = Lanes(generator, CONFIG, 8, 1, jax.devices("cpu")[0])

    def filled(targets, seeds, numbers, restarts):
        return lanes.start_all.function(generator, run._config, targets, seeds, numbers, restarts, Start(None))[0]

    state = jax.eval_shape(filled, run._targets, *run._numbers)
    limits = np.int32(1), np.int32(1)
    lowered = lanes.run_chunk.on("cpu").lower(generator, run._config, run._given, state, *limits)
    return devices.program_memory(lowered.compile())


@pytest.mark.slow
def test_the_guess_on_a_cpu_is_near_what_a_search_of_the_embedded_generator_takes(unchecked):
    device = jax.devices("cpu")[0]
    generator = placed(load_generator(), CONFIG, device)
    fixed, each = memory.lane_memory(generator, CONFIG, device)
    assert 0.5 < (fixed + each) / chunk_memory(generator) < 2


class Spy:
    """Stands for a compiled function; remembers the shapes and types that it is called with and lowered for."""

    def __init__(self, program):
        self.program, self.called, self.lowered = program, [], []

    def __call__(self, generator, config, *others):
        self.called.append(self.shapes(others))
        return self.program(generator, config, *others)

    def lower(self, generator, config, *others):
        self.lowered.append(self.shapes(others))
        return self.program.lower(generator, config, *others)

    @staticmethod
    def shapes(arguments):
        return jax.tree.map(lambda leaf: (jnp.shape(leaf), str(jnp.result_type(leaf))), arguments)


def test_what_extras_take_is_that_of_the_programs_which_run(unchecked, generator, monkeypatch):
    spies = {name: Spy(getattr(module, name)) for module, name in PROGRAMS}
    for module, name in PROGRAMS:
        monkeypatch.setattr(module, name, spies[name])
    drawn, moving = Variations(generator, CONFIG, 2), Animations(generator, CONFIG)
    assert Additions().memory(2) == 0
    # A picture, and what is in between, in float32; fifty frames of bytes.
    assert Additions(drawn).memory(2) > 4 * 4 * 3 * 4
    assert Additions(animations=moving).memory(2) > 50 * 4 * 4 * 3
    problem = Problem(low_res=np.full((2, 2, 3), 0.5, np.float32), restarts=2)
    found = [replace(s, feasible=True) for s in solve_stream([problem], generator, config=CONFIG, lanes=2)]
    assert len([*drawn.of(problem, found[0]), *moving.of(problem, found)]) >= 2
    for spy in spies.values():
        assert spy.called and set(map(str, spy.called)) == set(map(str, spy.lowered))


def test_where_nobody_knows_the_memory_the_usual_number_is_taken(unchecked, generator):
    class Unknown:
        platform = "tpu"

        def memory_stats(self):
            return None

    assert memory.fitting_lanes(generator, CONFIG, Unknown()) == 64


def test_the_machines_free_memory_is_a_part_of_all(generator):
    assert 2**20 < devices.free_memory(jax.devices("cpu")[0]) < 2**50
