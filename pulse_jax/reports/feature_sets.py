"""How two sets of pictures differ, from features of theirs: rows (n, d) of any network, NumPy, in float64.

The Fréchet distance is `metrics.frechet_distance`. On Inception's features (`networks.inception`) it is the Fréchet
inception distance and `kernel_distance` the kernel inception distance; on others they are not, and go by other names.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

__all__ = ["kernel_distance", "precision_recall"]

_ROWS = 256
_NEIGHBOURS = 3


def kernel_distance(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the squared maximum mean discrepancy with the kernel (x·y/d + 1)³, unbiased (Bińkowski et al. 2018).

    Section 3 of "Demystifying MMD GANs". Unlike the Fréchet distance it has no bias for few points; it may be negative.

    Args:
        x: Features.
        y: Other features of the same width.
        subsets: How many subsets of both are compared.
        size: Rows of a subset, drawn without repetition; the smaller set's number where that is less.
        seed: Seed of the draws.

    Returns:
        Mean and standard deviation over the subsets.

    Raises:
        ValueError: A set has fewer than two rows, or the widths differ.
    """
    x, y = _checked(x, y, 1)
    size = min(size, len(x), len(y))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        a, b = (points[rng.choice(len(points), size, replace=False)] for points in (x, y))
        within = 0.0
        for points in (a, b):
            values = _kernel(points, points)
            within += float(values.sum() - np.trace(values))
        found.append(within / (size * (size - 1)) - 2 * float(_kernel(a, b).mean()))
    return float(np.mean(found)), float(np.std(found))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def precision_recall(
    real: Float[np.ndarray, "n d"], generated: Float[np.ndarray, "m d"], *, neighbours: int = _NEIGHBOURS
) -> tuple[float, float]:
    """Return the shares of one set that lie on the other's manifold (Kynkäänniemi et al. 2019, equations 1 and 2).

    A manifold is the union of balls around a set's points, each up to its k-th nearest other point. Precision is how
    much of what is generated looks real, recall how much of what is real can be generated.

    Args:
        real: Features of what is to be matched.
        generated: Features of what is judged, of the same width.
        neighbours: k.

    Raises:
        ValueError: A set has no more than k rows, or the widths differ.
    """
    real, generated = _checked(real, generated, neighbours)
    return _covered(generated, real, neighbours), _covered(real, generated, neighbours)


def _checked(x: np.ndarray, y: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"features: expected two sets of one width, got {x.shape[1]} and {y.shape[1]}")
    if min(len(x), len(y)) <= least:
        raise ValueError(f"features: expected more than {least} rows in each set, got {len(x)} and {len(y)}")
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def _covered(points: np.ndarray, manifold: np.ndarray, neighbours: int) -> float:
    # The 0-th nearest is the point itself, at distance 0.
    radii = np.concatenate([np.partition(rows, neighbours, axis=1)[:, neighbours] for rows in _far(manifold, manifold)])
    return float(np.concatenate([(rows <= radii).any(axis=1) for rows in _far(points, manifold)]).mean())


def _far(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances of some rows of x at a time to all of y; those of a set to itself are 0 on the diagonal."""
    centre = y.mean(axis=0)
    same, x, y = x is y, x - centre, y - centre
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS]
        squares = np.square(rows).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * rows @ y.T
        if same:
            index = np.arange(len(rows))
            squares[index, start + index] = 0
        yield np.maximum(squares, 0)
