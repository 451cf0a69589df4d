"""Building blocks of both StyleGANs in the forms that accelerators are fastest with: few kernels, little memory kept.

They are the functions of `layers`, with gradients in everything but the networks' weights, which a search never asks
for. Sums over pixels are in float32 whatever the activations are in. What is differentiated twice is exact too.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax.generators.networks.layers import single

__all__ = [
    "activate",
    "colours",
    "conv3x3",
    "normalise",
    "scale_channels",
    "spread_conv",
    "stacked",
    "upsample_conv_folded",
]

Activations = Float[Array, "_ _ _ _"]
Kernel = Float[Array, "_ _ _ _"]
_LAYOUT = ("NHWC", "HWIO", "NHWC")
_GAIN = 2.0**0.5
_SLOPE = 0.2


def stacked(arrays: Sequence[Array]) -> Array:
    """Return arrays that differ in their sizes beside each other in a new first axis, filled up with zeros."""
    sides = np.max([array.shape for array in arrays], axis=0)
    return jnp.stack(
        [jnp.pad(a, [(0, int(side) - own) for own, side in zip(a.shape, sides, strict=True)]) for a in arrays]
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _conv(x: Activations, kernel: Kernel, stride: int, spread: int, pad: int, precision: Any) -> Any:
    """Correlate x, `spread` − 1 zeros between its pixels, with a kernel."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        lhs_dilation=(spread, spread),
        dimension_numbers=_LAYOUT,
        precision=precision,
    )


def _conv_backward(
    stride: int, spread: int, pad: int, precision: Any, kernel: Kernel, cotangent: Activations
) -> tuple[Activations, None]:
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    result: Any = _conv(cotangent, flipped, spread, stride, kernel.shape[0] - 1 - pad, precision)
    return result, None


_conv.defvjp(lambda x, kernel, *static: (_conv(x, kernel, *static), kernel), _conv_backward)


def conv3x3(x: Activations, kernel: Kernel, precision: Any) -> Activations:
    """Correlate with a 3×3 kernel, zero padding 1."""
    result: Any = _conv(x, kernel, 1, 1, 1, precision)
    return result


def spread_conv(x: Activations, reversed_kernel: Kernel, precision: Any) -> Activations:
    """Correlate x (n, h, w, i), zeros between its pixels, with a k×k kernel, zero padding 2: (n, 2 h + 4 − k, …, o).

    The kernel is given reversed in space: a library's transposed convolution is taken where the program reverses it.
    """
    result: Any = _conv(x, jnp.flip(reversed_kernel, (0, 1)), 1, 2, 2, precision)
    return result


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def upsample_conv_folded(x: Activations, kernel: Float[Array, "3 3 i o"], precision: Any) -> Any:
    """`spread_conv` with a 3×3 kernel and the filter [1, 3, 3, 1] of gain 4 behind it as one convolution.

    Its products are four times as many, and it moves less than half of the bytes. Forward, the four phases of the
    result are channels of a 3×3 convolution of the input; backward, it is one of 6×6 and stride 2.
    """
    n, height, width, _ = x.shape
    whole = _with_filter(kernel)
    # An output of an even or odd row and column meets three inputs along each axis.
    phases = jnp.stack([jnp.stack([whole[1 - a :: 2, 1 - b :: 2] for b in (0, 1)], -2) for a in (0, 1)], -3)
    y: Any = conv3x3(x, phases.reshape(3, 3, x.shape[-1], -1).astype(x.dtype), precision)
    return y.reshape(n, height, width, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, -1)


def _with_filter(kernel: Float[Array, "3 3 i o"]) -> Float[Array, "6 6 i o"]:
    taps = (0.25, 0.75, 0.75, 0.25)
    moved = [
        jnp.pad(taps[a] * taps[b] * kernel, ((a, 3 - a), (b, 3 - b), (0, 0), (0, 0)))
        for a in range(4)
        for b in range(4)
    ]
    return functools.reduce(jnp.add, moved)


