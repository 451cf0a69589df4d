"""From what a search varies to what a generator takes: latents and noise.

PULSE searches neither z nor w but a whitened w, which is nearly a standard Gaussian: a Gaussian is fitted to the
mapping network's outputs once their last leaky ReLU is undone. Here are that fit, the search spaces built on it, and
which noise inputs take part. Everything but the fit is pure, for one image, and meant for `jax.vmap`.

Source: PULSE (Menon et al. 2020), section 3.2, and its program.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.config import Coordinates, LatentSpace, NoiseKind
from pulse_jax.moments import SLOPE, Mapping, measure_moments, undo_leaky_relu

__all__ = [
    "NOISE_KINDS",
    "SPACES",
    "GaussianFit",
    "Mapping",
    "fit_gaussian",
    "init_noise",
    "merge_noise",
    "search_shape",
    "to_w",
    "w_to_whitened",
    "whitened_to_w",
]

SPACES: tuple[str, ...] = get_args(LatentSpace)
NOISE_KINDS: tuple[str, ...] = get_args(NoiseKind)


class GaussianFit(NamedTuple):
    """Mean and standard deviation (d,) of w before its last leaky ReLU, each dimension on its own."""

    mean: Float[Array, " d"]
    std: Float[Array, " d"]


def fit_gaussian(
    mapping: Mapping,
    key: PRNGKeyArray,
    latent_dim: int,
    *,
    samples: int = 1_000_000,
    batch: int = 8192,
    on_progress: Callable[[int, int], object] | None = None,
) -> GaussianFit:
    """Fit a Gaussian to lrelu_5(mapping(z)), z ~ N(0, I): mean and unbiased standard deviation per dimension, float32.

    Samples are drawn, mapped and reduced `batch` at a time by one compiled function and never held together; batches
    are joined in float64 (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance"). Sample i is
    drawn from `fold_in(key, i)`, so `batch` changes the result only in rounding.

    Args:
        mapping: the mapping network, z (n, latent_dim) -> w (n, d).
        key: the random key of the samples.
        latent_dim: the width of z.
        samples: how many, at least 2; PULSE takes a million.
        batch: how many at a time.
        on_progress: is called after every batch with how many samples are done, and `samples`.

    Raises:
        ValueError: a size is out of range, `mapping` does not keep the batch axis, or its outputs are not all finite.
    """
    moments = measure_moments(
        lambda z: undo_leaky_relu(mapping(z)), key, latent_dim, samples=samples, batch=batch, on_progress=on_progress
    )
    std = np.sqrt(np.maximum(moments.scatter, 0.0) / (samples - 1))
    return GaussianFit(jnp.asarray(moments.mean, jnp.float32), jnp.asarray(std, jnp.float32))


def whitened_to_w(u: Float[Array, "*batch d"], fit: GaussianFit) -> Float[Array, "*batch d"]:
    """A whitened latent (..., d), nominally standard Gaussian, as w = lrelu_0.2(u * std + mean)."""
    return jax.nn.leaky_relu(u * fit.std + fit.mean, SLOPE)


def w_to_whitened(w: Float[Array, "*batch d"], fit: GaussianFit) -> Float[Array, "*batch d"]:
    """The inverse of `whitened_to_w`; not finite in a dimension whose standard deviation is 0."""
    return (undo_leaky_relu(w) - fit.mean) / fit.std


def search_shape(space: LatentSpace, num_layers: int, latent_dim: int, num_filters: int = 0) -> tuple[int, int]:
    """The shape of a search variable; each row has a sphere of its own.

    (1, d) in "z" and "w", (L, d) in "w+", (`num_filters`, d) in "w++".

    Raises:
        ValueError: `space` is not one of `SPACES`, or a generator without filters is searched in "w++".
    """
    if space not in SPACES:
        raise ValueError(f"space: expected one of {', '.join(SPACES)}, got {space!r}")
    if space == "w++" and not num_filters:
        raise ValueError("space: expected a StyleGAN in space 'w++', got a generator that tells of no filters")
    return {"z": 1, "w": 1, "w+": num_layers, "w++": num_filters}[space], latent_dim


def to_w(
    space: LatentSpace,
    variable: Float[Array, "rows d"],
    *,
    mapping: Mapping | None = None,
    fit: GaussianFit | None = None,
    num_layers: int,
    num_filters: int = 0,
    coordinates: Coordinates = "whitened",
) -> tuple[Float[Array, "rows d_w"], Float[Array, "layers d_w"]]:
    """Turn a search variable into the mapped rows, which GEOCROSS compares, and w (L, d), a row for every layer.

    In "z" and "w" there is one mapped row, (1, d), and every layer gets it; in "w+" rows and w are the same, as in
    "w++", where there is a row for every filter.

    Args:
        space: "z" goes through `mapping`, the others through `whitened_to_w` if their `coordinates` are whitened.
        variable: (1, d), (L, d) in "w+", or (`num_filters`, d) in "w++".
        mapping: the mapping network; needed in "z" only.
        fit: the Gaussian fit; needed for whitened coordinates only.
        num_layers: L, how many rows the generator takes.
        num_filters: how many filters it has; needed in "w++" only.
        coordinates: what a row is outside "z".

    Raises:
        ValueError: `space` is unknown, `variable` has another shape, or what the space needs is missing.
    """
    expected = search_shape(space, num_layers, variable.shape[-1] if variable.ndim else 1, num_filters)
    if variable.shape != expected:
        raise ValueError(f"variable: expected shape {expected} in space {space!r}, got {variable.shape}")
    if space == "z":
        if mapping is None:
            raise ValueError("mapping: expected a mapping network in space 'z', got None")
        rows = mapping(variable)
    elif coordinates == "plain":
        rows = variable
    else:
        if fit is None:
            raise ValueError(f"fit: expected a Gaussian fit in space {space!r}, got None")
        rows = whitened_to_w(variable, fit)
    return rows, rows if space == "w++" else jnp.broadcast_to(rows, (num_layers, rows.shape[-1]))


def init_noise(
    key: PRNGKeyArray,
    noise_shapes: Sequence[tuple[int, ...]],
    kind: NoiseKind = "trainable",
    *,
    trainable: int = 5,
    zeroed: Sequence[int] = (17,),
) -> tuple[tuple[Float[Array, "..."], ...], tuple[Float[Array, "..."] | None, ...]]:
    """Draw a generator's noise inputs, split into those a search varies and the rest; `merge_noise` joins them.

    Noise i is N(0, 1) from `fold_in(key, i)`, or zero when `kind` is "zero" or i is in `zeroed`. It is searched when
    `kind` is "trainable", i < `trainable` and i is not zeroed; or when `kind` is "normalized", which makes its mean 0
    and its variance 1 (StyleGAN2, appendix D).

    Args:
        key: the random key; layer i does not depend on the other layers or options.
        noise_shapes: the shape (r, r, 1) of every noise input, in order.
        kind: one of `NOISE_KINDS`.
        trainable: how many of the first layers are searched; PULSE: 5.
        zeroed: indices of layers without noise; PULSE: 17, the last layer at 1024 x 1024. Indices beyond the layers
            that there are mean nothing, so PULSE's default serves every resolution.

    Returns:
        The searched noise, in order, and one entry per layer: its fixed noise, or None where it is searched.

    Raises:
        ValueError: `kind` is not one of `NOISE_KINDS`, or a number is negative.
    """
    if kind not in NOISE_KINDS:
        raise ValueError(f"kind: expected one of {', '.join(NOISE_KINDS)}, got {kind!r}")
    if trainable < 0:
        raise ValueError(f"trainable: expected at least 0 layers, got {trainable}")
    if any(layer < 0 for layer in zeroed):
        raise ValueError(f"zeroed: expected layer indices of at least 0, got {tuple(zeroed)}")
    searched, fixed = [], []
    for layer, shape in enumerate(noise_shapes):
        if kind == "zero" or layer in zeroed:
            fixed.append(jnp.zeros(shape, jnp.float32))
            continue
        noise = jax.random.normal(jax.random.fold_in(key, layer), shape, jnp.float32)
        if kind == "normalized":
            noise = (noise - jnp.mean(noise)) / jnp.std(noise)
        if kind == "normalized" or (kind == "trainable" and layer < trainable):
            searched.append(noise)
            fixed.append(None)
        else:
            fixed.append(noise)
    return tuple(searched), tuple(fixed)


def merge_noise(
    searched: tuple[Float[Array, "..."], ...], fixed: tuple[Float[Array, "..."] | None, ...]
) -> tuple[Float[Array, "..."], ...]:
    """Join what `init_noise` split: every layer's noise, in order.

    Raises:
        ValueError: `searched` does not fill the gaps of `fixed` exactly.
    """
    gaps = sum(noise is None for noise in fixed)
    if len(searched) != gaps:
        raise ValueError(f"searched: expected {gaps} noise arrays, one per gap in `fixed`, got {len(searched)}")
    remaining = iter(searched)
    return tuple(next(remaining) if noise is None else noise for noise in fixed)
