"""VGG16 and the heads of LPIPS, as torchvision and the lpips program keep them, brought into one safetensors file.

Nothing in a file is run, and every array is accounted for. The file that is written keeps the programs' names and
layout, so that it and the originals are read alike.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convert.accounting import Change, State, array_faults
from convert.networks import gather
from convert.safetensors_file import save_safetensors
from convert.source import CheckpointError, read_source, shown

if TYPE_CHECKING:
    from pulse_jax.generators.networks.lpips import Perceptual

__all__ = ["convert_perceptual", "read_perceptual"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# Of torchvision's `features`, every block's convolutions by their place among all layers; and the widths of the blocks.
_PLACES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_WIDTHS = (64, 128, 256, 512, 512)
_KERNEL = Change("oihw->hwio")
_SHOWN_MOST = 3


def read_perceptual(paths: Paths) -> Perceptual:
    """The network of the loss LPIPS, from the file that `convert_perceptual` wrote or from the originals.

    Args:
        paths: that file, or those of torchvision's `vgg16` (a state dict; the classifier is ignored) and of the heads
            that the lpips program keeps for it, version 0.1 (`vgg.pth`).

    Raises:
        CheckpointError: a file cannot be read, or an array is missing, unknown, wrong or not finite.
    """
    import jax.numpy as jnp

    from pulse_jax.generators.networks.lpips import Perceptual

    arrays = _arrays(paths)
    places = [place for block in _PLACES for place in block]
    return Perceptual(
        kernels=tuple(jnp.asarray(_KERNEL.to_ours(arrays[f"features.{place}.weight"])) for place in places),
        biases=tuple(jnp.asarray(arrays[f"features.{place}.bias"]) for place in places),
        heads=tuple(jnp.asarray(arrays[_head(block)].reshape(-1)) for block in range(len(_PLACES))),
    )


def convert_perceptual(paths: Paths, output: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write VGG16 and the heads of LPIPS as one safetensors file, whole or not at all.

    Args:
        paths: see `read_perceptual`.
        output: the file to make.
        overwrite: replace a file that this function wrote; anything else is never replaced.

    Raises:
        CheckpointError: as `read_perceptual`, or the file exists or cannot be written.
    """
    arrays = _arrays(paths)
    if os.path.lexists(output):
        _check_replaceable(output, overwrite)
    save_safetensors(output, arrays)


def _check_replaceable(output: str | os.PathLike[str], overwrite: bool) -> None:
    name = shown(output, 400)
    if not overwrite:
        raise CheckpointError(f"{name}: exists already; choose another file")
    try:
        ours = read_source(output).container == "safetensors" and bool(_arrays(output))
    except CheckpointError:
        ours = False
    if not ours:
        raise CheckpointError(f"{name}: exists already and is not a file that this command wrote; choose another file")


def _head(block: int) -> str:
    return f"lin{block}.model.1.weight"


def _shapes() -> dict[str, tuple[int, ...]]:
    """Every array's key and shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for block, (places, width) in enumerate(zip(_PLACES, _WIDTHS, strict=True)):
        for place in places:
            shapes[f"features.{place}.weight"] = (width, before, 3, 3)
            shapes[f"features.{place}.bias"] = (width,)
            before = width
        shapes[_head(block)] = (1, width, 1, 1)
    return shapes


def _arrays(paths: Paths) -> dict[str, np.ndarray]:
    """All arrays under the programs' keys, float32, once the accounts hold."""
    each = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    state, *_ = gather([read_source(path) for path in each])
    shapes, found = _shapes(), state.arrays
    _check_parts(state, shapes)
    faults: list[str] = []
    for key, shape in shapes.items():
        faults += array_faults(key, found[key], shape) if key in found else [state.missing(key, shape)]
    faults += [
        f"'{shown(key)}' of shape {found[key].shape!s:.80} is unknown"
        for key in found
        if key not in shapes and not re.fullmatch(r"classifier\.\d+\.(weight|bias)", key)
    ]
    if faults:
        more = f"; and {len(faults) - _SHOWN_MOST} more" if len(faults) > _SHOWN_MOST else ""
        raise state.refuse(f"expected VGG16 and the heads of LPIPS, but {'; '.join(faults[:_SHOWN_MOST])}{more}")
    arrays = {}
    for key in shapes:
        arrays[key] = array = Change().to_ours(found[key])
        if not np.isfinite(array).all():
            raise state.refuse(f"'{shown(key)}' holds NaN, infinite or huge values")
        if key.startswith("lin") and array.min() < 0:
            raise state.refuse(f"'{shown(key)}' holds negative weights, which the heads of LPIPS never have")
    return arrays


def _check_parts(state: State, shapes: dict[str, tuple[int, ...]]) -> None:
    """Says which of the two files is not there, where one is not."""
    network, heads = "torchvision's vgg16 state dict", "the heads of the lpips program for it (vgg.pth)"
    has_network, has_heads = (
        any(key.startswith(start) and (key in state.arrays or key in state.inert) for key in shapes)
        for start in ("features.", "lin")
    )
    if not (has_network or has_heads):
        raise state.refuse(f"holds nothing of LPIPS; expected {network} and {heads}")
    if not (has_network and has_heads):
        there, lacking = (network, heads) if has_network else (heads, network)
        raise state.refuse(f"looks like {there}; give {lacking} as well")
