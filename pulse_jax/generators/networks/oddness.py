"""How odd a picture looks to a small network that tells a generator's own samples from spoiled ones.

Pictures are brought to 64×64 by areas, folded 2×2 into channels beside every pixel's place, and halved by means
between four convolutions. Of what comes out at 8×8 places half of the channels are taken at their largest, wherever
something is wrong, and half on average. From these the network says whether a picture is a generator's own, or in
which of nine ways it was spoiled. Its weights come with the package; `examples/training/plausibility.py` trained them,
on samples of the embedded generator alone.

Written for arrays of NumPy and JAX alike: training differentiates it, searches' pictures go through it in float64, one
by one on the host, so that no device, batch or neighbour decides anything.
"""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from pulse_jax.system.arrays import opened_arrays

__all__ = ["FEATURES", "KINDS", "PLACES", "SIDE", "load_weights", "map_of", "oddness", "outputs_of", "weight_shapes"]

SIDE = 64
"""Side of the pictures that the network takes."""
PLACES = 8
"""Side of the map that features are taken from."""
FEATURES = 64
KINDS = ("own", "apart", "long", "offsets", "moved", "swapped", "erased", "blurred", "coloured", "warped")
"""What a picture may be, in the outputs' order: a generator's own, or spoiled (`examples/training/spoiling.py`)."""
_WIDTHS = (32, 64, 96, FEATURES)
_FOLDED = 12 + 2
_SLOPE = 0.2
_FILE = "oddness.npz"


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every array, by its name: kernels (9 · c_in, c_out) of patches row by row, and biases."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (width_in, width) in enumerate(zip((_FOLDED, *_WIDTHS), _WIDTHS, strict=False)):
        shapes |= {f"kernel_{layer}": (9 * width_in, width), f"bias_{layer}": (width,)}
    return shapes | {"kernel_outputs": (FEATURES, len(KINDS)), "bias_outputs": (len(KINDS),)}


def map_of(weights: Mapping[str, Any], pictures: Any) -> Any:
    """Return what the network sees at each place, (n, 8, 8, 64), of pictures (n, 64, 64, 3) in [0, 1].

    Args:
        weights: Arrays by the names of `weight_shapes`, of NumPy or JAX, as the pictures are; all in one precision.
        pictures: Pictures.
    """
    numpy, n, side = pictures.__array_namespace__(), len(pictures), SIDE // 2
    x = (2 * pictures - 1).reshape(n, side, 2, side, 2, 3).swapaxes(2, 3).reshape(n, side, side, 12)
    way = numpy.linspace(-1, 1, side, dtype=x.dtype)
    place = numpy.stack(numpy.meshgrid(way, way, indexing="ij"), axis=-1)
    x = numpy.concatenate([x, numpy.broadcast_to(place, (n, side, side, 2))], axis=-1)
    for layer in range(len(_WIDTHS)):
        if layer and side > PLACES:
            side //= 2
            x = x.reshape(n, side, 2, side, 2, x.shape[-1]).mean(axis=(2, 4))
        x = _patches(x) @ weights[f"kernel_{layer}"] + weights[f"bias_{layer}"]
        x = numpy.maximum(x, _SLOPE * x)
    return x


def outputs_of(weights: Mapping[str, Any], seen: Any) -> Any:
    """Return the outputs (n, 10), a logit for each of `KINDS`, from what `map_of` returns."""
    half = FEATURES // 2
    parts = [seen[..., :half].max(axis=(1, 2)), seen[..., half:].mean(axis=(1, 2))]
    return seen.__array_namespace__().concatenate(parts, axis=-1) @ weights["kernel_outputs"] + weights["bias_outputs"]


def _patches(x: Any) -> Any:
    """The 3×3 pixels around each, zeros beyond the border: (n, h, w, c) -> (n, h, w, 9c)."""
    numpy, (_, height, width, _) = x.__array_namespace__(), x.shape
    padded = numpy.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return numpy.concatenate(shifted, axis=-1)


@functools.cache
def load_weights() -> dict[str, Float64[np.ndarray, "..."]]:
    """Return the weights that come with the package, by their names."""
    place = importlib.resources.files("pulse_jax") / "data" / _FILE
    with importlib.resources.as_file(place) as path, opened_arrays(path) as stored:
        return {name: stored[name].astype(np.float64) for name in weight_shapes()}


def oddness(picture: UInt8[np.ndarray, "h w 3"]) -> float:
    """Return the logarithm of how much likelier the network calls an 8-bit picture, of any size, spoiled than own."""
    small = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX)
    weights = load_weights()
    own, *spoiled = outputs_of(weights, map_of(weights, np.asarray(small, np.float64)[None] / 255))[0]
    return float(np.logaddexp.reduce(spoiled) - own)
