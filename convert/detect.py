"""From what files hold to the one network that is converted, and whose naming it is: told by names, not by versions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from convert.accounting import Clamp, Entry, Family, Plan, State
from convert.families import FAMILIES
from convert.source import CheckpointError, Plain, Source, shown

__all__ = ["Account", "account", "gather"]

# Averaged weights first: they make the better images, and are what the programs themselves use.
_NETWORKS = ("Gs", "G_ema", "g_ema", "params_ema", "generator_smooth", "ema", "G", "g", "params", "generator")
_OTHERS = ("D", "d", "discriminator", "augment_pipe", "d_optim", "g_optim", "optimizer")
_FIT = {"mean", "std"}

# lucidrains' arrays, whose names begin with what other programs call their networks.
_LUCIDRAINS = r"(GAN\.)?(S|SE)\.net\.\d+\..*|(GAN\.)?(G|GE)\.(blocks|convs|initial_).*"
# What is not supported, by keys that nothing else has.
_UNSUPPORTED = (
    (
        "StyleGAN3 (alias-free), another architecture",
        (r"synthesis\.input\..*", r"synthesis\.L\d+_\d+_\d+\..*", r"mapping\.(fc\d+|embed)\..*", r"mapping\.w_avg"),
        r"synthesis\.(input\.|L\d+_).*",
    ),
    (
        "lucidrains' stylegan2-pytorch, another architecture",
        (r"(GAN\.)?([SGD]|SE|GE|D_cl|D_aug)\..*", r"(S|G|SE|GE)\..*"),
        _LUCIDRAINS,
    ),
    (
        "GFPGAN's 'clean' StyleGAN2, another scale of every layer",
        (r"(style_mlp|style_conv1|style_convs|to_rgb1|to_rgbs|constant_input|noises)\..*",),
        r"style_conv1\.bias|style_convs\.\d+\.bias",
    ),
    (
        "a face-restoration network (GFPGAN), not a generator",
        (
            r"stylegan_decoder\..*",
            r"(conv_body_(first|up|down)|final_conv|final_linear|toRGB|condition_(scale|shift))\..*",
        ),
        r"stylegan_decoder\..*|condition_(scale|shift)\..*",
    ),
    (
        "a discriminator alone; the generator is needed",
        (
            r"b\d+\.(fromrgb|conv0|conv1|skip|fc|out|conv|mbstd|resample_filter).*",
            r"(convs|final_conv|final_linear|conv_body)\..*",
            r"(blocks|from_rgb|final_block)\.\d*.*",
            r"\d+x\d+/(FromRGB|Conv0|Conv1_down|Conv0_up|Conv1|Skip|Conv|Dense0|Dense1|Dense).*",
            r"(FromRGB_lod\d+|Output|Scores_out).*|lod",
            r"(layer|input|output|skip_layer)\d+\..*",
            r"mapping\..*",
        ),
        r"b\d+\.fromrgb.*|b4\.(fc|out)\..*|final_linear.*|conv_body.*|from_rgb.*|.*FromRGB.*|Output/.*|input\d+\..*",
    ),
    (
        "VGG16 or the heads of LPIPS, no generator (convert --perceptual takes them)",
        (r"(features|classifier)\.\d+\..*", r"lin\d\.model\.1\.weight"),
        r"features\.0\.weight|lin0\.model\.1\.weight",
    ),
)


@dataclasses.dataclass(frozen=True)
class Account:
    """A recognised checkpoint: its arrays and where each of them goes.

    Attributes:
        plan, state: see `convert.accounting`.
        network: which of a file's networks it is, empty for a file of only one.
        sources: the files.
    """

    plan: Plan
    state: State
    network: str
    sources: tuple[Source, ...]

    @property
    def description(self) -> str:
        """Where the weights come from, as a generator folder keeps it."""
        files = "; ".join(f"{source.container} sha256:{source.sha256}" for source in self.sources)
        return f"{self.plan.family}; {files}"


def account(sources: Sequence[Source], clamp: Clamp = "file") -> Account:
    """Recognise a checkpoint, of one file or several, and plan its conversion.

    Raises:
        CheckpointError: there is no supported generator, or its names, shapes or sizes do not fit together.
    """
    state, network = gather(sources)
    family = _family(state)
    fit = [Entry(name, f"gaussian_fit/{name}") for name in sorted(_FIT)]
    if _FIT & set(state.arrays):
        bare = dataclasses.replace(state, arrays={k: v for k, v in state.arrays.items() if k not in _FIT})
        plan = family.plan(bare, clamp)
        plan = dataclasses.replace(plan, entries=(*plan.entries, *fit))
    else:
        plan = family.plan(state, clamp)
    return Account(plan, state, network, tuple(sources))


def gather(sources: Sequence[Source]) -> tuple[State, str]:
    """The arrays of the network to convert, from all files, and that network's name.

    Raises:
        CheckpointError: there are no files, a file holds no generator, or two hold the same array.
    """
    if not sources:
        raise CheckpointError("no checkpoint: expected at least one file")
    arrays: dict[str, np.ndarray] = {}
    values: dict[str, Plain] = {}
    inert: dict[str, str] = {}
    homes: dict[str, Source] = {}
    names: list[str] = []
    for source in sources:
        networks = _split(source)
        name = _choose(source, networks)
        if name:
            names.append(name)
        # What lies beside the networks, as rosinality's mean of w does, belongs to them.
        for part in dict.fromkeys((name, "")):
            for key, array in networks.get(part, {}).items():
                if key in homes:
                    other = shown(homes[key].path, 200) if homes[key] is not source else "the same file"
                    raise CheckpointError(f"{shown(source.path, 200)}: '{shown(key)}' stands in {other} as well")
                homes[key] = source
                arrays[key] = array
            values |= source.values.get(part, {})
        for key, what in source.inert.items():
            inert[key.removeprefix(f"{name}/")] = what
    where = " and ".join(shown(source.path, 200) for source in sources)
    return State(where, arrays, values, inert), names[0] if names else ""


def _split(source: Source) -> dict[str, dict[str, np.ndarray]]:
    """Networks by name, those too that only a prefix of flat names tells apart.

    Raises:
        CheckpointError: two arrays would have one name.
    """
    split: dict[str, dict[str, np.ndarray]] = {}
    for name, arrays in source.networks.items():
        flat = not name and not _lucidrains(arrays)
        for key, array in arrays.items():
            head, dot, tail = key.partition(".")
            network, rest = (head, tail) if flat and dot and head in (*_NETWORKS, *_OTHERS) else (name, key)
            if rest in split.setdefault(network, {}):
                raise CheckpointError(
                    f"{shown(source.path, 200)}: '{shown(rest)}' stands twice in the network {shown(network)}"
                )
            split[network][rest] = array
    # A wrapper for several devices prefixes all names.
    for name, arrays in split.items():
        if all(key.startswith("module.") for key in arrays):
            split[name] = {key.removeprefix("module."): array for key, array in arrays.items()}
    return split


def _lucidrains(keys: Iterable[str]) -> bool:
    return any(re.fullmatch(_LUCIDRAINS, key) for key in keys)


def _choose(source: Source, networks: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    filled = [name for name, arrays in networks.items() if arrays]
    for name in _NETWORKS:
        if name in filled:
            return name
    others = [name for name in filled if name and name not in _OTHERS]
    if "" in filled and (len(networks[""]) > 1 or not others):
        return ""
    if len(others) == 1:
        return others[0]
    if not filled:
        raise CheckpointError(f"{shown(source.path, 200)}: holds no arrays; expected a StyleGAN checkpoint")
    listed = shown(", ".join(sorted(filled)), 120)
    if not others:
        raise CheckpointError(
            f"{shown(source.path, 200)}: has no generator, only {listed} (a discriminator alone cannot be converted)"
        )
    raise CheckpointError(
        f"{shown(source.path, 200)}: holds several networks ({listed}) and none of a known generator's name"
    )


def _known(patterns: Sequence[str], keys: Iterable[str]) -> int:
    known = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return sum(known.fullmatch(key) is not None for key in keys)


def _family(state: State) -> Family:
    """The naming that knows most of the keys, at least half of them; what is not supported is named."""
    keys = [key for key in state.arrays if key not in _FIT]
    if not keys:
        raise state.refuse("holds a Gaussian fit alone; give the network's files as well")
    scores = [_known(family.patterns, keys) for family in FAMILIES]
    best = max(scores)
    for name, patterns, sign in _UNSUPPORTED:
        if any(re.fullmatch(sign, key) for key in keys) and _known(patterns, keys) > best:
            raise state.refuse(f"looks like {name}; not supported")
    if 2 * best < len(keys):
        some = ", ".join(shown(key, 40) for key in keys[:3])
        known = ", ".join(family.name for family in FAMILIES)
        raise state.refuse(f"is of no known naming ({len(keys)} arrays: {some}, …); known are {known}")
    return FAMILIES[scores.index(best)]
