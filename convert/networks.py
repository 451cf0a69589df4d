"""Which of the networks in a file is converted: found whatever it is wrapped in, averaged weights before raw ones."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from convert.accounting import Clamp, Entry, Family, Plan, State
from convert.detect import FIT, family_of, recognised
from convert.source import CheckpointError, Plain, Source, shown

__all__ = ["Account", "account", "gather"]

_T = TypeVar("_T")

# Averaged weights make the better images, and are what the programs themselves use.
_AVERAGED = re.compile(r"Gs|.*EMA.*|(?i:(.*[_-])?ema([_-].*)?|.*(smooth|running|averag|shadow).*)")
_RAW = ("G", "g", "generator", "netG", "params", "decoder", "stylegan_decoder")
# Counters that trainers and averages of weights write beside the arrays, and what optimisers do: no part of a network.
_COUNTERS = re.compile(r"n_averaged|(global_)?steps?|iter(ation)?s?|epochs?|(cur_)?k?n?img|ada_aug_p")
_OPTIMISERS = re.compile(r"\w*optim\w*|\w*sched\w*")
_MAX_DEPTH = 8


@dataclasses.dataclass(frozen=True)
class Account:
    """A recognised checkpoint: its arrays and where each of them goes.

    Attributes:
        plan, state: see `convert.accounting`.
        network: which of a file's networks it is, empty for a file of only one.
        left: the file's other networks, each with what it is.
        sources: the files.
    """

    plan: Plan
    state: State
    network: str
    left: tuple[str, ...]
    sources: tuple[Source, ...]

    @property
    def description(self) -> str:
        """Where the weights come from, as a generator folder keeps it."""
        files = "; ".join(f"{source.container} sha256:{source.sha256}" for source in self.sources)
        return f"{self.plan.family}; {files}"


@dataclasses.dataclass(frozen=True)
class _Part:
    """Arrays of a file that have a name in common.

    Attributes:
        name: that name, dotted; empty for a whole file.
        arrays: arrays, by what follows in their names.
        kind: the naming that knows them, the words for what is not supported, or None.
    """

    name: str
    arrays: Mapping[str, np.ndarray]
    kind: Family | str | None

    @property
    def words(self) -> str:
        """The name and what it is, printable."""
        kind = self.kind.name if isinstance(self.kind, Family) else self.kind or f"{len(self.arrays)} other arrays"
        return f"{shown(self.name) or 'the only one'} ({kind})"

    @property
    def rank(self) -> tuple[bool, int]:
        """The lower, the better a choice: averaged weights, then those of a usual name."""
        words = self.name.split(".")
        known = [_RAW.index(word) for word in words if word in _RAW]
        return not any(map(_AVERAGED.fullmatch, words)), min(known, default=len(_RAW))


def account(
    sources: Sequence[Source], clamp: Clamp = "file", network: str | None = None, resolution: int | None = None
) -> Account:
    """Recognise a checkpoint, of one file or several, and plan its conversion.

    Args:
        sources: the files.
        clamp: StyleGAN2's bound on activations.
        network: the name of the network to take, or its last part; None for the best one.
        resolution: the side of the pictures, where a network makes them in several sizes; None for its own.

    Raises:
        CheckpointError: there is no supported generator or none of that name or resolution, or its names, shapes or
            sizes do not fit together.
    """
    state, name, left = gather(sources, network)
    family = family_of(state)
    state = dataclasses.replace(_completed(state, family), resolution=resolution)
    fit = [Entry(key, f"gaussian_fit/{key}") for key in sorted(FIT)]
    if FIT & set(state.arrays):
        bare = dataclasses.replace(state, arrays={k: v for k, v in state.arrays.items() if k not in FIT})
        plan = family.plan(bare, clamp)
        plan = dataclasses.replace(plan, entries=(*plan.entries, *fit))
    else:
        plan = family.plan(state, clamp)
    if resolution not in (None, plan.config.resolution):
        raise state.refuse(f"looks like {plan.name}, which makes no pictures of another size; leave --resolution out")
    return Account(plan, state, name, left, tuple(sources))


def _completed(state: State, family: Family) -> State:
    """The state with plain numbers as arrays where the naming has arrays, and the mean of w as one.

    TensorFlow's programs pickle variables without axes as numbers; encoders of pictures repeat the mean in every layer.
    """
    arrays = dict(state.arrays)
    for key, value in state.values.items():
        if type(value) in (int, float) and key not in arrays and family.knows(key):
            arrays[key] = np.array(value, np.float32)
    average = arrays.get(family.average)
    if average is not None and average.ndim == 2 and len(average):
        if (average != average[0]).any():
            raise state.refuse(f"'{shown(family.average)}' has {len(average)} rows that differ; expected one mean of w")
        arrays[family.average] = average[0]
    return dataclasses.replace(state, arrays=arrays)


def gather(sources: Sequence[Source], network: str | None = None) -> tuple[State, str, tuple[str, ...]]:
    """The arrays of the network to convert, from all files, that network's name, and what is left.

    Raises:
        CheckpointError: there are no files, a file holds no generator or several, or two hold the same array.
    """
    if not sources:
        raise CheckpointError("no checkpoint: expected at least one file")
    arrays: dict[str, np.ndarray] = {}
    values: dict[str, Plain] = {}
    inert: dict[str, str] = {}
    homes: dict[str, Source] = {}
    names: list[str] = []
    left: list[str] = []
    for source in sources:
        flat = _flat(source)
        parts = list(_parts(flat))
        chosen = _choose(source, parts, network)
        names += [chosen.name] if chosen.name else []
        left += [part.words for part in parts if part is not chosen and part.name]
        # What lies beside the networks, as rosinality's mean of w does, belongs to them, but for counters and the like.
        beside = {key: array for key, array in flat.items() if chosen.name and "." not in key and array.size > 1}
        for key, array in (*chosen.arrays.items(), *beside.items()):
            if key in homes:
                other = shown(homes[key].path, 200) if homes[key] is not source else "the same file"
                raise CheckpointError(f"{shown(source.path, 200)}: '{shown(key)}' stands in {other} as well")
            homes[key] = source
            arrays[key] = array
        values |= _below(chosen.name, _named(source.values)) | source.values.get("", {})
        inert |= source.inert | _below(chosen.name, source.inert)
    where = " and ".join(shown(source.path, 200) for source in sources)
    return State(where, arrays, values, inert), names[0] if names else "", tuple(left)


def _named(table: Mapping[str, Mapping[str, Plain]]) -> dict[str, Plain]:
    return {f"{network}.{key}": value for network, some in table.items() if network for key, value in some.items()}


def _below(name: str, table: Mapping[str, _T]) -> dict[str, _T]:
    """What has a dotted name before its own, without it; a slash may stand for the first dot."""
    starts = {f"{name}.", f"{name}/", f"{name.replace('.', '/', 1)}."} if name else ()
    return {key[len(start) :]: value for key, value in table.items() for start in starts if key.startswith(start)}


def _flat(source: Source) -> dict[str, np.ndarray]:
    """All arrays of a file by their whole names, dotted."""
    flat: dict[str, np.ndarray] = {}
    for network, arrays in source.networks.items():
        for key, array in arrays.items():
            name = f"{network}.{key}" if network else key
            if name in flat:
                raise CheckpointError(f"{shown(source.path, 200)}: '{shown(name)}' stands twice in it")
            flat[name] = array
    return flat


def _parts(arrays: Mapping[str, np.ndarray], name: str = "", depth: int = 0) -> Iterator[_Part]:
    """The networks in arrays that have `name` in common, each wherever its naming is recognised first."""
    own = {key: array for key, array in arrays.items() if not _is_aside(key, array)}
    kind = recognised(own)
    if kind is not None:
        yield _Part(name, own, kind)
        return
    heads: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        head, dot, rest = key.partition(".")
        if dot:
            heads.setdefault(head, {})[rest] = array
    parts = [
        part
        for head, some in heads.items()
        if depth < _MAX_DEPTH
        for part in _parts(some, f"{name}.{head}" if name else head, depth + 1)
    ]
    if any(part.kind is not None for part in parts):
        yield from parts
    else:
        yield _Part(name, arrays, None)


def _is_aside(key: str, array: np.ndarray) -> bool:
    head, dot, _ = key.partition(".")
    return bool(_OPTIMISERS.fullmatch(head)) if dot else array.size == 1 and bool(_COUNTERS.fullmatch(key))


def _choose(source: Source, parts: Sequence[_Part], wanted: str | None) -> _Part:
    where = shown(source.path, 200)
    networks = [part for part in parts if isinstance(part.kind, Family)]
    if not any(part.arrays for part in parts):
        raise CheckpointError(f"{where}: holds no arrays; expected a StyleGAN checkpoint")
    if wanted is not None and networks and any(part.name for part in networks):
        named = [part for part in networks if wanted in (part.name, part.name.rpartition(".")[2])]
        if len(named) != 1:
            listed = "; ".join(part.words for part in networks)
            raise CheckpointError(f"{where}: network: expected one of {listed}, got {shown(wanted)}")
        return named[0]
    if not networks:
        return _unsupported(parts)
    best = min(part.rank for part in networks)
    tops = [part for part in networks if part.rank == best]
    if len(tops) > 1:
        listed = "; ".join(part.words for part in networks)
        raise CheckpointError(f"{where}: holds several networks; choose one with --network: {listed}")
    return tops[0]


def _unsupported(parts: Sequence[_Part]) -> _Part:
    """What a file holds that has no network of a supported naming: generators first, all of it if nothing is known."""
    told = [part for part in parts if part.kind is not None]
    if told:
        return min(told, key=lambda part: ("discriminator" in str(part.kind), part.rank))
    (whole,) = parts
    return whole
