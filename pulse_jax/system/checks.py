"""Checks of settings."""

from __future__ import annotations

__all__ = ["check_positive"]


def check_positive(name: str, value: float) -> None:
    """Raises `ValueError`, naming the setting, for what is no positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise ValueError(f"{name}: expected a positive number, got {value!r:.80}")
