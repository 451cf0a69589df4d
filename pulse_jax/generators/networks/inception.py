"""Inception v3 as the Fréchet inception distance takes it, with weights that the user brings.

Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", in the variant of TensorFlow's
`inception-2015-12-05` that Heusel et al. 2017 measured with, as pytorch-fid computes it: means leave the border's zeros
out, the last block takes the largest value instead. Pictures are (n, h, w, 3) in [0, 1]. No weights come with this
package: `convert.read_inception` reads pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["FEATURES", "Inception", "Layer", "inception_features", "layer_shapes"]

FEATURES = 2048
_SIDE = 299
_EPSILON = 1e-3
_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Convolutions that move by two pixels, and those without a border; all others keep the size.
_STRIDED = {
    "Conv2d_1a_3x3",
    "Mixed_6a.branch3x3",
    "Mixed_6a.branch3x3dbl_3",
    "Mixed_7a.branch3x3_2",
    "Mixed_7a.branch7x7x3_4",
}
_BORDERLESS = {*_STRIDED, "Conv2d_2a_3x3", "Conv2d_4a_3x3"}
# Widths before each block, and of its branch that pools or of its seven-pixel kernels.
_SMALL = {"Mixed_5b": (192, 32), "Mixed_5c": (256, 64), "Mixed_5d": (288, 64)}
_MIDDLE = {"Mixed_6b": 128, "Mixed_6c": 160, "Mixed_6d": 160, "Mixed_6e": 192}
_LARGE = {"Mixed_7b": 1280, "Mixed_7c": 2048}


class Layer(NamedTuple):
    """A convolution without bias, and the normalisation by constants that follows it; float32.

    Attributes:
        kernel: (height, width, c_in, c_out), to be correlated with.
        scale, shift: Of the normalisation, (c_out,) each.
        mean, variance: What it normalises by, (c_out,) each.
    """

    kernel: Array
    scale: Array
    shift: Array
    mean: Array
    variance: Array


Inception = Mapping[str, Layer]
"""Layers by torchvision's names; a pytree, to be passed to compiled programs as an argument."""


