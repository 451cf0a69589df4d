"""The networks that programs were given when some of `goldens/methods` was recorded, drawn again; and a distance."""

import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.lpips import BLOCKS, Perceptual
from tests.golden_weights import drawn, hwio, stylegan2

__all__ = ["apart", "generator_of", "perceptual"]


def generator_of(golden):
    """A StyleGAN2 of 32×32, its weights drawn in the order of `names`, with the program's own moments of w."""
    state = {}
    for place, (name, shape) in enumerate(zip(golden["names"].tolist(), golden["shapes"].tolist(), strict=True)):
        shape = tuple(int(side) for side in shape.split(",") if side)
        if not name.endswith("resample_filter"):
            state[name] = _weights(name, drawn(shape, 2041, place))
    params, _, _ = stylegan2(state)
    channels = tuple(len(array) for name, array in state.items() if name.endswith("conv1.weight"))
    config = StyleGAN2Config(resolution=32, latent_dim=8, mapping_layers=2, channels=channels)
    moments = {"w_avg": jnp.asarray(golden["w_avg"]), "w_std": jnp.asarray(golden["w_std"], jnp.float32)}
    return Generator(config=config, params=params, **moments, perceptual=perceptual())


def _weights(name, values):
    if name.endswith("noise_strength"):
        return np.full(values.shape, 0.2, np.float32)
    if name.startswith("mapping.fc"):
        return values * np.float32(100 if name.endswith("weight") else 50)
    if name.endswith("affine.bias"):
        return 1 + np.float32(0.1) * values
    return values * np.float32(0.25 if name.endswith("torgb.weight") else 0.1 if name.endswith("bias") else 1)


def perceptual():
    """A VGG16 of few channels with the heads of LPIPS."""
    kernels, biases, heads, before = [], [], [], 3
    for block, (width, count) in enumerate(zip((4, 5, 6, 6, 4), BLOCKS, strict=True)):
        for _ in range(count):
            place = len(kernels)
            kernels.append(hwio(drawn((width, before, 3, 3), 2040, place) * np.float32((2 / (9 * before)) ** 0.5)))
            biases.append(np.float32(0.5) + np.float32(0.1) * drawn((width,), 2040, 100 + place))
            before = width
        heads.append(np.abs(drawn((width,), 2040, 200 + block)))
    return Perceptual(*(tuple(map(jnp.asarray, part)) for part in (kernels, biases, heads)))


def apart(found, expected, scale=None):
    """How far arrays lie apart, as a share of how long the `scale` is, the expected array where none is given."""
    expected = np.asarray(expected, np.float64)
    return np.linalg.norm(np.asarray(found) - expected) / np.linalg.norm(expected if scale is None else scale)
