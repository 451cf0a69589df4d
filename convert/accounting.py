"""Strict key accounting: every array of a checkpoint is consumed or ignored by name, every one of ours is filled.

A naming (one module of `convert.families` each) is a plan: a list of entries, one per array, each with its key there,
its name here and the change of layout and scale in between. Shapes follow from the architecture, so nothing is
allocated before the whole plan holds. Neither JAX nor PyTorch is imported.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np

from convert.source import CheckpointError, Plain, shown
from pulse_jax.generators.architectures import ArchitectureConfig

__all__ = [
    "Change",
    "Clamp",
    "Entry",
    "Family",
    "Ignored",
    "Plan",
    "State",
    "array_faults",
    "checked",
    "compiled",
    "fill",
    "noise_buffers",
    "resample_filter",
]

Clamp = float | None | Literal["file"]
"""StyleGAN2's `conv_clamp`: a number, None for none, or "file": as the checkpoint says, none where it says nothing."""

Shape = tuple[int, ...]
_SHOWN_MOST = 3


@dataclasses.dataclass(frozen=True)
class Change:
    """How a checkpoint's array becomes ours: axes reordered, unit axes dropped, flipped in space, scaled, shifted.

    Attributes:
        layout: `1oihw->hwio`; letters are axes, 1 is an axis of length one. Empty: as it is.
        flip: reverse our first two axes, a kernel's height and width.
        scale, offset: ours = theirs · scale + offset; a tuple has an offset for each place of our last axis.
    """

    layout: str = ""
    flip: bool = False
    scale: float = 1.0
    offset: float | tuple[float, ...] = 0.0

    def source_shape(self, shape: Shape) -> Shape:
        """The checkpoint's shape of an array that has `shape` here."""
        if not self.layout:
            return shape
        theirs, ours = self.layout.split("->")
        sizes = dict(zip(ours, shape, strict=True))
        return tuple(sizes[axis] if axis != "1" else 1 for axis in theirs)

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """An array of the checkpoint's shape as ours, float32 and contiguous."""
        if self.layout:
            theirs, ours = self.layout.split("->")
            array = array.reshape([size for size, axis in zip(array.shape, theirs, strict=True) if axis != "1"])
            kept = theirs.replace("1", "")
            array = array.transpose([kept.index(axis) for axis in ours])
        if self.flip:
            array = array[::-1, ::-1]
        # A copy in any case: what was read may be a view of the file.
        with np.errstate(over="ignore", invalid="ignore"):
            result = np.array(array, np.float32, order="C")
            if self.scale != 1.0:
                result *= np.float32(self.scale)
            if self.offset:
                result += np.asarray(self.offset, np.float32)
        return result

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        """The inverse of `to_ours`."""
        array = (np.asarray(array, np.float32) - np.asarray(self.offset, np.float32)) / np.float32(self.scale)
        if self.flip:
            array = array[::-1, ::-1]
        if self.layout:
            theirs, ours = self.layout.split("->")
            kept = theirs.replace("1", "")
            shape = self.source_shape(array.shape)
            array = array.transpose([ours.index(axis) for axis in kept]).reshape(shape)
        # Not np.ascontiguousarray, which gives a scalar an axis.
        return np.array(array, np.float32, order="C")


@dataclasses.dataclass(frozen=True)
class Entry:
    """An array that is consumed: its key in the checkpoint, its path in a generator, the change in between."""

    key: str
    target: str
    change: Change = dataclasses.field(default_factory=Change)


@dataclasses.dataclass(frozen=True)
class Ignored:
    """A key that is not consumed, and why.

    `shape` and `value`, where given, must hold: a filter of other taps would make other images. `required`: its absence
    means another network.
    """

    key: str
    reason: str
    shape: Shape | None = None
    value: np.ndarray | None = None
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a checkpoint is and where each of its arrays goes.

    Attributes:
        family: the program whose naming it is.
        config: the architecture, every size inferred.
        entries, ignored: the accounts.
        truncation: the original's default psi and cutoff in layers (None: all of them).
        zeros: targets that are zero because the program has no such arrays.
        note: what the file does not say and people should know, in one line; or nothing.
    """

    family: str
    config: ArchitectureConfig
    entries: tuple[Entry, ...]
    ignored: tuple[Ignored, ...] = ()
    truncation: tuple[float, int | None] = (1.0, None)
    zeros: tuple[str, ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """The family and the size, for messages."""
        return f"{self.family}, {self.config.resolution}x{self.config.resolution}"


@functools.cache
def compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """The regular expression of any of these patterns."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


