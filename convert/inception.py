"""Inception v3 as pytorch-fid keeps it, for the Fréchet inception distance. Nothing in a file is run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from convert.accounting import Change, array_faults
from convert.networks import gather
from convert.source import read_source, shown

if TYPE_CHECKING:
    from pulse_jax.generators.networks.inception import Inception

__all__ = ["read_inception"]

_KERNEL = Change("oihw->hwio")
_CONSTANTS = ("weight", "bias", "running_mean", "running_var")
_IGNORED = ("fc.weight", "fc.bias")
_SHOWN_MOST = 3


def read_inception(path: str | os.PathLike[str]) -> Inception:
    """The network of the Fréchet inception distance, from pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`.

    Raises:
        CheckpointError: the file cannot be read, or an array is missing, unknown, wrong or not finite.
    """
    import jax.numpy as jnp

    from pulse_jax.generators.networks.inception import Layer, layer_shapes

    state, *_ = gather([read_source(path)])
    found = state.arrays
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kernel in layer_shapes().items():
        shapes[f"{name}.conv.weight"] = _KERNEL.source_shape(kernel)
        shapes |= {f"{name}.bn.{part}": kernel[-1:] for part in _CONSTANTS}
    counters = {f"{name}.bn.num_batches_tracked" for name in layer_shapes()}
    faults: list[str] = []
    for key, shape in shapes.items():
        faults += array_faults(key, found[key], shape) if key in found else [state.missing(key, shape)]
    known = {*shapes, *counters, *_IGNORED}
    faults += [f"'{shown(key)}' of shape {found[key].shape!s:.80} is unknown" for key in found if key not in known]
    if faults:
        more = f"; and {len(faults) - _SHOWN_MOST} more" if len(faults) > _SHOWN_MOST else ""
        raise state.refuse(
            "expected Inception v3 of pytorch-fid (pt_inception-2015-12-05-6726825d.pth), but "
            f"{'; '.join(faults[:_SHOWN_MOST])}{more}"
        )
    arrays = {key: (_KERNEL if key.endswith("conv.weight") else Change()).to_ours(found[key]) for key in shapes}
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise state.refuse(f"'{shown(key)}' holds NaN, infinite or huge values")
        if key.endswith("running_var") and array.min() < 0:
            raise state.refuse(f"'{shown(key)}' holds negative variances")
    return {
        name: Layer(
            jnp.asarray(arrays[f"{name}.conv.weight"]),
            *(jnp.asarray(arrays[f"{name}.bn.{part}"]) for part in _CONSTANTS),
        )
        for name in layer_shapes()
    }
