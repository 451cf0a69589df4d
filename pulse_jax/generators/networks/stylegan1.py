"""StyleGAN (Karras, Laine, Aila 2019) as Flax Linen modules: mapping, and synthesis by adaptive instance normalisation.

Kernels are HWIO correlation kernels, dense weights (in, out); images are NHWC, nominally in [−1, 1].
"""

from collections.abc import Mapping as Dictionary

import flax.linen as nn
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from pulse_jax.generators.architectures import StyleGAN1Config
from pulse_jax.generators.networks.kernel_forms import conv_form, upsampling_form
from pulse_jax.generators.networks.layers import (
    BLOCK,
    beside,
    blur_1_2_1,
    conv3x3,
    dense,
    instance_norm,
    leaky_relu,
    pixel_norm,
    pointwise,
    single,
    split_rows,
    upsample_conv,
)

__all__ = ["Mapping", "Synthesis"]

_GAIN = 2.0**0.5
_normal = nn.initializers.normal(1.0)


class Mapping(nn.Module):
    """z → w: pixel norm, then `mapping_layers` equalised dense layers with leaky ReLU, (…, d) → (…, d).

    A network with classes needs a label (…, label_dim) too, broadcast against z; its embedding stands beside z.
    """

    config: StyleGAN1Config

    @nn.compact
    def __call__(self, z: Float[Array, "... d"], label: Float[Array, "... n"] | None = None) -> Float[Array, "... d"]:
        width, multiplier = self.config.latent_dim, self.config.mapping_lr_multiplier
        x = z
        if self.config.label_dim:
            assert label is not None
            embedding = self.param("label_weight", _normal, (self.config.label_dim, width))
            x = beside(x, dense(label, embedding, jnp.zeros(width)))
        x = pixel_norm(x)
        for i in range(self.config.mapping_layers or 0):
            fan_in = x.shape[-1]
            weight = self.param(f"dense{i}_weight", nn.initializers.normal(1 / multiplier), (fan_in, width))
            bias = self.param(f"dense{i}_bias", nn.initializers.zeros, (width,))
            x = leaky_relu(dense(x, weight * (_GAIN * multiplier / fan_in**0.5), bias * multiplier))
        return x


class _Epilogue(nn.Module):
    """Noise, leaky ReLU, instance norm and style, in the original's order."""

    eps: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], w: Float[Array, "n *c d"], noise: Float[Array, "n h w 1"]
    ) -> Float[Array, "n h w c"]:
        channels, width = x.shape[-1], w.shape[-1]
        noise_weight = self.param("noise_weight", nn.initializers.zeros, (channels,))
        weight = self.param("style_weight", _normal, (width, 2 * channels))
        bias = self.param("style_bias", nn.initializers.zeros, (2 * channels,))
        if w.ndim == 3:  # a row for every filter
            own = jnp.einsum("ncd,dkc->nkc", w, (weight / width**0.5).reshape(width, 2, channels), precision="highest")
            scale, offset = own[:, 0] + bias[:channels], own[:, 1] + bias[channels:]
        else:
            scale, offset = jnp.split(dense(w, weight / width**0.5, bias), 2, axis=-1)
        x = leaky_relu(x + (noise * noise_weight).astype(x.dtype))
        return instance_norm(x, scale + 1, offset, eps=self.eps)


class Synthesis(nn.Module):
    """w and noise → image; `dtype` is the arithmetic of the convolutions (float32 or bfloat16).

    There is a noise image for every layer, or for every block where the config says that its layers share one. Kernels
    may be given in the forms of `kernel_forms` beside their weights.
    """

    config: StyleGAN1Config
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

        def kernel(name: str, size: int, fan_in: int, channels: int, gain: float) -> Array:
            weight = self.param(name, _normal, (size, size, fan_in, channels))
            return (weight * (gain / (size * fan_in**0.5))).astype(self.dtype)

        def bias(name: str, channels: int) -> Array:
            return self.param(name, nn.initializers.zeros, (channels,)).astype(self.dtype)

        const = self.param("const", nn.initializers.ones, (4, 4, config.channels[0]))
        x = jnp.broadcast_to(const, (w.shape[0], *const.shape)).astype(self.dtype)
        layer = 0
        for block, (size, channels) in enumerate(zip(config.blocks, config.channels, strict=True)):
            if size > 4:
                name = f"b{size}_conv0_kernel"
                up = kernel(name, 3, x.shape[-1], channels, _GAIN)
                x = upsample_conv(x, up, upsampling_form(self, name, up, size))
                if config.bias_before_blur:
                    x = x + bias(f"b{size}_conv0_bias", channels)
                x = blur_1_2_1(x)
            if size == 4 or not config.bias_before_blur:
                x = x + bias(f"b{size}_conv0_bias", channels)
            for half in (0, 1):
                if half == 1:
                    name = f"b{size}_conv1_kernel"
                    same = kernel(name, 3, channels, channels, _GAIN)
                    x = conv3x3(x, same, conv_form(self, name, same, size))
                    x = x + bias(f"b{size}_conv1_bias", channels)
                epilogue = _Epilogue(config.instance_norm_eps, name=f"b{size}_epilogue{half}")
                x = epilogue(x, rows[layer], noise[block if config.shared_noise else layer])
                layer += 1
            if offsets and block in offsets:
                x = x + offsets[block].astype(x.dtype)
            x = checkpoint_name(x, BLOCK)
        rgb = pointwise(x, kernel("torgb_kernel", 1, x.shape[-1], 3, 1.0)[0, 0])
        return single(rgb) + self.param("torgb_bias", nn.initializers.zeros, (3,))
