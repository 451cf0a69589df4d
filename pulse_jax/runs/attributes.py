"""A table of attributes of pictures, which results are broken down by."""

import csv
from pathlib import Path

from pulse_jax.system.errors import RunError
from pulse_jax.system.text import printable, reason_of

__all__ = ["read_attributes"]

_MAX_BYTES = 64 * 2**20


def read_attributes(path: Path) -> dict[str, dict[str, str]]:
    """Return the values of each attribute by pictures.

    Args:
        path: CSV file in UTF-8 with a line of headings. The first column holds pictures' names, with their suffix or
            without; each other column is an attribute, empty where nobody knows.

    Raises:
        RunError: It cannot be read, or is no such file.
    """
    name = printable(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RunError(f"{name}: larger than {_MAX_BYTES >> 20} MB; leave out what is not compared")
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{name}: cannot be read ({reason_of(error)}); expected a CSV file in UTF-8") from error
    lines = [line for line in lines if line]
    if len(lines) < 2 or len(lines[0]) < 2:
        raise RunError(f"{name}: expected a line of headings, pictures' names below the first, attributes beside it")
    head, *rest = lines
    for number, line in enumerate(rest, 2):
        if len(line) != len(head):
            raise RunError(f"{name}: line {number} has {len(line)} values, expected {len(head)} as the headings say")
    return {
        attribute: {Path(line[0]).stem: line[column] for line in rest} for column, attribute in enumerate(head[1:], 1)
    }
