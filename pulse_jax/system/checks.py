"""Checks of settings."""

from __future__ import annotations

__all__ = ["check_positive"]


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
