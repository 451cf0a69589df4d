"""Checks of settings."""

from __future__ import annotations

import functools
import math
import types
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["check_count", "check_positive", "conforms", "is_whole", "shortened"]


def check_positive(name: str, value: object) -> None:
    """Check that a setting is a positive number.

    Args:
        name: Name of the setting.
        value: Its value.

    Raises:
        ValueError: It is no number, not positive, or 1e30 or more.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise ValueError(f"{name}: expected a positive number, got {shortened(value)}")


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number of Python's or NumPy's, and not a truth value."""
    return not isinstance(value, bool) and hasattr(value, "__index__") and getattr(value, "ndim", 0) == 0


def check_count(name: str, value: object) -> None:
    """Check that a setting counts something.

    Args:
        name: Name of the setting.
        value: Its value.

    Raises:
        ValueError: It is no whole number, or none from 1 on.
    """
    if not is_whole(value) or not value >= 1:  # pyright: ignore[reportOperatorIssue]
        raise ValueError(f"{name}: expected a whole number, 1 or more, got {shortened(value)}")


def shortened(value: object) -> str:
    """Return a value as a part of a line; of numbers too long to be written, how long they are."""
    if type(value) is int and abs(value) >= 10**80:
        return f"a number of {value.bit_length()} bits"
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # such a number, or what is deep, in a list
        return f"a {type(value).__name__}"


# Working them out takes many times as long as a check.
_hints = functools.cache(get_type_hints)


def conforms(value: object, kind: Any) -> bool:
    """Return whether a value that was read from JSON is of a type, as annotations write it.

    Args:
        value: The value.
        kind: A plain type, `Any`, a union, `list[T]`, `dict[str, T]` or a `TypedDict`, of which keys may be missing and
            others be there. Truth values are no numbers, and whole numbers that float64 holds are of type float.
    """
    if kind is Any:
        return True
    if is_typeddict(kind):
        hints = _hints(kind)
        return isinstance(value, dict) and all(
            conforms(item, hints[key]) for key, item in value.items() if key in hints
        )
    origin, parts = get_origin(kind), get_args(kind)
    if origin is NotRequired:
        return conforms(value, parts[0])
    if origin in (Union, types.UnionType):
        return any(conforms(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(conforms(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(conforms(item, parts[1]) for item in value.values())
    if kind is float:
        whole = type(value) is int and abs(value) <= 2**1023
        return whole or (type(value) is float and math.isfinite(value))
    return type(value) is kind
