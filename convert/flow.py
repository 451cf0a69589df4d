"""The normalizing flow of SRLS's program, brought into a generator folder; nothing in its files is run.

The program (Gheisari and Genovesio 2022) keeps two files: a state dict of its flow, and the mean and the standard
deviation of every dimension of w that it standardises w by. What becomes of them computes the same numbers: masks and
the order of hidden units stay theirs, and a is not bounded.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convert.accounting import State, array_faults
from convert.source import CheckpointError, read_source, shown

if TYPE_CHECKING:
    from pulse_jax.generators.priors.flow import Flow

__all__ = ["convert_flow", "read_flow"]

Paths = Sequence[str | os.PathLike[str]]

_FIRST = re.compile(r"(\d{1,4})\.joiner\.linear\.weight")
_LAYERS = {"joiner": "1", "trunk.1": "2"}
_STATISTICS = ("mu", "std")
_NETWORK, _MOMENTS = "the state dict of its flow (best_model.pth)", "the mean and spread of w (wlatent_face1024.pkl)"
_SHOWN_MOST = 3


def read_flow(paths: Paths) -> Flow:
    """The flow of SRLS's program, from the two files that it keeps, in any order.

    Raises:
        CheckpointError: a file cannot be read, or an array is missing, wrong or not finite.
    """
    import jax.numpy as jnp

    from pulse_jax.generators.priors.flow import MOST_LOG_SCALE, Flow

    state = _state(paths)
    moments = [_array(state, name, state.arrays[name].shape) for name in _STATISTICS]
    (width,) = moments[0].shape if moments[0].ndim == 1 else (0,)
    if width < 2 or moments[1].shape != (width,):
        raise state.refuse(f"'mu' and 'std' have shapes {state.arrays['mu'].shape!s:.80} and {moments[1].shape!s:.80}")
    if not np.all(moments[1] > 0):
        raise state.refuse("'std' is not positive everywhere")
    numbers = sorted(int(match[1]) for key in state.arrays if (match := _FIRST.fullmatch(key)))
    hidden = state.arrays[f"{numbers[0]}.joiner.linear.weight"].shape[0]
    # Blocks of three modules: a MADE, its batch normalisation, and a reversal, which holds nothing.
    if numbers != [3 * block for block in range(len(numbers))]:
        raise state.refuse(f"its blocks are at {', '.join(map(str, numbers))}, expected every third module from 0 on")
    _check_shapes(state, numbers, width, hidden)
    degrees = np.arange(hidden) % (width - 1)
    each = [_made(state, number, degrees, width) for number in numbers]
    normal = [_normalization(state, number + 1, width) for number in numbers]
    count = len(numbers)
    blocks = {name: np.stack([block[name] for block in each]) for name in each[0]}
    blocks |= {"degrees": np.tile(degrees, (count, 1)), "limit": np.full(count, MOST_LOG_SCALE)}
    scale, shift = (np.stack(rows) for rows in zip(*normal, strict=True))
    mean, std, scale, shift = (jnp.asarray(array, jnp.float32) for array in (*moments, scale, shift))
    made = {name: jnp.asarray(array, jnp.float32) for name, array in blocks.items()}
    return Flow(mean=mean, std=std, basis=None, blocks=made, scale=scale, shift=shift)


def convert_flow(paths: Paths, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Put the flow of SRLS's program into a generator folder; its reports, which are of another flow, go.

    Args:
        paths: see `read_flow`.
        folder: the generator's.
        overwrite: replace a flow that the folder holds.

    Raises:
        CheckpointError: as `read_flow`, or the flow is of another width, or the folder holds one already.
        GeneratorError: the folder is no generator's or cannot be written.
    """
    from pulse_jax.generators.folder import read_description
    from pulse_jax.generators.generator import load_generator

    generator = load_generator(folder)
    name = shown(folder, 400)
    if generator.flow is not None and not overwrite:
        raise CheckpointError(f"{name}: holds a flow already; --overwrite replaces it")
    flow = read_flow(paths)
    if len(flow.mean) != generator.latent_dim:
        files = " and ".join(shown(path, 200) for path in paths)
        raise CheckpointError(
            f"{files}: a flow of width {len(flow.mean)}, the generator's w has {generator.latent_dim}"
        )
    description = read_description(pathlib.Path(folder), str(folder))
    source = str(description.get("source", ""))
    generator.with_flow(flow).save(folder, dtype=description["dtype"], source=source, overwrite=True)


