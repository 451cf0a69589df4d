"""A training state as one `.npz`, written whole or not at all; a compact one holds half-precision weights only."""

import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from examples.training.gan import TrainState
from pulse_jax.generators.folder import flatten


def _plain(state: TrainState) -> TrainState:
    return state._replace(key=jax.random.key_data(state.key))


def _write(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore
    os.replace(temporary, path)


def save_state(path: pathlib.Path, state: TrainState) -> None:
    """Write every array of the state."""
    _write(path, {name: np.asarray(leaf) for name, leaf in flatten(_plain(state)).items()})


def save_compact(path: pathlib.Path, state: TrainState) -> None:
    """Write the weights alone, in half precision: enough to go on with, Adam starts afresh."""
    kept = {"generator": state.generator, "discriminator": state.discriminator, "average": state.average}
    arrays = {name: np.asarray(leaf, np.float16) for name, leaf in flatten(kept).items()}
    _write(path, arrays | {"images": np.asarray(state.images)})


def load_state(path: pathlib.Path, like: TrainState) -> TrainState:
    """Read what `save_state` or `save_compact` wrote; what a compact file lacks is taken from `like`.

    Raises:
        ValueError: An array has another shape than the networks of `like`.
    """
    plain = _plain(like)
    with np.load(path) as stored:

        def restore(key_path: Any, leaf: Any) -> Any:
            name = jax.tree_util.keystr(key_path, simple=True, separator="/")
            if name not in stored:
                return leaf
            if stored[name].shape != leaf.shape:
                raise ValueError(f"{path}: {name}: expected shape {leaf.shape}, got {stored[name].shape}")
            return jnp.asarray(stored[name], leaf.dtype)

        state = jax.tree_util.tree_map_with_path(restore, plain)
    return state._replace(key=jax.random.wrap_key_data(state.key))