@dataclasses.dataclass(frozen=True)
class Family:
    """One program's naming.

    Attributes:
        name: The program and the architecture, for messages.
        architecture: Name of the family of generators whose arrays it names, in `pulse_jax`'s table.
        patterns: Whole-key regular expressions of what belongs to it; the naming that knows most keys wins.
        plan: Function from a state, and the user's choice of the clamp, to the accounts.
        entries: Function from an architecture alone to the accounts, for writing this naming; None where that is not
            offered.
        constants: Function from an architecture to keys that its files must hold and whose values are always the same,
            for writing.
        average: Key of the mean of w, where files may hold it and need not.
        default: Whether `convert.export` writes this naming of its architecture when none is asked for.
        short: What `convert.export_file` calls it; empty where it does not offer it.
        place: Name under which the program's files hold the network; empty where they hold nothing else.
        buffers: Function from an architecture to what the program's class keeps beside the weights, filters with their
            values and noise images.
    """

    name: str
    architecture: str
    patterns: tuple[str, ...]
    plan: Callable[[State, Clamp], Plan]
    entries: Callable[[Any], tuple[Entry, ...]] | None = None
    constants: Callable[[Any], Iterable[Ignored]] = lambda config: ()
    average: str = ""
    default: bool = False
    short: str = ""
    place: str = ""
    buffers: Callable[[Any], Iterable[Ignored]] = lambda config: ()

    def knows(self, key: str) -> bool:
        """Whether a key belongs to it."""
        return compiled(self.patterns).fullmatch(key) is not None


@dataclasses.dataclass(frozen=True)
class State:
    """The arrays and plain values of the one network that is converted.

    Attributes:
        where: the file or files, printable.
        arrays: by the file's own keys, a network's prefix removed.
        values: plain values that the file says about it.
        inert: keys whose objects were not understood, and what those are.
        resolution: the side of the pictures that the user asks for; None for the network's own.
    """

    where: str
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Plain] = dataclasses.field(default_factory=dict)
    inert: Mapping[str, str] = dataclasses.field(default_factory=dict)
    resolution: int | None = None

    def refuse(self, why: str) -> CheckpointError:
        """The error for this file."""
        return CheckpointError(f"{self.where}: {why}")

    def missing(self, key: str, shape: Shape | None = None) -> str:
        """What a message says of an array that is not there."""
        if key in self.inert:
            return f"'{shown(key)}' is not an array but {shown(self.inert[key])}"
        return f"'{shown(key)}'{'' if shape is None else f' of shape {shape}'} is missing"

    def has(self, pattern: str) -> bool:
        """Whether any key matches a whole regular expression."""
        return any(re.fullmatch(pattern, key) for key in self.arrays)


def checked(plan: Plan) -> dict[str, Shape]:
    """The shapes of everything that a plan fills; raises `RuntimeError` for one that leaves out or repeats a target."""
    shapes = plan.config.array_shapes()
    vector = (plan.config.latent_dim,)
    filled = [*(entry.target for entry in plan.entries), *plan.zeros]
    shapes |= {name: vector for name in ("w_avg", "gaussian_fit/mean", "gaussian_fit/std") if name in filled}
    if sorted(filled) != sorted(shapes):
        odd = sorted(set(filled) ^ set(shapes))
        raise RuntimeError(f"{plan.family}: the plan does not fill each target once: {', '.join(odd)}")
    return shapes


