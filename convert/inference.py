"""A network's sizes, read off the names and shapes of a checkpoint and off what it says about itself.

A naming (one module of `convert.families` each) asks here before it plans; nothing is allocated. Neither JAX nor
PyTorch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from convert.accounting import Clamp, State
from convert.source import CheckpointError, Plain, shown
from pulse_jax.generators.architectures import MAX_MAPPING_LAYERS, MAX_RESOLUTION, ArchitectureConfig

__all__ = ["Inference"]

_Config = TypeVar("_Config", bound=ArchitectureConfig)


class Inference:
    """Sizes of a network that is taken for `family`, from its names and shapes; nothing is allocated."""

    def __init__(self, state: State, family: str) -> None:
        self.state = state
        self.family = family

    def refuse(self, why: str) -> CheckpointError:
        """The error that says what the file looks like, and why it is not converted."""
        return self.state.refuse(f"looks like {self.family}, {why}")

    def largest(self, pattern: str, what: str, most: int) -> int:
        """The largest number that the group of a whole-key pattern matches; -1 if none does.

        Raises:
            CheckpointError: it is larger than `most`.
        """
        found = -1
        for key in self.state.arrays:
            match = re.fullmatch(pattern, key)
            if match:
                digits = match[1].lstrip("0") or "0"
                if len(digits) > 6 or int(digits) > most:
                    raise self.refuse(
                        f"but '{shown(key)}' claims {what} {shown(digits, 12)}; at most {most} is allowed"
                    )
                found = max(found, int(digits))
        return found

    def resolution(self, pattern: str) -> int:
        """The largest block, a power of two from 4 to the limit, whose names say their size in pixels."""
        return self._power(self.largest(pattern, "resolution", MAX_RESOLUTION))

    def blocks(self, pattern: str, *, first: int = 0) -> int:
        """The resolution where names count the blocks from 4x4 = `first`."""
        level = self.largest(pattern, "block", MAX_RESOLUTION.bit_length() - 3 + first)
        return 4 if level < first else 2 ** (level - first + 2)

    def _power(self, size: int) -> int:
        if size == -1:
            return 4
        if size < 4 or size & (size - 1):
            raise self.refuse(f"but its largest block claims {size}x{size}; expected a power of two from 4")
        return size

    def depth(self, pattern: str, *, first: int = 0) -> int:
        """How many layers the mapping network has, from names that count them from `first`.

        Raises:
            CheckpointError: there are too many, or none: it is a synthesis network alone.
        """
        depth = self.largest(pattern, "mapping layer", MAX_MAPPING_LAYERS - 1 + first) + 1 - first
        if depth < 1:
            raise self.without_mapping()
        return depth

    def without_mapping(self) -> CheckpointError:
        """The error for a synthesis network alone."""
        return self.refuse("a network without its mapping: only synthesis; give the whole generator, or both files")

    def size(self, key: str, axis: int, rank: int) -> int:
        """The length of one axis of an array.

        Raises:
            CheckpointError: the array is missing or has another rank, or the axis is empty.
        """
        array = self.state.arrays.get(key)
        if array is None:
            raise self.refuse(f"but {self.state.missing(key)}")
        if array.ndim != rank or array.shape[axis] < 1:
            raise self.refuse(f"but '{shown(key)}' has shape {array.shape!s:.80}; expected {rank} axes")
        return int(array.shape[axis])

    def value(self, name: str, default: Plain) -> Plain:
        """The first plain value whose dotted name ends with `name`."""
        for key, value in self.state.values.items():
            if _ends(key, name):
                return value
        return default

    def clamp(self, clamp: Clamp, pattern: str) -> float | None:
        """The clamp of all layers: the user's, or what the file's values of matching names agree on.

        Raises:
            CheckpointError: layers disagree, or it is no number.
        """
        said = {key: value for key, value in self.state.values.items() if re.fullmatch(pattern, key)}
        if clamp != "file":
            return clamp
        result = next(iter(said.values()), None)
        for key, value in said.items():
            if value != result or not (value is None or (type(value) in (int, float))):
                raise self.refuse(
                    f"but {shown(key)} = {shown(value, 40)} where other layers have {shown(result, 40)}; "
                    "one clamp for all layers is supported"
                )
        return None if result is None else float(result)  # pyright: ignore[reportArgumentType]

    def multiplier(self, pattern: str, default: float = 0.01) -> float:
        """The mapping network's learning rate multiplier, where the file says it; all layers must agree."""
        said = [value for key, value in self.state.values.items() if re.fullmatch(pattern, key)]
        if any(value != said[0] for value in said):
            raise self.refuse("but the layers of its mapping network have different learning rate multipliers")
        if not said:
            return default
        if type(said[0]) not in (int, float):
            raise self.refuse(f"but says that the mapping network's multiplier is {shown(said[0], 40)}")
        return float(said[0])  # pyright: ignore[reportArgumentType]

    def full_resolution(self, keys: Iterable[str]) -> None:
        """Refuse a StyleGAN whose progressive growing had not ended."""
        for key in keys:
            said = self.state.values.get(key, 0)
            if type(said) not in (int, float):
                raise self.refuse(f"but says {shown(key)} = {shown(said, 40)}; expected 0, the full resolution")
            lod = self.state.arrays.get(key)
            if lod is not None and lod.shape == () and lod.dtype.kind == "f" and not float(lod) == 0:
                raise self.refuse(
                    f"but '{shown(key)}' is {float(lod):.4g}: its training had not reached the full resolution, "
                    "and only finished networks (lod 0) are supported"
                )

    def labels(self, key: str, axis: int, first: str) -> int:
        """How many classes there are, by an axis of the matrix `key` that embeds them; 0 for a network without.

        Raises:
            CheckpointError: the matrix is missing, though the `first` layer is twice as wide as a network's without.
        """
        shape = self.state.arrays[first].shape if first in self.state.arrays else ()
        wide = len(shape) == 2 and max(shape) == 2 * min(shape) > 0
        said = self.value("c_dim", None)
        said = self.value("label_size", None) if said is None else said
        if wide and shape[axis] > shape[1 - axis] and key not in self.state.arrays and not said:
            if said == 0:
                raise self.refuse(
                    f"but takes a z of {max(shape)} numbers and has a w of {min(shape)}: only equally wide ones are "
                    "supported"
                )
            raise self.refuse(
                f"but its first mapping layer takes {max(shape)} numbers for a w of {min(shape)}: either z is wider "
                f"than w, which is not supported, or it takes labels and {self.state.missing(key)}"
            )
        return self.size(key, axis, 2) if wide or key in self.state.arrays else 0

    def expect(self, name: str, allowed: Iterable[Plain], why: str) -> None:
        """Refuse a file that says of itself, under any value whose dotted name ends with `name`, something else."""
        allowed = tuple(allowed)
        for key, value in self.state.values.items():
            if _ends(key, name) and not any(value == good for good in allowed):
                raise self.refuse(f"but says {shown(key)} = {shown(value, 40)}; {why}")

    def filter(self, name: str, taps: tuple[int, ...]) -> None:
        """Refuse a file that says, under any value whose dotted name ends with `name`, that it filters otherwise.

        Taps count up to a factor: programs divide them by their sum.
        """
        for key in (*self.state.values, *self.state.inert):
            if not _ends(key, name):
                continue
            said = self.state.values.get(key)
            if isinstance(said, tuple) and len(said) == len(taps) and sum(said):
                scale = sum(taps) / sum(said)
                if all(abs(scale * one - tap) <= 1e-6 * tap for one, tap in zip(said, taps, strict=True)):
                    continue
            told = shown(self.state.inert.get(key, said), 60)
            raise self.refuse(f"but says {shown(key)} = {told}; only a filter of the taps {taps} is supported")

    def architecture(self, kind: type[_Config], **sizes: Any) -> _Config:
        """Return the architecture of these sizes.

        Raises:
            CheckpointError: A size is out of range.
        """
        try:
            return kind(**sizes)
        except ValueError as error:
            raise self.refuse(f"but its sizes are out of range: {error}") from None


def _ends(key: str, name: str) -> bool:
    """Whether the last parts of a dotted or slashed name are `name`."""
    return f".{key.replace('/', '.')}".endswith(f".{name}")
