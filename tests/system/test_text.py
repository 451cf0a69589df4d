"""Texts for people: one printable line each, whatever they are made from."""

import errno
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_jax.system.text import differences, duration, printable, reason_of, short

# --- printable ---


def test_what_is_printable_stays_and_the_rest_is_escaped():
    assert printable("é ε 字.png") == "é ε 字.png"
    assert printable("a\nb\x1b[31m\u202e\udcff") == r"a\nb\x1b[31m\u202e\udcff"
    assert printable(17) == "17"


@given(st.text(st.characters(exclude_categories=()), max_size=60), st.integers(2, 50))
def test_any_text_is_one_printable_line_no_longer_than_asked_for(text, limit):
    line = printable(text, limit)
    assert line.isprintable() and len(line) <= limit
    line.encode("utf-8")


def test_a_long_line_loses_its_middle_alone():
    assert printable("x" * 200) == "x" * 200
    assert len(printable("x" * 1000)) == 200
    line = printable("a" * 150 + "b" * 150 + ".png")
    assert len(line) == 200 and line.startswith("aaaa") and line.endswith("b.png") and line.count("…") == 1


# --- reason_of ---


def test_a_reason_has_no_file_name():
    with pytest.raises(OSError) as caught:
        Path("/nowhere/to/be/found").read_bytes()
    assert reason_of(caught.value) == os.strerror(errno.ENOENT)
    assert "nowhere" not in reason_of(PermissionError(errno.EACCES, "Permission denied", "/nowhere"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("expected 3\n"), r"expected 3\n"),
        (ValueError(), "ValueError"),
        (OSError("no space"), "no space"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_reason_is_what_the_error_says_or_is(error, reason):
    assert reason_of(error) == reason


def test_a_reason_is_short():
    assert len(reason_of(ValueError("x" * 1000))) == 120


# --- numbers ---


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (65.0, "1 min 05 s"),
        (3599.4, "59 min 59 s"),
        (3599.7, "1 h 00 min"),
        (7800.0, "2 h 10 min"),
        (100 * 3600.0, "100 h 00 min"),
    ],
)
def test_durations_as_a_person_says_them(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("error", "words"), [(8.7e-4, "8.7e-4"), (0.25, "2.5e-1"), (1.0, "1.0e0"), (9.96, "1.0e1"), (0.0, "0")]
)
def test_errors_in_two_digits(error, words):
    assert short(error) == words


@pytest.mark.parametrize("error", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_number(error):
    assert short(error) == "no number"


@given(st.floats(1e-300, 1e300))
def test_two_digits_are_within_a_twentieth_of_the_first(error):
    assert float(short(error)) == pytest.approx(error, rel=0.05)


# --- differences ---


def test_differences_name_the_place_and_both_values():
    earlier = {"config": {"eps": 0.001, "steps": 100, "phases": [1, 2]}, "seed": 0}
    now = {"config": {"eps": 0.002, "steps": 100, "phases": [1, 3]}, "seed": 0}
    assert differences(earlier, now) == ["config.eps was 0.001, is 0.002", "config.phases was [1, 2], is [1, 3]"]
    assert differences(earlier, earlier) == []


def test_what_is_there_on_one_side_only_differs_from_null():
    assert differences({"a": 1}, {"b": {"c": 2}}) == ["a was 1, is null", 'b was null, is {"c": 2}']


def test_long_values_are_cut():
    (told,) = differences({"a": "x" * 1000}, {"a": "y"})
    assert told.startswith('a was "xxx') and told.endswith('..., is "y"') and len(told) < 90


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=3), children),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1, max_size=3), _JSON, max_size=4))
def test_nothing_differs_from_itself_and_a_new_value_from_all(value):
    assert differences(value, value) == []
    assert differences(value, {**value, "new key": 1}) == ["new key was null, is 1"]