def _upsample_conv_folded_backward(precision: Any, kernel: Kernel, cotangent: Activations) -> tuple[Activations, None]:
    flipped = jnp.flip(_with_filter(kernel), (0, 1)).swapaxes(2, 3).astype(cotangent.dtype)
    result: Any = _conv(cotangent, flipped, 2, 1, 2, precision)
    return result, None


upsample_conv_folded.defvjp(
    lambda x, kernel, precision: (upsample_conv_folded(x, kernel, precision), kernel), _upsample_conv_folded_backward
)


def _kept(x: Array) -> Array:
    """What is kept for the gradient, in its own type: XLA would else keep what it was rounded from, and masks of it."""
    return jax.lax.optimization_barrier(x)


def _scaled(x: Activations, scale: Float[Array, "n c"]) -> Array:
    return single(x) * scale[:, None, None, :]


@jax.custom_vjp
def scale_channels(x: Activations, scale: Float[Array, "n c"]) -> Any:
    """Return x times a scale of each channel of each image."""
    return _scaled(x, scale).astype(x.dtype)


def _scale_channels_backward(residuals: tuple[Activations, Array], cotangent: Activations) -> tuple[Activations, Array]:
    x, scale = residuals
    # As many terms as there are pixels: in bfloat16 nothing would be left of such a sum.
    return scale_channels(cotangent, scale), jnp.sum(single(cotangent) * single(x), axis=(1, 2))


