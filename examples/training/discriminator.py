"""StyleGAN2's residual discriminator (Karras et al. 2020), halving before it convolves, which is cheaper."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.generators.networks.layers import conv, dense, leaky_relu

_GAIN = 2.0**0.5
_normal = nn.initializers.normal(1.0)


def halve(x: Float[Array, "n h w c"]) -> Float[Array, "n h//2 w//2 c"]:
    """[1, 3, 3, 1] / 8 along rows and columns, then every second pixel, as sums of even and odd pixels."""
    for axis in (1, 2):
        size = x.shape[axis] // 2
        pairs = x.reshape(*x.shape[:axis], size, 2, *x.shape[axis + 1 :])
        even, odd = (jax.lax.index_in_dim(pairs, i, axis=axis + 1, keepdims=False) for i in (0, 1))
        pad = [(0, 0)] * x.ndim
        pad[axis] = (1, 1)
        before = jax.lax.slice_in_dim(jnp.pad(odd, pad), 0, size, axis=axis)
        after = jax.lax.slice_in_dim(jnp.pad(even, pad), 2, size + 2, axis=axis)
        x = (before + 3 * even + 3 * odd + after) / 8
    return x


class _Conv(nn.Module):
    """Equalised convolution, bias and leaky ReLU · √2."""

    channels: int
    window: int = 3
    activate: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w o"]:
        kernel = self.param("kernel", _normal, (self.window, self.window, x.shape[-1], self.channels))
        kernel = (kernel / (self.window * x.shape[-1] ** 0.5)).astype(x.dtype)
        pad = self.window // 2
        x = conv(x, kernel, ((pad, pad), (pad, pad))) if self.window > 1 else jnp.tensordot(x, kernel[0, 0], axes=1)
        if not self.activate:
            return x
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return leaky_relu(x + bias.astype(x.dtype)) * _GAIN


class _Dense(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "n i"]) -> Float[Array, "n o"]:
        weight = self.param("weight", _normal, (x.shape[-1], self.channels))
        return dense(x, weight / x.shape[-1] ** 0.5, self.param("bias", nn.initializers.zeros, (self.channels,)))


class Discriminator(nn.Module):
    """Images in [−1, 1] → logits (n,) and features (n, channels[0]); `channels` from 4×4 up to half the resolution.

    `dtype` is the arithmetic of the convolutions (float32 or bfloat16); the last layers' is float32. The picture is
    folded 2×2 into channels first: a layer at full resolution costs as much as all others together.
    Minibatch deviation is taken over groups of four consecutive images: n must be a multiple of 4.
    """

    channels: tuple[int, ...]
    dtype: jnp.dtype = jnp.dtype(jnp.float32)

    @nn.compact
    def __call__(self, image: Float[Array, "n h w 3"]) -> tuple[Float[Array, "n"], Float[Array, "n f"]]:
        widths = self.channels[::-1]
        n, height, width, _ = image.shape
        folded = image.reshape(n, height // 2, 2, width // 2, 2, 3).transpose(0, 1, 3, 2, 4, 5)
        folded = folded.reshape(n, height // 2, width // 2, 12).astype(self.dtype)
        x = _Conv(widths[0], name="from_rgb")(folded)
        for width, following in itertools.pairwise(widths):
            size = x.shape[1]
            skip = _Conv(following, window=1, activate=False, name=f"b{size}_skip")(halve(x))
            y = _Conv(width, name=f"b{size}_conv0")(x)
            y = _Conv(following, name=f"b{size}_conv1")(halve(y))
            x = (y + skip) * 0.5**0.5
        x = x.astype(jnp.float32)
        groups = x.reshape(-1, 4, *x.shape[1:])
        deviation = jnp.sqrt(jnp.var(groups, axis=1) + 1e-8).mean(axis=(1, 2, 3))
        deviation = jnp.repeat(deviation, 4)[:, None, None, None]
        x = jnp.concatenate([x, jnp.broadcast_to(deviation, (*x.shape[:3], 1))], axis=-1)
        x = _Conv(widths[-1], name="conv")(x)
        features = leaky_relu(_Dense(widths[-1], name="features")(x.reshape(x.shape[0], -1))) * _GAIN
        return _Dense(1, name="logit")(features)[:, 0], features
