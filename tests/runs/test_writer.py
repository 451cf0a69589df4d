"""The writer of inputs' files: published once all searches have ended, counted, and taken up again."""

import dataclasses
import json
import time
import weakref

import numpy as np
import pytest

from pulse_jax.runs import writer as writer_module
from pulse_jax.runs.folder import RunFolder
from pulse_jax.runs.inputs import Quota
from pulse_jax.runs.names import RUN_PAGE
from pulse_jax.runs.records import result_files
from pulse_jax.runs.writer import InputWriter
from pulse_jax.system.errors import RunError
from pulse_jax.system.screen import Screen
from tests.runs.small_plan import small_plan, solution_of


def begun(plan):
    folder = RunFolder(plan.output, overwrite=True, resumes=True)
    folder.begin(result_files(plan), {"finished": False, "settings": {}}, {})
    return folder


def written(plan, folder, restarts=(0, 1)):
    """A writer that has been given these solutions of every input."""
    with InputWriter(plan, 2, folder, Screen()) as writer:
        for one in plan.read(plan.inputs):
            for restart in restarts:
                assert not one.is_complete
                writer.take(one, solution_of(plan, one, restart))
    return writer


def test_what_is_written_was_announced_and_is_counted(tmp_path):
    plan = small_plan(tmp_path)
    folder = begun(plan)
    writer = written(plan, folder)
    writer.write_sheet()
    folder.forget()
    folder.close()
    found = {path.relative_to(plan.output).as_posix() for path in plan.output.rglob("*") if path.is_file()}
    # The page is the run's, which writes it beside its last summary.
    assert found == {*result_files(plan), "summary.json"} - {RUN_PAGE}
    records = list(writer.records())
    solutions = [solution for record in records for solution in record["solutions"]]
    truth = [solution_of(plan, one, k) for one in plan.read(plan.inputs) for k in (0, 1)]
    assert [one.feasible for one in truth] == [False, True, False, False]
    assert (writer.tally.inputs, writer.tally.searches, writer.tally.solutions) == (2, 4, 4)
    assert writer.tally.feasible == 1 == sum(solution["feasible"] for solution in solutions)
    assert [name for name, _ in writer.tally.missed] == ["1.png"]
    assert sorted(solution["downscaling_error"] for solution in solutions) == sorted(
        one.downscaling_error for one in truth
    )


def test_an_input_appears_with_its_last_search_and_not_before(tmp_path):
    plan = small_plan(tmp_path, count=1)
    folder = begun(plan)
    writer = written(plan, folder, restarts=(1,))
    assert not writer.is_finished(plan.inputs[0]) and not writer.is_empty and writer.tally.inputs == 0
    # Another process takes it up.
    with InputWriter(plan, 2, folder, Screen()) as later:
        (one,) = plan.read(plan.inputs)
        later.recall(one)
        assert one.ended.keys() == {1} and not one.is_complete
        later.take(one, solution_of(plan, one, 0))
        assert one.is_complete
    assert later.is_finished(plan.inputs[0])
    folder.close()


def test_a_quota_that_stops_publishes_early(tmp_path):
    plan = small_plan(tmp_path, count=1, quota=Quota(1, 5, stops=True))
    (one,) = plan.read(plan.inputs)
    assert [solution_of(plan, one, k).feasible for k in (0, 1)] == [False, True]
    folder = begun(plan)
    writer = written(plan, folder)
    (record,) = writer.records()
    assert record["searches"] == 2 and [solution["restart"] for solution in record["solutions"]] == [1]
    folder.close()


def test_few_pictures_are_in_memory_however_slow_the_disk_is(tmp_path, monkeypatch):
    plan = small_plan(tmp_path, count=60, quota=Quota(1, 1, stops=False), sheets=False)
    monkeypatch.setattr(writer_module, "usable_cores", lambda: 1)
    monkeypatch.setattr(writer_module, "_LEAST_WRITERS", 2)
    real = writer_module.write_solutions

    def slow(*arguments, **named):
        time.sleep(0.01)
        real(*arguments, **named)

    monkeypatch.setattr(writer_module, "write_solutions", slow)
    folder, alive, most = begun(plan), [], 0
    with InputWriter(plan, 2, folder, Screen()) as writer:
        for one in plan.read(plan.inputs):
            solution = solution_of(plan, one, 0)
            alive.append(weakref.ref(solution))
            writer.take(one, solution)
            del solution
            most = max(most, sum(one() is not None for one in alive))
    folder.close()
    # Two being written, four for each of them waiting, and this one; as many again that are let go of late.
    assert 2 < most <= 2 * (2 + 8 + 1)
    assert writer.tally.inputs == 60


def test_what_could_not_be_written_in_the_end_is_kept(tmp_path, monkeypatch):
    plan = small_plan(tmp_path, count=1)

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    folder = begun(plan)
    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "write_solutions", full)
        with pytest.raises(RunError, match="No space left"):
            written(plan, folder)
    with InputWriter(plan, 2, folder, Screen()) as later:
        (one,) = plan.read(plan.inputs)
        later.recall(one)
        assert one.ended.keys() == {0, 1} and one.is_complete
    assert later.is_finished(plan.inputs[0])
    folder.close()


def test_without_noise_it_is_left_out_and_all_else_is_there(tmp_path):
    noise = (np.ones((4, 4, 1), np.float32),)
    stored = {}
    for kept in (True, False):
        plan = small_plan(tmp_path, count=1, keeps_noise=kept, output=tmp_path / f"out_{kept}")
        folder = begun(plan)
        with InputWriter(plan, 2, folder, Screen()) as writer:
            for one in plan.read(plan.inputs):
                for k in (0, 1):
                    writer.take(one, dataclasses.replace(solution_of(plan, one, k), noise=noise))
        folder.close()
        with np.load(plan.output / "0" / "solutions.npz") as arrays:
            stored[kept] = dict(arrays)
    np.testing.assert_array_equal(stored[True].pop("noise_00"), np.ones((2, 4, 4, 1)))
    assert stored[True].keys() == stored[False].keys()
    for name, array in stored[True].items():
        np.testing.assert_array_equal(stored[False][name], array)


@pytest.mark.parametrize("number", [None, 1, 2])
def test_a_record_of_this_format_or_of_none_is_taken_up(tmp_path, number):
    """One without a number was written before there was any."""
    plan = small_plan(tmp_path, count=1)
    folder = begun(plan)
    written(plan, folder)
    path = plan.output / "0" / "solutions.json"
    record = json.loads(path.read_text())
    assert record.pop("format") == 1
    path.write_text(json.dumps(record if number is None else {"format": number, **record}))
    later = InputWriter(plan, 2, folder, Screen())
    if number == 2:
        with pytest.raises(RunError, match=r"solutions\.json: damaged; remove its folder"):
            later.is_finished(plan.inputs[0])
    else:
        (one,) = plan.read(plan.inputs)
        assert later.is_finished(plan.inputs[0]) and later.resume(plan.inputs[0], one)
        assert [*later.records()] == [record]
    folder.close()
