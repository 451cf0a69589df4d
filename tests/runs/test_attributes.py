"""Tables of attributes, good and bad."""

import pytest

from pulse_jax.runs.attributes import read_attributes
from pulse_jax.system.errors import RunError


def test_values_by_pictures(tmp_path):
    file = tmp_path / "people.csv"
    file.write_text('\ufefffile,sex,"age, years"\na.png,f,31\n"b c.jpg",,40\n\n', encoding="utf-8")
    assert read_attributes(file) == {"sex": {"a": "f", "b c": ""}, "age, years": {"a": "31", "b c": "40"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "expected a line of headings"),
        (b"file,sex\n", "expected a line of headings"),
        (b"file\na.png\n", "expected a line of headings"),
        (b"file,sex\na.png,f,3\n", "line 2 has 3 values, expected 2"),
        (b"file,sex\n\xff,f\n", "cannot be read"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "people.csv").write_bytes(text)
    with pytest.raises(RunError, match=message):
        read_attributes(tmp_path / "people.csv")
    with pytest.raises(RunError, match="cannot be read"):
        read_attributes(tmp_path / "missing.csv")
