"""StyleGAN2 (Karras et al. 2020) as Flax Linen modules: mapping, and synthesis with skip connections.

Weights are stored as the networks use them, kernels as HWIO correlation kernels and dense weights as (in, out);
images are NHWC, nominally in [−1, 1].
"""

from collections.abc import Mapping as Dictionary
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.networks.kernel_forms import conv_form
from pulse_jax.generators.networks.layers import (
    BLOCK,
    beside,
    dense,
    leaky_relu,
    modulated_conv,
    pixel_norm,
    single,
    split_rows,
    upsample_image,
    upsample_modulated_conv,
)

__all__ = ["Mapping", "Synthesis"]

_GAIN = 2.0**0.5
_normal = nn.initializers.normal(1.0)


def _constant(value: float) -> Any:
    return nn.initializers.constant(value)


class Mapping(nn.Module):
    """z → w: pixel norm, then `mapping_layers` equalised dense layers with leaky ReLU, (…, d) → (…, d).

    A network with classes needs a label (…, label_dim) too, broadcast against z; its embedding stands beside z, and
    the config's `label_norm` says how the two are normalised.
    """

    config: StyleGAN2Config

    @nn.compact
    def __call__(self, z: Float[Array, "... d"], label: Float[Array, "... n"] | None = None) -> Float[Array, "... d"]:
        width, multiplier = self.config.latent_dim, self.config.mapping_lr_multiplier
        x = self._input(z, label)
        for i in range(self.config.mapping_layers or 0):
            fan_in = x.shape[-1]
            weight = self.param(f"dense{i}_weight", nn.initializers.normal(1 / multiplier), (fan_in, width))
            bias = self.param(f"dense{i}_bias", nn.initializers.zeros, (width,))
            x = leaky_relu(dense(x, weight * (multiplier / fan_in**0.5), bias * multiplier)) * _GAIN
        return x

    def _input(self, z: Array, label: Array | None) -> Array:
        """What the first layer takes: z (…, d), or z and the label's embedding (…, 2d), normalised."""
        width, classes = self.config.latent_dim, self.config.label_dim
        if not classes:
            return pixel_norm(z)
        assert label is not None
        weight = self.param("label_weight", _normal, (classes, width))
        if self.config.label_norm == "joint":
            return pixel_norm(beside(z, dense(label, weight, jnp.zeros(width))))
        bias = self.param("label_bias", nn.initializers.zeros, (width,))
        return beside(pixel_norm(z), pixel_norm(dense(label, weight / classes**0.5, bias)))


class _Style(nn.Module):
    """The affine map from w to a layer's channel scales; its bias starts at 1."""

    channels: int
    gain: float = 1.0

    @nn.compact
    def __call__(self, w: Float[Array, "n *o d"]) -> Float[Array, "n *o c"]:
        width = w.shape[-1]
        weight = self.param("weight", _normal, (width, self.channels))
        bias = self.param("bias", nn.initializers.ones, (self.channels,))
        return dense(w, weight / width**0.5, bias) * self.gain


class _Layer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, leaky ReLU · √2, clamp."""

    channels: int
    upsample: bool
    clamp: float | None

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], w: Float[Array, "n *o d"], noise: Float[Array, "n r r 1"]
    ) -> Float[Array, "n r r o"]:
        style = _Style(x.shape[-1], name="style")(w)
        kernel = self.param("kernel", _normal, (3, 3, x.shape[-1], self.channels))
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        if self.upsample:
            x = upsample_modulated_conv(x, kernel, style)
        else:
            x = modulated_conv(x, kernel, style, form=conv_form(self, "kernel", kernel, x.shape[1]))
        # Broadcast first, so that the noise's gradient is summed before it is rounded to x's type.
        noise = jnp.broadcast_to(noise * strength, x.shape).astype(x.dtype)
        # One after the other: their sum is the same in every step, and XLA would keep it, as large as x.
        x = leaky_relu(x + noise + bias.astype(x.dtype)) * _GAIN
        return x if self.clamp is None else jnp.clip(x, -self.clamp, self.clamp)


class _ToRGB(nn.Module):
    """Modulated 1×1 convolution to RGB without demodulation, bias, clamp; float32 or wider."""

    clamp: float | None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], w: Float[Array, "n *o d"]) -> Float[Array, "n h w 3"]:
        style = _Style(x.shape[-1], gain=x.shape[-1] ** -0.5, name="style")(w)
        kernel = self.param("kernel", _normal, (1, 1, x.shape[-1], 3))
        bias = self.param("bias", nn.initializers.zeros, (3,))
        rgb = single(modulated_conv(x, kernel, style, demodulate=False)) + bias
        return rgb if self.clamp is None else jnp.clip(rgb, -self.clamp, self.clamp)


class Synthesis(nn.Module):
    """w and noise → image; `dtype` is the arithmetic of the convolutions (float32 or bfloat16).

    Kernels may be given in the forms of `kernel_forms` beside their weights.
    """

    config: StyleGAN2Config
    dtype: jnp.dtype = jnp.dtype(jnp.float32)

    @nn.compact
    def __call__(
        self,
        w: Float[Array, "n layers d"],
        noise: tuple[Float[Array, "n _ _ 1"], ...],
        offsets: Dictionary[int, Float[Array, "n _ _ c"]] | None = None,
    ) -> Float[Array, "n h w 3"]:
        config = self.config
        rows = split_rows(w, config.filters)
        const = self.param("const", _normal, (4, 4, config.channels[0]))
        x = jnp.broadcast_to(const, (w.shape[0], *const.shape)).astype(self.dtype)
        image = None
        layer = 0
        for block, (size, channels) in enumerate(zip(config.blocks, config.channels, strict=True)):
            for upsample in (False,) if size == 4 else (True, False):
                convolution = _Layer(channels, upsample, config.conv_clamp, name=f"b{size}_conv{int(not upsample)}")
                x = convolution(x, rows[layer][:, :channels] if rows[layer].ndim == 3 else rows[layer], noise[layer])
                layer += 1
            if offsets and block in offsets:
                x = x + offsets[block].astype(x.dtype)
            x = checkpoint_name(x, BLOCK)
            # The colours share theirs with the next convolution's first three filters, as in the authors' program.
            colours = rows[layer][:, :3] if rows[layer].ndim == 3 else rows[layer]
            rgb = _ToRGB(config.conv_clamp, name=f"b{size}_torgb")(x, colours)
            image = rgb if image is None else upsample_image(image) + rgb
        return jax.numpy.asarray(image)
