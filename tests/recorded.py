"""What `goldens/methods` holds, as this project takes it: networks, priors, pictures, and noise drawn anew."""

import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.architectures import StyleGAN2Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.lpips import Perceptual
from tests import golden_weights


def load(name):
    """Every array of one file of `goldens/methods`."""
    return golden_weights.load(f"methods/{name}")


def unpacked(golden, prefix):
    """The arrays that lie under `prefix` as their names, their shapes (filled up with zeros) and all values."""
    arrays, values = {}, golden[f"{prefix}/values"].astype(np.float32)
    for name, shape in zip(golden[f"{prefix}/names"], golden[f"{prefix}/shapes"], strict=True):
        shape = tuple(int(side) for side in shape if side)
        count = int(np.prod(shape))
        arrays[str(name)], values = values[:count].reshape(shape), values[count:]
    assert not values.size
    return arrays


def generator(golden, **priors):
    """The StyleGAN2 of a golden, as a program that names its weights like ADA's holds it."""
    state = unpacked(golden, "sd")
    params, w_avg, _ = golden_weights.stylegan2(state)
    channels = tuple(len(state[name]) for name in state if name.endswith("conv1.weight"))
    config = StyleGAN2Config(
        resolution=2 ** (len(channels) + 1), latent_dim=len(w_avg), mapping_layers=1, channels=channels
    )
    return Generator(config=config, params=params, w_avg=w_avg, **priors)


def perceptual(golden):
    """The VGG16 of few channels and the heads of LPIPS of a golden."""
    arrays = unpacked(golden, "vgg")
    convolutions = {name: array for name, array in arrays.items() if name.startswith("features")}
    return Perceptual(
        kernels=tuple(jnp.asarray(golden_weights.hwio(a)) for a in convolutions.values() if a.ndim == 4),
        biases=tuple(jnp.asarray(a) for a in convolutions.values() if a.ndim == 1),
        heads=tuple(jnp.asarray(a.reshape(-1)) for name, a in arrays.items() if name not in convolutions),
    )


def picture(golden):
    """The target, float32 in [0, 1]."""
    return golden["target"].astype(np.float32) / np.float32(255)


def noise(seed, shapes):
    """Noise images (r, r, 1) as they were drawn for a program; this old generator's stream stays as it is."""
    rng = np.random.RandomState(seed)
    return tuple(jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes)


def assert_way(found, expected, start, share):
    """Places are where they were recorded, to a share of the way from the start (its root mean square)."""
    way = np.sqrt(np.mean(np.square(np.asarray(expected, np.float64) - start)))
    assert way > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * way)
