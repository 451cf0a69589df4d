"""Files of landmarks: what they hold, and what is wrong with others."""

import json

import numpy as np
import pytest

from pulse_jax.images.landmarks import read_landmarks
from pulse_jax.system.errors import RunError
from tests.images.photographs import face


def test_faces_by_the_name_of_the_photograph(tmp_path):
    five, many = face((10, 20), 5), np.random.default_rng(0).uniform(0, 9, (68, 2))
    path = tmp_path / "l.json"
    path.write_text(json.dumps({"a.jpg": [five.tolist(), many.tolist()], "b.jpg": []}))
    found = read_landmarks(path)
    assert found.keys() == {"a.jpg", "b.jpg"} and found["b.jpg"] == []
    np.testing.assert_array_equal(found["a.jpg"][0].points, five)
    np.testing.assert_array_equal(found["a.jpg"][1].points, many)
    assert found["a.jpg"][0].score is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", r"l\.json: not JSON"),
        ("[]", r'l\.json: expected {"photo\.jpg": \[face'),
        ('{"a.jpg": 3}', "a list of faces for each photograph"),
        ('{"a.jpg": [[[1, 2], [3, 4]]]}', r"face 1 of a\.jpg: expected 5 or 68 points of two numbers"),
        ('{"a.jpg": [[[1, 2], [3]]]}', r"face 1 of a\.jpg: "),
        ('{"a.jpg": ["x"]}', r"face 1 of a\.jpg: "),
        ('{"a.jpg": [[[1, 2], [1, 2], [1, 2], [1, 2], [1, NaN]]]}', "expected numbers, got NaN"),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path, text, told):
    path = tmp_path / "l.json"
    path.write_text(text)
    with pytest.raises(RunError, match=told) as caught:
        read_landmarks(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        read_landmarks(tmp_path / "none.json")
