"""Checks of settings."""

from __future__ import annotations

__all__ = ["check_count", "check_positive", "is_whole"]


def check_positive(name: str, value: object) -> None:
    """Check that a setting is a positive number.

    Args:
        name: Name of the setting.
        value: Its value.

    Raises:
        ValueError: It is no number, not positive, or 1e30 or more.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise ValueError(f"{name}: expected a positive number, got {value!r:.80}")


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
        raise ValueError(f"{name}: expected a whole number, 1 or more, got {value!r:.80}")
