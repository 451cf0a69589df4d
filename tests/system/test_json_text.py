"""JSON of strangers: what is wrong with it is a `ValueError`, and values have the types that records have."""

import pytest

from pulse_jax.runs.formats import SolutionsFile
from pulse_jax.system.checks import conforms
from pulse_jax.system.json_text import json_text, parse_json


def test_what_json_says_is_returned():
    assert parse_json(b'{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}


def test_records_have_a_line_for_each_entry_and_one_for_a_list_of_numbers():
    value = {"a": [1, -2.5e-7, None], "b": [], "c": [{"d": [[1], [2]]}, "[\n 1,\n 2]"], "e": ["x", "y"]}
    text = json_text(value)
    assert parse_json(text) == value
    assert ' "a": [1, -2.5e-07, null],\n' in text and ' "e": [\n  "x",\n  "y"\n ]' in text
    with pytest.raises(ValueError):
        json_text([float("nan")])


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe", "[" * 100_000, '{"a":' * 100_000, "[" * 500 + "]" * 500, "1" * 10_000, '{"a":1,"a":2}'],
    ids=["empty", "cut", "binary", "deep lists", "deep objects", "500 deep", "digits", "twice"],
)
def test_what_is_no_json_is_told(text):
    with pytest.raises(ValueError):
        parse_json(text)


_RECORD = {
    "input": "a.png",
    "searches": 1,
    "image_number": 3,
    "solved": "now",
    "sheet": None,
    "solutions": [{"loss": 1}],
}


@pytest.mark.parametrize(
    "changes",
    [
        {"input": 5},
        {"searches": "1"},
        {"searches": True},
        {"image_number": 1.0},
        {"solutions": {}},
        {"solutions": [[]]},
        {"solutions": [{"loss": "x"}]},
        {"solutions": [{"loss": 10**400}]},
        {"solutions": [{"downscaling_error": float("nan")}]},
        {"solutions": [{"variations": [{"feasible": 1}]}]},
        {"notes": [3]},
    ],
    ids=str,
)
def test_records_of_other_types_do_not_conform(changes):
    assert conforms(_RECORD, SolutionsFile)
    assert not conforms(_RECORD | changes, SolutionsFile)
