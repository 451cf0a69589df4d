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
_AVERAGED = re.compile(
    r"G_?s|.*EMA.*|.*[a-z]Ema|generator_test|(?i:g?ema\d*|(.*[_-])?ema\d*([_-].*)?|.*(smooth|running|averag|shadow).*)"
    r"|(?i:(?!exp_)(.*[_-])?(avg|swa|polyak|mean)([_-].*)?)"
)
_RAW = ("G", "g", "generator", "netG", "params", "decoder", "stylegan_decoder")
# Counters that trainers and averages of weights write beside the arrays, and what optimisers do: no part of a network.
_COUNTERS = re.compile(
    r"n_averaged|num_updates|(ema_)?(decay|beta)|initted|(global_)?steps?|iter(ation)?s?|epochs?|(cur_)?k?n?img|ada_aug_p"
)
_OPTIMISERS = re.compile(r"\w*optim\w*|\w*sched\w*")
# What wraps a network and says nothing of it.
_WRAPPERS = ("module", "_orig_mod")
_MAX_DEPTH = 8
# Names in a file that are looked at for networks: those of honest ones are some thousands.
_MAX_GROUPS = 50_000
_LISTED = 8


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
    def own_name(self) -> str:
        """The last word of the name that says something."""
        return next((word for word in reversed(self.name.split(".")) if word not in _WRAPPERS), "")

    @property
    def averaged(self) -> int:
        """How many words of the name say that the weights are averaged ones: a file's, and a network's own."""
        return sum(map(_says_averaged, self.name.split(".")))

    @property
    def rank(self) -> tuple[int, int]:
        """The lower, the better a choice: averaged weights, then those of a usual name."""
        known = [_RAW.index(word) for word in self.name.split(".") if word in _RAW]
        return -self.averaged, min(known, default=len(_RAW))


def _says_averaged(word: str) -> bool:
    return _AVERAGED.fullmatch(word) is not None


def _listed(told: Sequence[str]) -> str:
    """Some of these, and how many more there are."""
    more = f"; and {len(told) - _LISTED} more" if len(told) > _LISTED else ""
    return "; ".join(told[:_LISTED]) + more


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
            with np.errstate(over="ignore"):  # infinity is refused by name
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
        parts = _joined(list(_Search(source).parts(flat)))
        chosen = _choose(source, parts, network)
        names += [chosen.name] if chosen.name else []
        left += [part.words for part in parts if part is not chosen and part.name]
        if network is None and not chosen.averaged and (unread := _unread_average(source, parts, chosen)):
            left.append(f"{shown(unread)} (averaged weights that cannot be read as a network)")
        for key, array in (*chosen.arrays.items(), *_beside(chosen, flat).items()):
            if key in homes:
                other = shown(homes[key].path, 200) if homes[key] is not source else "the same file"
                raise CheckpointError(f"{shown(source.path, 200)}: '{shown(key)}' stands in {other} as well")
            homes[key] = source
            arrays[key] = array
        values |= _values(chosen.name, source)
        inert |= source.inert | _below(chosen.name, source.inert)
    if network is not None and not names:
        where = " and ".join(shown(source.path, 200) for source in sources)
        raise CheckpointError(f"{where}: the only network has no name, got {shown(network)}; leave --network out")
    where = " and ".join(shown(source.path, 200) for source in sources)
    if len(left) > _LISTED:
        left = [*left[:_LISTED], f"and {len(left) - _LISTED} more"]
    return State(where, arrays, values, inert), names[0] if names else "", tuple(left)


