"""StyleGAN's synthesis in the form that accelerators are fastest with; `stylegan1.Synthesis` says what it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from pulse_jax.generators.architectures import StyleGAN1Config
from pulse_jax.generators.networks.accelerated import colours, conv3x3, normalise, spread_conv, stacked
from pulse_jax.generators.networks.layers import BLOCK, blur_1_2_1

__all__ = ["Forms", "prepare", "synthesize"]

_GAIN = 2.0**0.5


class Forms(NamedTuple):
    """What is made of the weights once.

    Attributes:
        style_weight, style_bias: The affine maps to each layer's scale and offset, filled up with zeros,
            (layers, d, 2 c) and (layers, 2 c).
        reversed_kernels: Of the upsampling convolutions, the kernels of as many transposed ones with a window of 4×4,
            reversed in space, from 8×8 up.
        kernels: Kernels of the other convolutions, scaled.
    """

    style_weight: Float[Array, "layers d c"]
    style_bias: Float[Array, "layers c"]
    reversed_kernels: tuple[Float[Array, "4 4 _ _"], ...]
    kernels: tuple[Float[Array, "3 3 _ _"], ...]


def _scaled(kernel: Float[Array, "k k i o"]) -> Float[Array, "k k i o"]:
    return kernel * (_GAIN / (kernel.shape[0] * kernel.shape[2] ** 0.5))


def _spread(kernel: Float[Array, "3 3 i o"]) -> Float[Array, "4 4 i o"]:
    """The kernel that makes of an image with zeros between its pixels what this one makes of each pixel doubled."""
    for axis in (0, 1):
        before, after = ([(0, 0)] * 4 for _ in range(2))
        before[axis], after[axis] = (1, 0), (0, 1)
        kernel = jnp.pad(kernel, before) + jnp.pad(kernel, after)
    return kernel


def prepare(config: StyleGAN1Config, params: Any) -> Forms:
    """Return the forms of the parameters of a `stylegan1.Synthesis`."""
    epilogues = [params[f"b{size}_epilogue{half}"] for size in config.blocks for half in (0, 1)]
    ups = [_scaled(params[f"b{size}_conv0_kernel"]) for size in config.blocks if size > 4]
    ones = [jnp.concatenate([jnp.ones(width), jnp.zeros(width)]) for width in config.channels for _ in (0, 1)]
    return Forms(
        style_weight=stacked([layer["style_weight"] / config.latent_dim**0.5 for layer in epilogues]),
        style_bias=stacked([layer["style_bias"] + one for layer, one in zip(epilogues, ones, strict=True)]),
        reversed_kernels=tuple(jnp.flip(_spread(kernel), (0, 1)) for kernel in ups),
        kernels=tuple(_scaled(params[f"b{size}_conv1_kernel"]) for size in config.blocks),
    )


def synthesize(
    config: StyleGAN1Config,
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
        params: Parameters of `stylegan1.Synthesis`.
        forms: What `prepare` gives of them.
        w: A row for each layer.
        noise: Every noise input.
        offsets: Arrays added to the outputs of blocks, by number.
        dtype: Arithmetic of the convolutions.
        precision: Precision of those in float32.
    """
    styles = jnp.einsum("nld,ldc->lnc", w, forms.style_weight, precision="highest") + forms.style_bias[:, None]

    def finish(x: Array, bias: Array, size: int, block: int, half: int) -> Array:
        channels, layer = x.shape[-1], 2 * block + half
        scale, offset = jnp.split(styles[layer, :, : 2 * channels], 2, axis=-1)
        image, strength = noise[block if config.shared_noise else layer], params[f"b{size}_epilogue{half}"]
        return jnp.asarray(normalise(x, bias, image, strength["noise_weight"], scale, offset, config.instance_norm_eps))

    const = params["const"]
    x = jnp.broadcast_to(const, (w.shape[0], *const.shape)).astype(dtype)
    for block, size in enumerate(config.blocks):
        bias = params[f"b{size}_conv0_bias"]
        if block:
            x = spread_conv(x, forms.reversed_kernels[block - 1].astype(dtype), precision)
            if config.bias_before_blur:
                x, bias = x + bias.astype(dtype), jnp.zeros_like(bias)
            x = blur_1_2_1(x)
        x = finish(x, bias, size, block, 0)
        x = finish(
            conv3x3(x, forms.kernels[block].astype(dtype), precision), params[f"b{size}_conv1_bias"], size, block, 1
        )
        if block in offsets:
            x = x + offsets[block].astype(x.dtype)
        x = checkpoint_name(x, BLOCK)
    kernel = params["torgb_kernel"][0, 0] / x.shape[-1] ** 0.5
    return jnp.asarray(colours(x, jnp.ones((len(x), x.shape[-1])), kernel)) + params["torgb_bias"]
