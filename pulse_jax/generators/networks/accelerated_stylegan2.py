"""StyleGAN2's synthesis in the form that accelerators are fastest with; `stylegan2.Synthesis` says what it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.networks.accelerated import (
    activate,
    colours,
    conv3x3,
    scale_channels,
    spread_conv,
    stacked,
    upsample_conv_folded,
)
from pulse_jax.generators.networks.layers import BLOCK, fir, upsample_image

__all__ = ["Forms", "prepare", "synthesize"]

# Upsampling layers of larger sides have their filter folded into the kernel where products are cheap: on an H100 both
# directions took 2.0 instead of 3.0 ms in bfloat16, but 23 instead of 16 in float32 (from 512×512, eight images).
_FOLDED = 512
_TAPS = (0.25, 0.75, 0.75, 0.25)


class Forms(NamedTuple):
    """What is made of the weights once; layers are all convolutions, then the colours of all blocks.

    Attributes:
        style_weight, style_bias: The affine maps to styles, filled up with zeros, (layers, d, c) and (layers, c).
        squares: Sums of the squares of the convolutions' kernels over their windows, likewise, (convolutions, c, c).
        reversed_kernels: Kernels of the upsampling convolutions, reversed in space, from 8×8 up.
    """

    style_weight: Float[Array, "layers d c"]
    style_bias: Float[Array, "layers c"]
    squares: Float[Array, "convolutions c c"]
    reversed_kernels: tuple[Float[Array, "3 3 _ _"], ...]


def _layers(config: StyleGAN2Config, params: Any) -> tuple[list[Any], list[Any]]:
    """The parameters of the convolutions and of the colours, in order."""
    halves = [(size, half) for size in config.blocks for half in (0, 1) if size > 4 or half]
    return [params[f"b{size}_conv{half}"] for size, half in halves], [
        params[f"b{size}_torgb"] for size in config.blocks
    ]


def prepare(config: StyleGAN2Config, params: Any) -> Forms:
    """Return the forms of the parameters of a `stylegan2.Synthesis`."""
    convolutions, to_rgb = _layers(config, params)
    styles = [layer["style"] for layer in (*convolutions, *to_rgb)]
    gains = [1.0] * len(convolutions) + [layer["kernel"].shape[2] ** -0.5 for layer in to_rgb]
    root = config.latent_dim**0.5
    return Forms(
        style_weight=stacked([style["weight"] * (gain / root) for style, gain in zip(styles, gains, strict=True)]),
        style_bias=stacked([style["bias"] * gain for style, gain in zip(styles, gains, strict=True)]),
        squares=stacked([jnp.sum(jnp.square(layer["kernel"]), axis=(0, 1)) for layer in convolutions]),
        reversed_kernels=tuple(jnp.flip(layer["kernel"], (0, 1)) for layer in convolutions[1::2]),
    )


def _styles(forms: Forms, w: Float[Array, "n rows d"]) -> tuple[Float[Array, "_ n _"], Float[Array, "_ n _"]]:
    """Return the styles of all layers, and the scales that demodulate the convolutions: two products in all."""
    # The colours share their row with the next block's first convolution.
    rows = jnp.concatenate([w[:, :-1], w[:, 1::2]], axis=1)
    styles = jnp.einsum("nld,ldc->lnc", rows, forms.style_weight, precision="highest") + forms.style_bias[:, None]
    count, inputs, _ = forms.squares.shape
    squares = jnp.square(styles[:count, :, :inputs])
    return styles, jax.lax.rsqrt(jnp.einsum("lni,lio->lno", squares, forms.squares, precision="highest") + 1e-8)


def synthesize(
    config: StyleGAN2Config,
    params: Any,
    forms: Forms,
    w: Float[Array, "n layers d"],
    noise: tuple[Float[Array, "n _ _ 1"], ...],
    offsets: Mapping[int, Float[Array, "n _ _ c"]],
    *,
    dtype: jnp.dtype,
    precision: jax.lax.Precision,
) -> Float[Array, "n h w 3"]:
    """Return the images of w and noise, nominally in [−1, 1], with no gradient in the parameters.

    Args:
        config: Architecture.
        params: Parameters of `stylegan2.Synthesis`.
        forms: What `prepare` gives of them.
        w: A row for each layer.
        noise: Every noise input.
        offsets: Arrays added to the outputs of blocks, by number.
        dtype: Arithmetic of the convolutions.
        precision: Precision of those in float32.
    """
    convolutions, to_rgb = _layers(config, params)
    styles, scales = _styles(forms, w)
    is_cheap = dtype == jnp.bfloat16 or precision != jax.lax.Precision.HIGHEST

    def finish(x: Array, number: int, style: Array | None) -> Array:
        layer, scale = convolutions[number], scales[number][:, : x.shape[-1]]
        added = noise[number] * layer["noise_strength"]
        return jnp.asarray(activate(x, scale, added, layer["bias"], style, config.conv_clamp))

    const = params["const"]
    x: Any = jnp.broadcast_to(const, (w.shape[0], *const.shape)).astype(dtype)
    image = None
    for block, (size, channels) in enumerate(zip(config.blocks, config.channels, strict=True)):
        number = 2 * block
        style = styles[number][:, :channels]
        if block == 0:
            x = scale_channels(x, style)
        else:
            kernel = convolutions[number - 1]["kernel"]
            x = scale_channels(x, styles[number - 1][:, : x.shape[-1]])
            if size > _FOLDED and is_cheap:
                x = upsample_conv_folded(x, kernel, precision)
            else:
                x = fir(spread_conv(x, forms.reversed_kernels[block - 1].astype(dtype), precision), _TAPS, 1)
            x = finish(x, number - 1, style)
        x = finish(conv3x3(x, convolutions[number]["kernel"].astype(dtype), precision), number, None)
        if block in offsets:
            x = x + offsets[block].astype(x.dtype)
        x = checkpoint_name(x, BLOCK)
        last = to_rgb[block]
        rgb = colours(x, styles[len(convolutions) + block][:, :channels], last["kernel"][0, 0]) + last["bias"]
        rgb = rgb if config.conv_clamp is None else jnp.clip(rgb, -config.conv_clamp, config.conv_clamp)
        image = rgb if image is None else upsample_image(image) + rgb
    return jnp.asarray(image)
