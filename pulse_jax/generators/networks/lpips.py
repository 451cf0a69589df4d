"""LPIPS, a distance of pictures as a network of vision sees them, with weights that the user brings.

Zhang, Isola, Efros, Shechtman and Wang 2018, "The unreasonable effectiveness of deep features as a perceptual metric",
equation 1, on VGG16 (Simonyan and Zisserman 2015), as the authors' program computes it (version 0.1). Pictures are
(h, w, 3) in [0, 1], one pair at a time: `jax.vmap` maps them over a batch. No weights come with this package:
`pulse-jax convert --perceptual` brings a user's own into one file, and `convert.read_perceptual` reads it.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from pulse_jax.generators.networks.layers import conv
from pulse_jax.manifold import sphere

__all__ = ["BLOCKS", "LARGEST_SIDE", "SMALLEST_SIDE", "Perceptual", "features", "lpips", "vgg_error"]

BLOCKS = (2, 2, 3, 3, 3)
"""VGG16's convolutions between two halvings of the picture."""
SMALLEST_SIDE = 16
"""VGG16 halves a picture four times before its last layers; of less than this, those would see nothing."""
LARGEST_SIDE = 256
# In [−1, 1], of the photographs that VGG16 was trained on.
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_FLOOR = 1e-10


class Perceptual(NamedTuple):
    """What LPIPS has learned; a pytree of float32 arrays, to be passed to compiled programs as an argument.

    Attributes:
        kernels: Kernels of VGG16's 13 convolutions, (3, 3, c_in, c_out) each, to be correlated with.
        biases: Biases of the same, (c_out,) each.
        heads: Weights (c,) of the channels' squared differences, per block, none negative.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    heads: tuple[Array, ...]


def features(network: Perceptual, image: Float[Array, "h w 3"]) -> list[Float[Array, "_ _ _"]]:
    """Return what VGG16 makes of a picture in [0, 1]: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3, each (h', w', c)."""
    x = ((2.0 * image - 1.0 - jnp.asarray(_MEAN, image.dtype)) / jnp.asarray(_STD, image.dtype))[None]
    layers = iter(zip(network.kernels, network.biases, strict=True))
    taps = []
    for block, count in enumerate(BLOCKS):
        if block:
            x = _halved(x)
        for _ in range(count):
            kernel, bias = (array.astype(x.dtype) for array in next(layers))
            x = jax.nn.relu(conv(x, kernel, ((1, 1), (1, 1))) + bias)
        taps.append(x[0])
    return taps


def lpips(
    network: Perceptual, x: Float[Array, "h w 3"], y: Float[Array, "h w 3"], *, whole: bool = False
) -> Float[Array, ""]:
    """Return the LPIPS distance of two pictures in [0, 1]: 0 for equal ones, symmetric, its gradient finite everywhere.

    A side above 256 is first brought down to 256 by the means of areas, as BRGM does it (Marinescu et al. 2021), but
    not where pictures are to be seen `whole`.

    Raises:
        ValueError: The shapes differ or are not (h, w, 3), or a side is below 16.
    """
    if x.shape != y.shape or x.ndim != 3 or x.shape[-1] != 3:
        raise ValueError(f"LPIPS: expected two pictures of one shape (h, w, 3), got {x.shape} and {y.shape}")
    if min(x.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"LPIPS: expected pictures of {SMALLEST_SIDE}x{SMALLEST_SIDE} at least, which VGG16 halves four times, "
            f"got {x.shape[1]}x{x.shape[0]}"
        )
    dtype = jnp.promote_types(jnp.result_type(x, y), jnp.float32)
    seen = (features(network, image.astype(dtype) if whole else _reduced(image.astype(dtype))) for image in (x, y))
    total = jnp.zeros((), dtype)
    for one, other, head in zip(*seen, network.heads, strict=True):
        squares = jnp.square(_unit(one) - _unit(other))
        total += jnp.mean(jnp.sum(squares * head.astype(dtype), axis=-1))
    return total


def vgg_error(network: Perceptual, x: Float[Array, "h w 3"], y: Float[Array, "h w 3"]) -> Float[Array, ""]:
    """Return the mean squared difference of what LPIPS compares of two pictures in [0, 1], brought to 256×256.

    BRGM's second program (github.com/razvanmarinescu/brgm-pytorch) takes it with the network of StyleGAN2-ADA, whose
    features, weighted by the heads' roots and by those of the layers' sizes, have LPIPS as their sum of squares: this
    is LPIPS over their number, 7,995,392 for VGG16's own widths. Smaller pictures are enlarged by areas too.

    Raises:
        ValueError: The shapes differ or are not (h, w, 3).
    """
    enlarged = [_resized(image, LARGEST_SIDE, LARGEST_SIDE) for image in (x, y)]
    seen = jax.eval_shape(features, network, enlarged[0])
    return lpips(network, *enlarged) / sum(taps.size for taps in seen)


def _unit(taps: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Every pixel's features at length one."""
    return taps / (sphere.norm(taps)[..., None] + _FLOOR)


def _halved(x: Float[Array, "n h w c"]) -> Float[Array, "n _ _ c"]:
    """The largest value of every 2×2 pixels; an odd last row or column is left out, as VGG16 does it."""
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return jnp.max(x.reshape(n, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


@functools.lru_cache(maxsize=16)
def _area_matrix(size: int, new: int) -> Float64[np.ndarray, "new old"]:
    """The means over `new` equal stretches of an axis, pixels on a border shared by how much lies on each side."""
    edges = np.linspace(0.0, size, new + 1)[:, None]
    pixels = np.arange(size)
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.maximum(covered, 0.0) * (new / size)


def _reduced(image: Float[Array, "h w 3"]) -> Float[Array, "_ _ 3"]:
    """The picture, with sides of 256 at most."""
    return _resized(image, *(min(side, LARGEST_SIDE) for side in image.shape[:2]))


def _resized(image: Float[Array, "h w 3"], height: int, width: int) -> Float[Array, "_ _ 3"]:
    """The picture with other sides, every pixel the mean of the area that it covers."""
    for axis, side in enumerate((height, width)):
        if image.shape[axis] != side:
            matrix = jnp.asarray(_area_matrix(image.shape[axis], side), image.dtype)
            image = jnp.moveaxis(jnp.tensordot(matrix, image, axes=(1, axis), precision="highest"), 0, axis)
    return image
