"""What other programs' classes are to be made with, so that they load an exported generator strictly.

Their widths follow tables of which a few arguments decide. Sources: the signatures of StyleGAN2-ADA's
`SynthesisNetwork`, rosinality's `Generator`, BasicSR's `StyleGAN2Generator` and GenForce's `StyleGAN2Generator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulse_jax.generators.architectures import StyleGAN2Config

__all__ = ["class_arguments"]

# The widest layers of the first two programs' tables, up to which side, and how wide the next ones are for each unit of
# the multiplier, halving from there on.
_WIDE, _UP_TO, _NEXT = 512, 32, 256
_MULTIPLIERS = (1, 2)
_LARGEST = 1024


def class_arguments(config: StyleGAN2Config, naming: str) -> dict[str, Any]:
    """Return the arguments, by name, of the class that loads this architecture.

    Args:
        config: the architecture.
        naming: the program: "ada", "rosinality", "basicsr" or "genforce".

    Raises:
        ValueError: no arguments of that class give these widths.
    """
    widths = dict(zip(config.blocks, config.channels, strict=True))
    size, d, layers, rate = config.resolution, config.latent_dim, config.mapping_layers, config.mapping_lr_multiplier
    if naming == "ada":
        clamp = {} if config.conv_clamp is None else {"conv_clamp": config.conv_clamp}
        return {
            **{"z_dim": d, "c_dim": config.label_dim, "w_dim": d, "img_resolution": size, "img_channels": 3},
            "mapping_kwargs": {"num_layers": layers, "lr_multiplier": rate},
            "synthesis_kwargs": {**_halving(widths, "channel_base", "channel_max"), **clamp},
        }
    if naming == "genforce":
        known = {"resolution": size, "z_space_dim": d, "w_space_dim": d, "label_size": config.label_dim}
        halving = _halving(widths, "fmaps_base", "fmaps_max")
        return {**known, "mapping_layers": layers, "mapping_fmaps": d, "mapping_lr_mul": rate, **halving}
    if size > _LARGEST:
        raise ValueError(f"resolution: that program's class ends at {_LARGEST}, got {size}; choose ada or genforce")
    multiplier, narrow = _table(widths)
    if naming == "basicsr":
        names = {"out_size": size, "num_style_feat": d, "num_mlp": layers, "lr_mlp": rate}
        return {**names, "channel_multiplier": multiplier, "narrow": narrow}
    if narrow != 1:
        raise _no_widths(widths)
    return {"size": size, "style_dim": d, "n_mlp": layers, "lr_mlp": rate, "channel_multiplier": multiplier}


def _halving(widths: Mapping[int, int], base_name: str, most_name: str) -> dict[str, int]:
    """The base and the bound of widths min(base / side, bound)."""
    most = max(widths.values())
    base = max(width * side for side, width in widths.items())
    for candidate in (base, *(width * side for side, width in widths.items())):
        if all(width == min(candidate // side, most) for side, width in widths.items()):
            return {base_name: candidate, most_name: most}
    raise _no_widths(widths)


def _table(widths: Mapping[int, int]) -> tuple[int, float]:
    """The multiplier, and the share of all widths, of the table of rosinality's program."""
    narrow = widths[4] / _WIDE
    for multiplier in _MULTIPLIERS:
        table = {side: _WIDE if side <= _UP_TO else _NEXT * multiplier * 2 * _UP_TO // side for side in widths}
        if all(width == int(table[side] * narrow) for side, width in widths.items()):
            return multiplier, int(narrow) if narrow == int(narrow) else narrow
    raise _no_widths(widths)


def _no_widths(widths: Mapping[int, int]) -> ValueError:
    told = ", ".join(map(str, widths.values()))
    return ValueError(f"channels: no arguments of that program's class give the widths {told}; choose ada or genforce")