def _state(paths: Paths) -> State:
    """The flow's arrays and the statistics under their own names, from whichever file holds them."""
    sources = [read_source(path) for path in paths]
    where = " and ".join(shown(source.path, 200) for source in sources)
    flows = [
        (source, network, arrays)
        for source in sources
        for network, arrays in source.networks.items()
        if any(_FIRST.fullmatch(key) for key in arrays)
    ]
    moments = [arrays for source in sources for arrays in source.networks.values() if set(_STATISTICS) <= set(arrays)]
    for found, wanted in ((flows, _NETWORK), (moments, _MOMENTS)):
        if len(found) != 1:
            number = f"{len(found)} times" if found else "nowhere"
            raise CheckpointError(f"{where}: expected the files of SRLS's program, but {wanted} is there {number}")
    source, network, arrays = flows[0]
    inert = {key.removeprefix(f"{network}/"): what for key, what in source.inert.items()}
    return State(where, arrays | {name: moments[0][name] for name in _STATISTICS}, inert=inert)


def _check_shapes(state: State, numbers: Sequence[int], width: int, hidden: int) -> None:
    shapes: dict[str, tuple[int, ...]] = {name: (width,) for name in _STATISTICS}
    for number in numbers:
        for layer, (rows, columns) in {
            "joiner": (hidden, width),
            "trunk.1": (hidden, hidden),
            "trunk.3": (2 * width, hidden),
        }.items():
            shapes |= {f"{number}.{layer}.{name}": (rows, columns) for name in ("mask", "linear.weight")}
            shapes[f"{number}.{layer}.linear.bias"] = (rows,)
        for name in ("log_gamma", "beta", "running_mean", "running_var"):
            shapes[f"{number + 1}.{name}"] = (width,)
    faults = [f"'{shown(key)}' is unknown" for key in state.arrays if key not in shapes]
    for key, shape in shapes.items():
        known = state.arrays.get(key)
        faults += [state.missing(key, shape)] if known is None else array_faults(key, known, shape)
    if faults:
        more = f"; and {len(faults) - _SHOWN_MOST} more" if len(faults) > _SHOWN_MOST else ""
        raise state.refuse(f"expected the flow of SRLS's program, but {'; '.join(faults[:_SHOWN_MOST])}{more}")


def _array(state: State, key: str, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(state.arrays[key], np.float64).reshape(shape)
    if not np.isfinite(array).all() or np.abs(array).max(initial=0.0) > np.finfo(np.float32).max:
        raise state.refuse(f"'{shown(key)}' holds NaN, infinite or huge values")
    return array


def _made(state: State, number: int, degrees: np.ndarray, width: int) -> dict[str, np.ndarray]:
    """One block's MADE: inputs first, as here, and outputs in two halves, m and a."""
    inputs = np.arange(width)
    masks = {
        "joiner": inputs[:, None] <= degrees,
        "trunk.1": degrees[:, None] <= degrees,
        "trunk.3": np.tile(degrees[:, None] < inputs, (1, 2)),
    }
    weights, biases = {}, {}
    for layer, mask in masks.items():
        key = f"{number}.{layer}"
        if not np.array_equal(_array(state, f"{key}.mask", mask.T.shape) > 0, mask.T):
            raise state.refuse(f"'{key}.mask' is not that of the program's MADE: another order of its inputs")
        weights[layer] = _array(state, f"{key}.linear.weight", mask.T.shape).T * mask
        biases[layer] = _array(state, f"{key}.linear.bias", (mask.shape[1],))
    made = {f"weight_{name}": weights[layer] for layer, name in _LAYERS.items()}
    made |= {f"bias_{name}": biases[layer] for layer, name in _LAYERS.items()}
    for name, half in (("mean", slice(width)), ("log_scale", slice(width, None))):
        made |= {f"weight_{name}": weights["trunk.3"][:, half], f"bias_{name}": biases["trunk.3"][half]}
    return made


def _normalization(state: State, number: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation as it evaluates, x · scale + shift; its ε is in the variance already."""
    names = ("log_gamma", "beta", "running_mean", "running_var")
    gain, offset, mean, variance = (_array(state, f"{number}.{name}", (width,)) for name in names)
    if not np.all(variance > 0):
        raise state.refuse(f"'{number}.running_var' is not positive everywhere")
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.exp(gain) / np.sqrt(variance)
        shift = offset - mean * scale
        fits = np.isfinite(np.float32(scale)) & (np.float32(scale) > 0) & np.isfinite(np.float32(shift))
    if not fits.all():
        raise state.refuse(f"'{number}.log_gamma' holds huge values")
    return scale, shift
