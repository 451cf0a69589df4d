"""What pages of one file are filled in from: templates, styles and scripts of `data/`, and JSON inside of HTML."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["asset", "replaced", "script_json"]


@cache
def asset(name: str) -> str:
    """Return a text file of the package.

    Args:
        name: Its path below `data/`.
    """
    return (files("pulse_jax") / "data" / name).read_text(encoding="utf-8")


def replaced(text: str, filled: Mapping[str, str]) -> str:
    """Return a template with its marks filled in; what is filled in is never looked at for marks of its own.

    Args:
        text: The template.
        filled: What takes the place of each mark, as HTML.
    """
    for mark, value in filled.items():
        if mark in text:
            rest = {name: other for name, other in filled.items() if name != mark}
            return value.join(replaced(part, rest) for part in text.split(mark))
    return text


def script_json(value: Any) -> str:
    """Return JSON in ASCII that no browser reads as the end of a script or as the begin of a comment.

    Raises:
        ValueError: It holds a number that is not finite.
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
