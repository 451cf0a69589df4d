"""What a visitor can ask for, checked before anything is done; no JAX."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulse_jax.runs.names import is_input_name
from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import printable

__all__ = ["MAX_RESTARTS", "Offer", "Request", "picture_name"]

MAX_RESTARTS = 32
"""Searches that one request may ask for."""
_MAX_SEED = 2**32 - 1
_LONGEST_STEM = 60


@dataclass(frozen=True)
class Offer:
    """What can be asked for.

    Attributes:
        presets: Names of the presets that suit the generator; the first one is the default.
        sizes: Sides of inputs, ascending.
        size: Side of the solutions.
        finds_faces: Whether what finds faces is installed.
    """

    presets: Sequence[str]
    sizes: Sequence[int]
    size: int
    finds_faces: bool


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one visitor asks for of one picture.

    Attributes:
        preset: Name of the preset.
        restarts: Searches, 1 to `MAX_RESTARTS`.
        seed: What the random starts are drawn from, 0 to 2³² − 1.
        eps: Largest error that counts as feasible, in (0, 1]; None for the preset's.
        input_size: Side to which the picture, or its face, is downscaled; None for what suits it.
        face: Whether the largest face is cut out; else the centre square is.
    """

    preset: str
    restarts: int = 4
    seed: int = 0
    eps: float | None = None
    input_size: int | None = None
    face: bool = False

    @classmethod
    def of(cls, values: dict[str, Any], offer: Offer) -> "Request":
        """Return the request of values that may come from anybody.

        Args:
            values: By the attributes' names; what is missing is as by default.
            offer: What can be asked for.

        Raises:
            UsageError: A value is none that can be asked for.
        """
        given = {"preset": offer.presets[0], **values}
        preset, size = given["preset"], given.get("input_size")
        if preset not in offer.presets:
            raise UsageError(f"preset: expected one of {', '.join(offer.presets)}, got {printable(preset, 60)!r}")
        if size is not None and size not in offer.sizes:
            listed = ", ".join(map(str, offer.sizes))
            raise UsageError(f"input size: expected one of {listed}, or none, got {printable(size, 60)}")
        eps = _eps(given.get("eps"))
        face = bool(given.get("face", False))
        if face and not offer.finds_faces:
            raise UsageError("faces: this server cannot find any; choose the centre square")
        return cls(
            preset=preset,
            restarts=_whole("restarts", given.get("restarts", cls.restarts), 1, MAX_RESTARTS),
            seed=_whole("seed", given.get("seed", cls.seed), 0, _MAX_SEED),
            eps=eps,
            input_size=None if size is None else int(size),
            face=face,
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _eps(value: Any) -> float | None:
    """The largest error, which may come as it was typed; nothing is the preset's."""
    if value is None or value == "":
        return None
    try:
        eps = float(value)
    except (TypeError, ValueError):
        eps = math.nan
    if not 0 < eps <= 1:
        raise UsageError(f"eps: expected a mean squared error in (0, 1], or nothing, got {printable(value, 60)}")
    return eps


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if not _is_number(value) or value != int(value) or not low <= value <= high:
        raise UsageError(f"{name}: expected a whole number from {low} to {high}, got {printable(value, 60)}")
    return int(value)


def picture_name(given: str) -> str:
    """Return what an upload is called on disk: as it was, where results can be called so, else `picture`.

    Args:
        given: Name or path that the visitor's file has.
    """
    path = Path("".join(filter(str.isprintable, given.replace("\\", "/"))))
    stem = path.stem[:_LONGEST_STEM].strip()
    suffix = path.suffix if path.suffix[1:].isalnum() and len(path.suffix) < 8 else ""
    return f"{stem if is_input_name(stem) and not stem.startswith('.') else 'picture'}{suffix}"