def layer_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Return each layer's kernel shape (height, width, c_in, c_out), by torchvision's names, in its order."""
    return dict(_shapes())


def _shapes() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    yield "Conv2d_1a_3x3", (3, 3, 3, 32)
    yield "Conv2d_2a_3x3", (3, 3, 32, 32)
    yield "Conv2d_2b_3x3", (3, 3, 32, 64)
    yield "Conv2d_3b_1x1", (1, 1, 64, 80)
    yield "Conv2d_4a_3x3", (3, 3, 80, 192)
    for name, (width, pooled) in _SMALL.items():
        yield f"{name}.branch1x1", (1, 1, width, 64)
        yield f"{name}.branch5x5_1", (1, 1, width, 48)
        yield f"{name}.branch5x5_2", (5, 5, 48, 64)
        yield f"{name}.branch3x3dbl_1", (1, 1, width, 64)
        yield f"{name}.branch3x3dbl_2", (3, 3, 64, 96)
        yield f"{name}.branch3x3dbl_3", (3, 3, 96, 96)
        yield f"{name}.branch_pool", (1, 1, width, pooled)
    yield "Mixed_6a.branch3x3", (3, 3, 288, 384)
    yield "Mixed_6a.branch3x3dbl_1", (1, 1, 288, 64)
    yield "Mixed_6a.branch3x3dbl_2", (3, 3, 64, 96)
    yield "Mixed_6a.branch3x3dbl_3", (3, 3, 96, 96)
    for name, c in _MIDDLE.items():
        yield f"{name}.branch1x1", (1, 1, 768, 192)
        yield f"{name}.branch7x7_1", (1, 1, 768, c)
        yield f"{name}.branch7x7_2", (1, 7, c, c)
        yield f"{name}.branch7x7_3", (7, 1, c, 192)
        yield f"{name}.branch7x7dbl_1", (1, 1, 768, c)
        yield f"{name}.branch7x7dbl_2", (7, 1, c, c)
        yield f"{name}.branch7x7dbl_3", (1, 7, c, c)
        yield f"{name}.branch7x7dbl_4", (7, 1, c, c)
        yield f"{name}.branch7x7dbl_5", (1, 7, c, 192)
        yield f"{name}.branch_pool", (1, 1, 768, 192)
    yield "Mixed_7a.branch3x3_1", (1, 1, 768, 192)
    yield "Mixed_7a.branch3x3_2", (3, 3, 192, 320)
    yield "Mixed_7a.branch7x7x3_1", (1, 1, 768, 192)
    yield "Mixed_7a.branch7x7x3_2", (1, 7, 192, 192)
    yield "Mixed_7a.branch7x7x3_3", (7, 1, 192, 192)
    yield "Mixed_7a.branch7x7x3_4", (3, 3, 192, 192)
    for name, width in _LARGE.items():
        yield f"{name}.branch1x1", (1, 1, width, 320)
        yield f"{name}.branch3x3_1", (1, 1, width, 384)
        yield f"{name}.branch3x3_2a", (1, 3, 384, 384)
        yield f"{name}.branch3x3_2b", (3, 1, 384, 384)
        yield f"{name}.branch3x3dbl_1", (1, 1, width, 448)
        yield f"{name}.branch3x3dbl_2", (3, 3, 448, 384)
        yield f"{name}.branch3x3dbl_3a", (1, 3, 384, 384)
        yield f"{name}.branch3x3dbl_3b", (3, 1, 384, 384)
        yield f"{name}.branch_pool", (1, 1, width, 192)


def inception_features(network: Inception, images: Float[Array, "n h w 3"]) -> Float[Array, "n 2048"]:
    """Return the means over the last activations, for pictures in [0, 1] of any size, brought to 299×299.

    Bilinearly and without smoothing when they are larger, as pytorch-fid's network does.
    """
    x = 2 * _resized(images) - 1
    for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"):
        x = _layer(network, name, x)
    x = _greatest(x)
    for name in ("Conv2d_3b_1x1", "Conv2d_4a_3x3"):
        x = _layer(network, name, x)
    x = _greatest(x)
    for name in _SMALL:
        parts = [_chain(network, name, x, names) for names in (["1x1"], ["5x5_1", "5x5_2"], _three(3))]
        x = _joined(*parts, _layer(network, f"{name}.branch_pool", _mean(x)))
    name = "Mixed_6a"
    x = _joined(_chain(network, name, x, ["3x3"]), _chain(network, name, x, _three(3)), _greatest(x))
    for name in _MIDDLE:
        chains = (["1x1"], [f"7x7_{i}" for i in (1, 2, 3)], [f"7x7dbl_{i}" for i in (1, 2, 3, 4, 5)])
        parts = [_chain(network, name, x, names) for names in chains]
        x = _joined(*parts, _layer(network, f"{name}.branch_pool", _mean(x)))
    name = "Mixed_7a"
    chains = (["3x3_1", "3x3_2"], [f"7x7x3_{i}" for i in (1, 2, 3, 4)])
    x = _joined(*(_chain(network, name, x, names) for names in chains), _greatest(x))
    for name in _LARGE:
        pooled = _mean(x) if name == "Mixed_7b" else _greatest(x, stride=1)
        one, many = _chain(network, name, x, ["3x3_1"]), _chain(network, name, x, _three(2))
        x = _joined(
            _chain(network, name, x, ["1x1"]),
            *(_chain(network, name, one, [last]) for last in ("3x3_2a", "3x3_2b")),
            *(_chain(network, name, many, [last]) for last in ("3x3dbl_3a", "3x3dbl_3b")),
            _layer(network, f"{name}.branch_pool", pooled),
        )
    return jnp.mean(x, axis=(1, 2))


def _three(count: int) -> list[str]:
    return [f"3x3dbl_{i + 1}" for i in range(count)]


def _joined(*parts: Array) -> Array:
    return jnp.concatenate(parts, axis=-1)


def _chain(network: Inception, block: str, x: Array, names: list[str]) -> Array:
    for name in names:
        x = _layer(network, f"{block}.branch{name}", x)
    return x


def _layer(network: Inception, name: str, x: Float[Array, "n h w c"]) -> Float[Array, "n _ _ _"]:
    layer = network[name]
    stride = 2 if name in _STRIDED else 1
    x = jax.lax.conv_general_dilated(
        x,
        layer.kernel,
        (stride, stride),
        "VALID" if name in _BORDERLESS else "SAME",
        dimension_numbers=_LAYOUT,
        precision=jax.lax.Precision.HIGHEST,
    )
    scale = layer.scale * jax.lax.rsqrt(layer.variance + _EPSILON)
    return jax.nn.relu((x - layer.mean) * scale + layer.shift)


def _greatest(x: Float[Array, "n h w c"], stride: int = 2) -> Float[Array, "n _ _ c"]:
    """The largest value of every 3×3 pixels, every second of them, or every one with a border."""
    padding = "VALID" if stride == 2 else "SAME"
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def _mean(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """The mean of every 3×3 pixels, of fewer at the border."""

    def total(values: Array) -> Array:
        return jax.lax.reduce_window(values, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")

    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


def _resized(images: Float[Array, "n h w 3"]) -> Float[Array, "n 299 299 3"]:
    """Bilinear between pixels' centres, without smoothing, the border repeated."""
    for axis in (1, 2):
        size = images.shape[axis]
        at = jnp.maximum((jnp.arange(_SIDE) + 0.5) * (size / _SIDE) - 0.5, 0)
        first = jnp.minimum(at.astype(int), size - 1)
        second = jnp.minimum(first + 1, size - 1)
        share = jnp.expand_dims(at - first, (0, 3 - axis, 3)).astype(images.dtype)
        images = images.take(first, axis) * (1 - share) + images.take(second, axis) * share
    return images