def _beside(chosen: _Part, flat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What lies beside a network, as rosinality's mean of w does, and belongs to it, but for counters and the like.

    On a file's top level that is everything, so that nothing is passed over unsaid; below, what the network's naming
    knows.
    """
    found: dict[str, np.ndarray] = {}
    words = chosen.name.split(".") if chosen.name else []
    for depth in range(len(words)):
        start = "".join(f"{word}." for word in words[:depth])
        for key, array in flat.items():
            name = key.removeprefix(start)
            if not key.startswith(start) or "." in name or array.size <= 1:
                continue
            if not depth or (isinstance(chosen.kind, Family) and chosen.kind.average == name):
                found[name] = array
    return found


def _values(name: str, source: Source) -> dict[str, Plain]:
    """What a file says of the network of this name, by keys without the name; and of all of itself."""
    top = source.values.get("", {})
    named = {f"{home}.{key}": value for home, some in source.values.items() if home for key, value in some.items()}
    if not name:
        return named | top
    return _below(name, named | top) | {key: value for key, value in top.items() if not {".", "/"} & {*key}}


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


class _Search:
    """Finds the networks in a file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._groups = 0

    def parts(self, arrays: Mapping[str, np.ndarray], name: str = "", depth: int = 0) -> Iterator[_Part]:
        """The networks in arrays that have `name` in common, each wherever its naming is recognised first."""
        self._groups += 1
        if self._groups > _MAX_GROUPS:
            where = shown(self._source.path, 200)
            raise CheckpointError(f"{where}: more than {_MAX_GROUPS} groups of names; do not trust the file")
        own = {key: array for key, array in arrays.items() if not _is_aside(key, array)}
        kind = recognised(own)
        heads: dict[str, dict[str, np.ndarray]] = {}
        for key, array in arrays.items():
            head, dot, rest = key.partition(".")
            if dot and not _OPTIMISERS.fullmatch(head):
                heads.setdefault(head, {})[rest] = array
        if isinstance(kind, Family):
            # Another network may stand below one whose keys stand bare.
            apart: dict[str, list[_Part]] = {}
            for head, some in heads.items():
                if depth < _MAX_DEPTH and not any(kind.knows(f"{head}.{key}") for key in some):
                    below = list(self.parts(some, f"{name}.{head}" if name else head, depth + 1))
                    if any(isinstance(part.kind, Family) for part in below):
                        apart[head] = below
            own = {key: array for key, array in own.items() if key.partition(".")[0] not in apart}
            yield _Part(name, own, kind)
            for below in apart.values():
                yield from below
            return
        if kind is not None:
            yield _Part(name, own, kind)
            return
        parts = [
            part
            for head, some in heads.items()
            if depth < _MAX_DEPTH
            for part in self.parts(some, f"{name}.{head}" if name else head, depth + 1)
        ]
        if any(part.kind is not None for part in parts):
            yield from parts
        else:
            yield _Part(name, arrays, None)


def _joined(parts: list[_Part]) -> list[_Part]:
    """The parts, with a mapping and a synthesis network that stand side by side under these names made one."""
    halves: dict[str, dict[str, _Part]] = {}
    for part in parts:
        words = part.name.split(".")
        while words and words[-1] in _WRAPPERS:
            words.pop()
        half = words[-1].removeprefix("g_") if words else ""
        if half in ("mapping", "synthesis") and isinstance(part.kind, Family):
            halves.setdefault(".".join(words[:-1]), {})[half] = part
    for name, both in halves.items():
        if len(both) == 2 and len({part.kind for part in both.values()}) == 1:
            mapping, synthesis = both["mapping"], both["synthesis"]
            if not set(mapping.arrays) & set(synthesis.arrays):
                whole = _Part(name, {**mapping.arrays, **synthesis.arrays}, synthesis.kind)
                parts = [whole, *(part for part in parts if part is not mapping and part is not synthesis)]
    return parts


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
        listed = _listed([part.words for part in networks])
        if len(named) != 1:
            raise CheckpointError(f"{where}: network: expected one of {listed}, got {shown(wanted)}")
        return named[0]
    if not networks:
        return _unsupported(parts)
    best = min(part.rank for part in networks)
    tops = [part for part in networks if part.rank == best]
    if not tops[0].averaged:
        # A network of a name that says nothing may be the average of the one beside it.
        half = len(tops[0].arrays) / 2
        odd = [part for part in networks if part.name and part.own_name not in _RAW and part is not tops[0]]
        tops += [part for part in odd if part.rank != best and len(part.arrays) >= half]
    if len(tops) > 1:
        listed = _listed([part.words for part in networks])
        raise CheckpointError(f"{where}: holds several networks; choose one with --network: {listed}")
    (top,) = tops
    if top.name and not top.averaged and (name := _unread_average(source, parts, top)):
        raise CheckpointError(
            f"{where}: holds averaged weights, '{shown(name)}', that cannot be read as a network; "
            f"--network {shown(top.name)} takes the raw ones"
        )
    return top


def _unread_average(source: Source, parts: Sequence[_Part], raw: _Part) -> str:
    """The name of what must be the average of raw weights and is no network that can be read; or nothing."""
    odd = [part.name for part in parts if part.kind is None and 2 * len(part.arrays) >= len(raw.arrays)]
    # torch_ema's list; or an object by itself.
    odd += [key for key, what in source.inert.items() if what == "list" and key.endswith("shadow_params")]
    odd += [key for key in source.inert if not {".", "/"} & {*key}]
    return next((name for name in odd if _is_average(name)), "")


def _is_average(name: str) -> bool:
    words = re.split(r"[./]", name)
    return any(map(_says_averaged, words)) and not any(map(_OPTIMISERS.fullmatch, words))


def _unsupported(parts: Sequence[_Part]) -> _Part:
    """What a file holds that has no network of a supported naming: generators first, all of it if nothing is known."""
    told = [part for part in parts if part.kind is not None]
    if told:
        return min(told, key=lambda part: ("discriminator" in str(part.kind), part.rank))
    (whole,) = parts
    return whole
