"""Made-up surrogates, and their metric written out."""

import math

import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.priors.surrogate import Surrogate

LAYERS, WIDTH, SIDE, K, HIDDEN = 3, 12, 2, 10, 7
PIXELS = 3 * SIDE**2
RADIUS = math.sqrt(WIDTH)


def in_metric_64(metric, rows):
    """M v, written out: C̃ times the sum of all rows, and a tenth of each row's own."""
    return np.einsum("de,le->ld", metric, rows.sum(0, keepdims=True) + 0.1 * rows)


def random_surrogate(seed=0, *, linear=False, side=SIDE, scale=1.0):
    """Random weights behind a basis that is orthonormal in the metric."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((WIDTH, WIDTH)) / 4
    metric = root @ root.T + np.eye(WIDTH)
    raw = rng.standard_normal((LAYERS * WIDTH, K))
    moved = np.stack([in_metric_64(metric, v.reshape(LAYERS, WIDTH)).ravel() for v in raw.T], axis=1)
    factor = np.linalg.cholesky(raw.T @ moved)
    basis = np.linalg.solve(factor, raw.T).T.reshape(LAYERS, WIDTH, K)
    pixels = 3 * side**2
    shapes = {
        "weight_1": (K, HIDDEN),
        "bias_1": (HIDDEN,),
        "weight_2": (HIDDEN, HIDDEN),
        "bias_2": (HIDDEN,),
        "weight_3": (HIDDEN, pixels),
        "linear": (K, pixels),
        "bias_3": (pixels,),
    }
    arrays = {name: scale * rng.standard_normal(shape) / math.sqrt(shape[0]) for name, shape in shapes.items()}
    if linear:
        arrays["weight_3"] = np.zeros((HIDDEN, pixels))
    arrays |= {"basis": basis, "metric": metric}
    return Surrogate(**{name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()})
