"""Files of a study: what is wrong with them is one line, whatever they hold."""

import json
import os

import numpy as np
import pytest

from pulse_jax.runs import study_files
from pulse_jax.runs.study_files import SavedRatings, opinions_of, read_key, read_ratings
from pulse_jax.system.errors import RunError

STUDY = "0123456789abcdef"
PICTURES = {
    "a.png": {"method": "pulse", "input": "x"},
    "b.png": {"method": "hr", "input": "x"},
    "c.png": {"method": "pulse", "input": "y"},
    "d.png": {"method": "hr", "input": "y"},
}
KEY = {"program": "pulse-jax", "format": 1, "study": STUDY, "pictures": PICTURES}
RATINGS = [{"picture": "a.png", "score": 5}, {"picture": "d.png", "score": 1}]
SAVED = {"program": "pulse-jax", "format": 1, "study": STUDY, "rater": " Ada ", "ratings": RATINGS}


def written(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_ratings_come_in_order_of_raters_inputs_and_methods(tmp_path):
    key = read_key(written(tmp_path / "key.json", KEY))
    saved = read_ratings(written(tmp_path / "a.json", {**SAVED, "more": 1}), key)
    assert saved == SavedRatings("Ada", {"a.png": 5, "d.png": 1})
    opinions = opinions_of(key, [saved, SavedRatings("B", {"b.png": 3})])
    assert opinions.methods == ("hr", "pulse") and opinions.inputs == ("x", "y")
    np.testing.assert_array_equal(opinions.scores, [[[0, 5], [1, 0]], [[3, 0], [0, 0]]])


def rated(**rating):
    return {**SAVED, "ratings": [{**RATINGS[0], **rating}]}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "got no JSON"),
        ("[" * 100_000, "nested more than"),
        ('{"study": 1, "study": 2}', "a name twice"),
        ("[]", "a study's page has saved, got something else"),
        ({**SAVED, "program": "other"}, "got something else"),
        ({key: value for key, value in SAVED.items() if key != "rater"}, "got something else"),
        ({**SAVED, "ratings": {"a.png": 5}}, "got something else"),
        ({**SAVED, "format": 2}, "format: expected 1, got 2"),
        ({**SAVED, "study": "another"}, "belongs to another study"),
        ({**SAVED, "rater": "  "}, "rater: expected 1 to 200 characters, got 0"),
        ({**SAVED, "rater": "x" * 201}, "rater: expected 1 to 200 characters, got 201"),
        ({**SAVED, "ratings": []}, "holds no rating"),
        ({**SAVED, "ratings": [RATINGS[0]] * 2}, "picture: a.png is rated twice"),
        ({**SAVED, "ratings": [{"picture": "a.png"}]}, "score: missing from an entry"),
        (rated(picture="e\x1b[31m\n.png"), r"the study has none called e\x1b[31m\n.png"),
        (rated(score=0), "score: expected 1 to 5, got 0"),
        (rated(score=6), "score: expected 1 to 5, got 6"),
        (rated(score=10**500), "score: expected 1 to 5, got a number of"),
        (rated(score=3.5), "got something else"),
        (rated(score=True), "got something else"),
    ],
)
def test_what_is_wrong_with_ratings_is_one_printable_line(tmp_path, value, told):
    with pytest.raises(ValueError) as error:
        read_ratings(written(tmp_path / "a.json", value), KEY)
    assert told in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (SAVED, "the key.json that study make wrote, got something else"),
        ({**KEY, "pictures": {}}, "expected 1 to 20000 pictures, got 0"),
        ({**KEY, "pictures": {"a.png": {"method": "hr"}}}, "input: missing from an entry"),
        ({**KEY, "pictures": {"a.png": PICTURES["a.png"], "b.png": PICTURES["a.png"]}}, "one picture of every method"),
        ({**KEY, "pictures": dict([*PICTURES.items()][:3])}, "one picture of every method and input"),
        (
            {**KEY, "pictures": {str(i): {"method": str(i), "input": "x"} for i in range(51)}},
            "at most 50 methods, got 51",
        ),
    ],
)
def test_what_is_wrong_with_a_key_is_one_line(tmp_path, value, told):
    with pytest.raises(RunError, match=told) as error:
        read_key(written(tmp_path / "key.json", value))
    assert "key.json: " in str(error.value)


def test_what_is_no_file_or_too_large_is_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    for name, told in (("pipe", "got a folder or device"), (".", "got a folder or device"), ("no", "No such file")):
        with pytest.raises(ValueError, match=told):
            read_ratings(tmp_path / name, KEY)
    monkeypatch.setattr(study_files, "_LIMIT", 10)
    with pytest.raises(ValueError, match="larger than"):
        read_ratings(written(tmp_path / "a.json", SAVED), KEY)