scale_channels.defvjp(lambda x, scale: (scale_channels(x, scale), (_kept(x), scale)), _scale_channels_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def activate(
    y: Activations,
    scale: Float[Array, "n c"],
    noise: Float[Array, "n h w 1"],
    bias: Float[Array, " c"],
    style: Float[Array, "n c"] | None,
    clamp: Any,
) -> Any:
    """Return y · scale + noise + bias behind a leaky ReLU · √2, a clamp and the next convolution's style.

    The result alone is kept for the gradient: what went in comes back from it.

    Args:
        y: What a convolution has made.
        scale: Scale of each channel of each image, not 0.
        noise: Noise to add to all channels.
        bias: Bias of each channel.
        style: Scale of each channel of the result, not 0; None for none.
        clamp: Bound of the result before the style, or None.
    """
    z = _scaled(y, scale) + noise + bias
    z = jnp.maximum(z, _SLOPE * z) * _GAIN
    z = z if clamp is None else jnp.clip(z, -clamp, clamp)
    return (z if style is None else _scaled(z, style)).astype(y.dtype)


def _activate_forward(
    y: Activations, scale: Array, noise: Array, bias: Array, style: Array | None, clamp: Any
) -> tuple[Any, Any]:
    result: Any = activate(y, scale, noise, bias, style, clamp)
    return result, (_kept(result), scale, noise, bias, style)


def _activate_backward(clamp: float | None, residuals: Any, cotangent: Activations) -> tuple[Array | None, ...]:
    result, scale, noise, bias, style = residuals
    pull, z = single(cotangent), single(result)
    along_style = None
    if style is not None:
        z = z / style[:, None, None, :]
        along_style = jnp.sum(pull * z, axis=(1, 2))
        pull = _scaled(pull, style)
    slope = jnp.where(z > 0, _GAIN, _SLOPE * _GAIN)
    pull = pull * slope
    if clamp is not None:
        # The style's rounding aside, what has met the clamp is the clamp.
        pull = jnp.where(jnp.abs(z) < clamp * (1 - 2 * jnp.finfo(result.dtype).eps), pull, 0)
    along_scale = jnp.sum(pull * (z / slope - noise - bias), axis=(1, 2)) / scale
    along_noise = jnp.sum(pull, axis=-1, keepdims=True)
    return _scaled(pull, scale).astype(result.dtype), along_scale, along_noise, None, along_style


activate.defvjp(_activate_forward, _activate_backward)


@jax.custom_vjp
def colours(x: Activations, style: Float[Array, "n c"], kernel: Float[Array, "c k"]) -> Any:
    """Return (x · style) · kernel in float32, for few colours k."""
    columns = [jnp.sum(_scaled(x, style * kernel[:, k]), axis=-1) for k in range(kernel.shape[-1])]
    # All in the pass that makes x, and none in what comes next.
    return jnp.stack(jax.lax.optimization_barrier(columns), axis=-1)


def _colours_backward(residuals: Any, cotangent: Float[Array, "n h w k"]) -> tuple[Array, Array, None]:
    x, style, kernel = residuals
    # Sums that join what else passes over the pixels, instead of products with very few terms.
    pull = functools.reduce(jnp.add, [cotangent[..., k, None] * kernel[:, k] for k in range(kernel.shape[-1])])
    return _scaled(pull, style).astype(x.dtype), jnp.sum(single(x) * pull, axis=(1, 2)), None


colours.defvjp(lambda x, style, kernel: (colours(x, style, kernel), (_kept(x), style, kernel)), _colours_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(6,))
def normalise(
    y: Activations,
    bias: Float[Array, " c"],
    noise: Float[Array, "n h w 1"],
    strength: Float[Array, " c"],
    scale: Float[Array, "n c"],
    offset: Float[Array, "n c"],
    eps: float,
) -> Any:
    """Return y + bias + noise · strength behind a leaky ReLU, normalised by channel and image, · scale + offset.

    Only y and the moments are kept for the gradient; all the rest is made again in the passes that it takes anyway.

    Args:
        y: What a convolution has made.
        bias: Bias of each channel.
        noise: Noise to add to all channels.
        strength: What it is multiplied with, by channel.
        scale: Standard deviation of each channel of each image of the result.
        offset: Mean of it.
        eps: What is added to the variance (biased).
    """
    return _normalise_forward(y, bias, noise, strength, scale, offset, eps)[0]


def _bent(y: Activations, bias: Array, noise: Array, strength: Array) -> Array:
    z = single(y) + bias + noise * strength
    return jnp.maximum(z, _SLOPE * z)


def _normalise_forward(
    y: Activations, bias: Array, noise: Array, strength: Array, scale: Array, offset: Array, eps: float
) -> tuple[Any, Any]:
    bent = _bent(y, bias, noise, strength)
    mean = jnp.mean(bent, axis=(1, 2), keepdims=True)
    if y.dtype == jnp.bfloat16:
        # In one pass: what cancels is far below the rounding of the activations.
        variance = jnp.maximum(jnp.mean(jnp.square(bent), axis=(1, 2), keepdims=True) - jnp.square(mean), 0)
    else:
        variance = jnp.mean(jnp.square(bent - mean), axis=(1, 2), keepdims=True)
    deviation = jax.lax.rsqrt(variance + eps)
    # The moments once, and not again in all that uses them.
    mean, deviation = jax.lax.optimization_barrier((mean, deviation))
    result = (bent - mean) * deviation * scale[:, None, None, :] + offset[:, None, None, :]
    return result.astype(y.dtype), (_kept(y), bias, noise, strength, mean, deviation, scale)


def _normalise_backward(eps: float, residuals: Any, cotangent: Activations) -> tuple[Array | None, ...]:
    y, bias, noise, strength, mean, deviation, scale = residuals
    bent, pull = _bent(y, bias, noise, strength), single(cotangent)
    normalised = (bent - mean) * deviation
    pixels = y.shape[1] * y.shape[2]
    along_offset = jnp.sum(pull, axis=(1, 2), keepdims=True)
    along_scale = jnp.sum(pull * normalised, axis=(1, 2), keepdims=True)
    sums = jax.lax.optimization_barrier((along_offset, along_scale))
    rest = pull - sums[0] / pixels - normalised * (sums[1] / pixels)
    along = scale[:, None, None, :] * deviation * rest * jnp.where(bent > 0, 1, _SLOPE)
    along_noise = jnp.sum(along * strength, axis=-1, keepdims=True)
    return along.astype(y.dtype), None, along_noise, None, along_scale[:, 0, 0], along_offset[:, 0, 0]


normalise.defvjp(_normalise_forward, _normalise_backward)
