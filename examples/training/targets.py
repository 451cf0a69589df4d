"""The renders' attributes as targets of a network: kinds, standardised values, losses, predictions and their scores.

Integers are categorical, booleans binary, and floats, alone or as vectors, are regressed after standardising by the
training set. Attributes that never change, and the picture's number `id`, are left out.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

# What mirroring a picture does to an attribute, per component; any other attribute stays as it is.
MIRROR_SIGNS = {"yaw": (-1.0,), "roll": (-1.0,), "gaze": (-1.0, 1.0), "light": (-1.0, 1.0)}
_MOST_CLASSES = 256


@dataclasses.dataclass(frozen=True)
class Target:
    """One attribute: how it is predicted and, for regression, the training set's mean and deviation per component.

    `size` is the number of outputs: classes, 1, or components.
    """

    name: str
    kind: Literal["categorical", "binary", "regression"]
    size: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def targets_of(attributes: Mapping[str, np.ndarray]) -> tuple[Target, ...]:
    """Return the targets that a training set's attributes give, each (n,) or, if floats, (n, k), in order of names.

    Raises:
        ValueError: An attribute has a shape or values that none of the three kinds has.
    """
    targets = [_target_of(name, values) for name, values in sorted(attributes.items()) if name != "id"]
    return tuple(target for target in targets if target is not None)


def _target_of(name: str, values: np.ndarray) -> Target | None:
    if np.issubdtype(values.dtype, np.floating):
        if values.ndim > 2:
            raise ValueError(f"{name}: expected floats (n,) or (n, k), got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite floats, got NaN or infinity")
        columns = values.reshape(len(values), -1).astype(np.float64)
        std = columns.std(axis=0)
        if not (std > 1e-9).any():
            return None
        std = np.where(std > 1e-9, std, 1.0)
        return Target(name, "regression", columns.shape[1], tuple(columns.mean(axis=0).tolist()), tuple(std.tolist()))
    if values.ndim != 1 or not (values.dtype == bool or np.issubdtype(values.dtype, np.integer)):
        raise ValueError(f"{name}: expected floats, or one class or boolean each, got {values.dtype} {values.shape}")
    if values.min() == values.max():
        return None
    if values.dtype == bool:
        return Target(name, "binary", 1)
    if values.min() < 0 or values.max() >= _MOST_CLASSES:
        raise ValueError(
            f"{name}: expected classes from 0 to {_MOST_CLASSES - 1}, got {values.min()} to {values.max()}"
        )
    return Target(name, "categorical", int(values.max()) + 1)


def encode(targets: Iterable[Target], attributes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Encode attributes for the loss: classes int32 (n,), booleans float32 (n,), standardised floats float32 (n, k)."""
    encoded: dict[str, np.ndarray] = {}
    for target in targets:
        values = attributes[target.name]
        if target.kind == "regression":
            columns = values.reshape(len(values), target.size)
            encoded[target.name] = ((columns - np.array(target.mean)) / np.array(target.std)).astype(np.float32)
        else:
            encoded[target.name] = values.astype(np.int32 if target.kind == "categorical" else np.float32)
    return encoded


def mirror(targets: Iterable[Target], encoded: Mapping[str, Array], flip: Bool[Array, " n"]) -> dict[str, Array]:
    """Return the encoded values after mirroring those pictures where `flip` is true."""
    mirrored = dict(encoded)
    for target in targets:
        if target.name in MIRROR_SIGNS:
            sign, mean, std = map(jnp.array, (MIRROR_SIGNS[target.name], target.mean, target.std))
            if sign.shape != mean.shape:
                raise ValueError(f"{target.name}: expected {len(sign)} components (see MIRROR_SIGNS), got {len(mean)}")
            # x → sign · x, in standardised values
            values = encoded[target.name]
            mirrored[target.name] = jnp.where(flip[:, None], sign * values + (sign - 1) * mean / std, values)
    return mirrored


def _split(targets: Iterable[Target], outputs: Float[Array, "n o"]) -> Iterable[tuple[Target, Array]]:
    start = 0
    for target in targets:
        yield target, outputs[:, start : start + target.size]
        start += target.size


def loss(targets: Iterable[Target], outputs: Float[Array, "n o"], encoded: Mapping[str, Array]) -> Float[Array, ""]:
    """Return the sum over attributes of cross-entropy or, of floats, the mean squared error; averaged over pictures."""
    total = jnp.zeros(())
    for target, predicted in _split(targets, outputs):
        wanted = encoded[target.name]
        if target.kind == "categorical":
            total += jnp.mean(optax.softmax_cross_entropy_with_integer_labels(predicted, wanted))
        elif target.kind == "binary":
            total += jnp.mean(optax.sigmoid_binary_cross_entropy(predicted[:, 0], wanted))
        else:
            total += jnp.mean(jnp.square(predicted - wanted))
    return total


def decode(targets: Iterable[Target], outputs: Float[np.ndarray, "n o"]) -> dict[str, np.ndarray]:
    """Return predictions as attributes: classes int (n,), booleans (n,), floats (n, k) in their own units."""
    decoded: dict[str, np.ndarray] = {}
    for target, predicted in _split(targets, jnp.asarray(outputs)):
        values = np.asarray(predicted)
        if target.kind == "categorical":
            decoded[target.name] = values.argmax(axis=1)
        elif target.kind == "binary":
            decoded[target.name] = values[:, 0] > 0
        else:
            decoded[target.name] = values * np.array(target.std) + np.array(target.mean)
    return decoded


def scores(
    targets: Iterable[Target], predicted: Mapping[str, np.ndarray], attributes: Mapping[str, np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Per attribute the score and the trivial baseline's.

    Of classes and booleans the accuracy, beside the share of the most frequent value; of floats R², 1 − squared error /
    variance in standardised units over all components, beside 0 for predicting the mean.
    """
    rows: dict[str, tuple[float, float]] = {}
    for target in targets:
        truth, guess = attributes[target.name], predicted[target.name]
        if target.kind == "regression":
            truth = truth.reshape(len(truth), target.size).astype(np.float64) / np.array(target.std)
            error = np.square(truth - guess / np.array(target.std)).sum()
            rows[target.name] = 1 - float(error / np.square(truth - truth.mean(axis=0)).sum()), 0.0
        else:
            majority = np.unique(truth, return_counts=True)[1].max() / len(truth)
            rows[target.name] = float(np.mean(truth == guess)), float(majority)
    return rows


def summaries(targets: Iterable[Target], attributes: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Return how attributes are distributed: shares of classes, of trues, or means then deviations."""
    rows: dict[str, list[float]] = {}
    for target in targets:
        values = np.asarray(attributes[target.name])
        if target.kind == "categorical":
            rows[target.name] = (np.bincount(values, minlength=target.size)[: target.size] / len(values)).tolist()
        elif target.kind == "binary":
            rows[target.name] = [float(values.mean())]
        else:
            columns = values.reshape(len(values), target.size).astype(np.float64)
            rows[target.name] = [*columns.mean(axis=0).tolist(), *columns.std(axis=0).tolist()]
    return rows


def output_size(targets: Iterable[Target]) -> int:
    """Return the number of outputs that a network needs."""
    return sum(target.size for target in targets)
