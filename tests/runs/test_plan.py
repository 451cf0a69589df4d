"""A run's plan: what it reads, searches for, and says of commands."""

import dataclasses
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

from pulse_jax.images.files import ImageError, save_png
from pulse_jax.runs import plan as plans
from pulse_jax.runs.additions import Additions
from pulse_jax.runs.inputs import Input, Quota
from pulse_jax.runs.plan import AutomaticLanes
from pulse_jax.search.presets import pulse
from tests.runs.small_plan import SIDE, small_plan


def test_inputs_are_numbered_by_their_place_whatever_is_read(tmp_path):
    plan = small_plan(tmp_path, count=3)
    plan.inputs[1].write_bytes(b"")
    first, broken, last = plan.read(plan.inputs)
    assert isinstance(broken, ImageError) and (first.index, last.index) == (0, 2)
    (alone,) = plan.read([plan.inputs[2]])
    assert alone.index == 2 and alone.name == "2"
    np.testing.assert_array_equal(alone.low_res, last.low_res)


@pytest.mark.parametrize(("fit", "fits"), [(None, False), ("crop", True)])
def test_another_size_is_refused_or_fitted(tmp_path, fit, fits):
    plan = small_plan(tmp_path, count=1, fit=fit)
    save_png(plan.inputs[0], np.zeros((5, 5, 3)))
    (one,) = plan.read(plan.inputs)
    assert isinstance(one, Input if fits else ImageError)
    if fits:
        assert one.low_res.shape == (SIDE, SIDE, 3) and plan.factor(one) == 4 and one.notes


@pytest.mark.parametrize(
    ("quota", "solutions"), [(Quota(2, 5, stops=True), 2), (Quota(2, 5, stops=False, diverse=True), None)]
)
def test_a_problem_is_what_is_left_of_an_input(tmp_path, quota, solutions):
    plan = small_plan(tmp_path, count=1, quota=quota)
    (one,) = plan.read(plan.inputs)
    one.ended[0] = True
    problem = plan.problem(one)
    assert (problem.restarts, problem.solutions, problem.seed, problem.index) == (5, solutions, 7, 0)
    one.ended[1] = False
    assert problem.ended == {0: True}


@pytest.mark.parametrize(
    ("ended", "all_of_them", "enough"),
    [({}, False, False), ({0: True, 1: True}, False, True), ({0: False, 1: True, 2: False}, True, True)],
)
def test_a_quota_is_met_by_all_searches_or_by_enough_solutions(ended, all_of_them, enough):
    assert Quota(2, 3, stops=False).met(ended) == all_of_them
    assert Quota(2, 3, stops=True).met(ended) == enough


def test_the_command_names_what_was_solved_and_the_lanes_that_were_decided(tmp_path):
    home = tmp_path / "a folder"
    home.mkdir()
    plan = small_plan(home, count=1)
    (one,) = plan.read(plan.inputs)
    assert "--lanes" not in plan.repeating(one, 4, 16)  # on a CPU they change no bit
    words = shlex.split(dataclasses.replace(plan, device={"platform": "gpu"}).repeating(one, 4, 16))
    assert words[:2] == ["pulse-jax", "upsample"] and words[2] == str(home / "out" / "0" / "input.png")
    for flag, value in (("--restarts", "5"), ("--seed", "7"), ("--lanes", "16"), ("--preset", "pulse")):
        assert words[words.index(flag) + 1] == value
    repelled = dataclasses.replace(
        plan, config=dataclasses.replace(plan.config, repulsion=1.0), quota=Quota(8, 8, stops=False)
    )
    words = shlex.split(repelled.repeating(one, 4, 16))
    assert words[words.index("--restarts") + 1] == "8"  # each depends on all


def test_automatic_lanes_leave_room_for_the_largest_addition(unchecked, monkeypatch):
    class Taking:
        def __init__(self, taken):
            self.taken = taken

        def memory(self, side):
            return self.taken * side

    card = SimpleNamespace(platform="gpu")
    monkeypatch.setattr(plans, "jax", SimpleNamespace(local_devices=lambda: [card]))
    monkeypatch.setattr(plans, "fitting_lanes", lambda *some, searches, beside: beside)
    for additions, beside in ((Additions(), 0), (Additions(Taking(3), Taking(5)), 20), (Additions(Taking(3)), 12)):
        assert AutomaticLanes(None, pulse(), additions).count(4, 7) == beside