def fill(plan: Plan, state: State) -> dict[str, np.ndarray]:
    """Every array of the generator by its path, float32, once the accounts hold.

    Raises:
        CheckpointError: a required key is missing, a key is unknown, or an array has another shape, dtype or value than
            the plan's; the message names them and what the file looks like.
    """
    shapes = checked(plan)
    found = state.arrays
    faults: list[str] = []
    known = {entry.key for entry in plan.entries} | {ignored.key for ignored in plan.ignored}
    for entry in plan.entries:
        kind = _other_kind(entry, shapes[entry.target], found.get(entry.key))
        if kind:
            expected = entry.change.source_shape(shapes[entry.target])
            shown_shapes = "; ".join(array_faults(entry.key, found[entry.key], expected))
            raise state.refuse(f"looks like {plan.name}, but {kind} ({shown_shapes})")
    for entry in plan.entries:
        expected = entry.change.source_shape(shapes[entry.target])
        if entry.key not in found:
            faults.append(state.missing(entry.key, expected))
        else:
            faults += array_faults(entry.key, found[entry.key], expected)
    for ignored in plan.ignored:
        if ignored.key not in found:
            if ignored.required:
                faults.append(state.missing(ignored.key, ignored.shape))
            continue
        array = found[ignored.key]
        wrong = array_faults(ignored.key, array, ignored.shape) if ignored.shape is not None else []
        if not wrong and ignored.value is not None and not np.allclose(array, ignored.value, rtol=1e-3, atol=1e-6):
            wrong = [f"'{shown(ignored.key)}' holds other values than {ignored.reason}"]
        faults += wrong
    faults += [f"'{shown(key)}' of shape {found[key].shape!s:.80} is unknown" for key in found if key not in known]
    if faults:
        more = f"; and {len(faults) - _SHOWN_MOST} more" if len(faults) > _SHOWN_MOST else ""
        raise state.refuse(f"looks like {plan.name}, but {'; '.join(faults[:_SHOWN_MOST])}{more}")
    filled = {target: np.zeros(shapes[target], np.float32) for target in plan.zeros}
    for entry in plan.entries:
        filled[entry.target] = array = entry.change.to_ours(found[entry.key])
        if not np.isfinite(array).all():
            raise state.refuse(f"looks like {plan.name}, but '{shown(entry.key)}' holds NaN, infinite or huge values")
    return filled


def _other_kind(entry: Entry, shape: Shape, array: np.ndarray | None) -> str:
    """What a network does that no network here does, by the array that tells of it; or nothing."""
    if array is None or not entry.target.endswith(("torgb/kernel", "torgb_kernel", "synthesis/const", "dense0_weight")):
        return ""
    if entry.target.endswith("dense0_weight"):
        marked = entry.change.source_shape((-1, shape[1]))
        z = array.shape[marked.index(-1)] if array.ndim == len(marked) else shape[0]
        # With labels, their embedding stands beside z.
        equal = z == shape[0] or shape[0] != shape[1]
        return (
            "" if equal else f"takes a z of {z} numbers and has a w of {shape[1]}: only equally wide ones are supported"
        )
    is_const = entry.target.endswith("const")
    # The axes that count are found by sizes that no array has.
    marked = entry.change.source_shape((-1, -2, shape[2]) if is_const else (*shape[:-1], -1))
    if array.ndim != len(marked):
        return ""
    if is_const:
        height, width = array.shape[marked.index(-1)], array.shape[marked.index(-2)]
        return "" if height == width else f"starts from {height}x{width}: only square pictures are supported"
    colours = array.shape[marked.index(-1)]
    channels = "1 channel" if colours == 1 else f"{colours} channels"
    return "" if colours == 3 else f"makes pictures of {channels}: only RGB networks are supported"


def array_faults(key: str, array: np.ndarray, shape: Shape) -> list[str]:
    """What a message says of an array of another shape, or not of floating point numbers; nothing of a right one."""
    if tuple(array.shape) != shape:
        return [f"'{shown(key)}': expected shape {shape}, got {array.shape!s:.80}"]
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        return [f"'{shown(key)}': expected floating point numbers, got {array.dtype.name}"]
    return []


def noise_buffers(config: ArchitectureConfig, key: str, layout: Literal["11rr", "rr"] = "11rr") -> Iterator[Ignored]:
    """The noise images that come with a checkpoint, `key` counting them as `{}`; a search draws its own."""
    for i, (rows, columns, _) in enumerate(config.noise_shapes):
        shape = (rows, columns) if layout == "rr" else (1, 1, rows, columns)
        yield Ignored(key.format(i), "a stored noise image; noise is an input here", shape)


def resample_filter(taps: tuple[int, ...], gain: float, shape: Shape) -> np.ndarray:
    """The outer product of `taps`, of sum `gain`, broadcast to `shape`."""
    row = np.asarray(taps, np.float32)
    kernel = np.outer(row, row)
    return np.broadcast_to(kernel * np.float32(gain / kernel.sum()), shape)
