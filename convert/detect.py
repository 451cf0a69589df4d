"""Whose naming a network's arrays have: told by names, not by versions."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable

from convert.accounting import Family, State, compiled
from convert.families import FAMILIES
from convert.source import shown

__all__ = ["FIT", "family_of", "recognised"]

FIT = {"mean", "std"}
"""The names of PULSE's Gaussian fit."""

# lucidrains' arrays, whose names begin with what other programs call their networks.
_LUCIDRAINS = r"(GAN\.)?(S|SE)\.net\.\d+\..*|(GAN\.)?(G|GE)\.(blocks\.\d+\.|initial_).*"
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
        "SWAGAN, whose pictures are made of wavelets",
        (
            r"((to_rgbs\.\d+|to_rgb1)\.)?(iwt|dwt)\.\w+",
            r"(style|convs|to_rgbs|noises)\.\w+\..*|(input|conv1|to_rgb1)\..*|noises\.\w+|latent_avg",
        ),
        r"((to_rgbs\.\d+|to_rgb1)\.)?(iwt|dwt)\.\w+",
    ),
    (
        "FastGAN, another architecture",
        (r"(init|feat_\d+|se_\d+|to_\d+|to_big)\..*",),
        r"(se_\d+|to_big)\..*",
    ),
    (
        "an encoder of pictures alone (pSp, e4e or ReStyle); the generator is needed, its decoder",
        (r"(input_layer|body|styles|latlayer\d|linear|output_layer|output_pool)\..*",),
        r"body\.\d+\.(res_layer|shortcut_layer)\..*",
    ),
    (
        "a discriminator alone; the generator is needed",
        (
            r"b\d+\.(fromrgb|conv0|conv1|skip|fc|out|conv|mbstd|resample_filter).*",
            r"(convs|final_conv|final_linear|conv_body)\..*",
            r"(blocks|from_rgb|final_block)\.\d*.*",
            r"progression\.\d+\.conv[12]\..*|linear\.linear\..*",
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


@functools.cache
def _any(families: tuple[Family, ...]) -> tuple[str, ...]:
    """The patterns of everything: what none of them knows is none of each."""
    return (
        *(pattern for family in families for pattern in family.patterns),
        *(pattern for _, patterns, _ in _UNSUPPORTED for pattern in patterns),
    )


def _known(patterns: tuple[str, ...], keys: Iterable[str]) -> int:
    known = compiled(patterns)
    return sum(known.fullmatch(key) is not None for key in keys)


def _best(keys: Collection[str]) -> tuple[Family | str, int]:
    """The naming that knows most keys, or the words for what is not supported and knows more; and how many."""
    scores = [_known(family.patterns, keys) for family in FAMILIES]
    best = max(scores)
    for name, patterns, sign in _UNSUPPORTED:
        if any(re.fullmatch(sign, key) for key in keys) and (known := _known(patterns, keys)) > best:
            return name, known
    return FAMILIES[scores.index(best)], best


def recognised(keys: Iterable[str]) -> Family | str | None:
    """Return the naming that knows at least half of the keys, or the words for what is not supported and does, or None.

    Args:
        keys: Names of a network's arrays.
    """
    keys = [key for key in keys if key not in FIT]
    if 2 * _known(_any(FAMILIES), keys) < len(keys):
        return None
    kind, known = _best(keys)
    return kind if keys and 2 * known >= len(keys) else None


def family_of(state: State) -> Family:
    """Return the naming that knows most of the keys, at least half of them.

    Raises:
        CheckpointError: There is none, or what is not supported is named.
    """
    keys = [key for key in state.arrays if key not in FIT]
    if not keys:
        raise state.refuse("holds a Gaussian fit alone; give the network's files as well")
    kind, known = _best(keys)
    if isinstance(kind, str):
        raise state.refuse(f"looks like {kind}; not supported")
    if 2 * known < len(keys):
        some = ", ".join(shown(key, 40) for key in keys[:3])
        listed = ", ".join(family.name for family in FAMILIES)
        raise state.refuse(f"is of no known naming ({len(keys)} arrays: {some}, …); known are {listed}")
    return kind
