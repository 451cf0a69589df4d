"""Names of inputs' results."""

from pathlib import Path

import pytest

from pulse_jax.runs.inputs import find_inputs, result_names
from tests.runs.small_plan import small_plan


def named(*paths):
    return [*result_names([Path("/home/me") / path for path in paths]).values()]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.png", "b.jpg"], ["a", "b"]),
        (["IMG_1.HEIC", "IMG_1.jpg"], ["IMG_1", "IMG_1.jpg"]),
        (["a.png", "A.jpg"], ["a", "A.jpg"]),
        (["a/0001.png", "b/0001.png", "c/0001.png"], ["0001", "b-0001", "c-0001"]),
        (["a/1.png", "b/1.png", "b/1.jpg"], ["1", "b-1", "b-1.jpg"]),
        (["x/b/1.png", "y/b/1.png", "z/b/1.png"], ["1", "b-1", "z-b-1"]),
        (["a.png", "a.jpg", "a.jpg.png"], ["a", "a.jpg", "a.jpg.png"]),
        (["sheet.jpg", "sheet.png"], ["sheet", "me-sheet"]),  # a run's own file is called sheet.png
        (["\u00e9.png", "e\u0301.png"], ["\u00e9", "e\u0301.png"]),
    ],
)
def test_results_have_names_of_their_own(paths, names):
    assert named(*paths) == names
    for count in range(len(paths)):  # more inputs behind change nothing
        assert named(*paths[:count]) == names[:count]


def test_names_stay_short_enough_for_a_file_system():
    long = "x" * 200
    assert named(f"a/{long}.png", f"{long}/{long}.png") == [long, f"{long}-2"]


def test_names_of_a_runs_own_files_are_still_refused(tmp_path):
    paths = [tmp_path / name for name in ("sheet.png.png", ".pulse-jax-state.png", "fine.png")]
    for path in paths:
        path.write_bytes(b"x")
    found, failures = find_inputs(paths, tmp_path / "out")
    assert found == paths[2:] and len(failures) == 2


def test_a_name_that_is_not_the_files_is_told(tmp_path):
    plan = small_plan(tmp_path, count=2)
    twin = tmp_path / "twin" / plan.inputs[0].name
    twin.parent.mkdir()
    twin.write_bytes(plan.inputs[0].read_bytes())
    plan = small_plan(tmp_path, count=2, inputs=[*plan.inputs, twin])
    *_, last = plan.read(plan.inputs)
    assert (last.name, last.notes[-1]) == ("twin-0", "its results are called twin-0")
