"""StyleGANs of a few channels with random weights, made without compiling anything."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pulse_jax.generators.architectures import StyleGAN1Config, StyleGAN2Config
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks import stylegan2
from pulse_jax.generators.networks.initialization import init_params
from pulse_jax.generators.networks.lpips import Perceptual
from pulse_jax.generators.priors.gaussian import GaussianFit

ARCHITECTURES = {
    "stylegan1-4": StyleGAN1Config(resolution=4, latent_dim=5, mapping_layers=0, channels=(7,)),
    "stylegan1-16": StyleGAN1Config(resolution=16, latent_dim=8, mapping_layers=1, channels=(8, 7, 5)),
    "stylegan2-4": StyleGAN2Config(resolution=4, latent_dim=3, mapping_layers=1, channels=(5,)),
    "stylegan2-8": StyleGAN2Config(resolution=8, latent_dim=8, mapping_layers=2, channels=(8, 6), conv_clamp=256.0),
    "stylegan2-16": StyleGAN2Config(resolution=16, latent_dim=7, mapping_layers=0, channels=(4, 3, 2)),
}
# A multiplier of 1, so that labels matter with the small weights drawn here.
_LABELLED: Any = {"resolution": 4, "latent_dim": 5, "channels": (4,), "mapping_lr_multiplier": 1.0}
LABELLED = {
    "stylegan1-labels": StyleGAN1Config(**_LABELLED, mapping_layers=2, label_dim=3),
    "stylegan2-labels": StyleGAN2Config(**_LABELLED, mapping_layers=2, label_dim=3),
    "stylegan2-joint-labels": StyleGAN2Config(**_LABELLED, mapping_layers=1, label_dim=4, label_norm="joint"),
}


def tiny_generator(
    architecture: str = "stylegan2-8", *, seed: int = 0, fits: bool = True, contrast: float = 1.0
) -> Generator:
    """A generator with random weights and, with `fits`, made-up whitening and mean of w.

    Its pictures go far beyond [0, 1]; `contrast` multiplies their distance from grey.
    """
    config = (ARCHITECTURES | LABELLED)[architecture]
    shapes = jax.eval_shape(functools.partial(init_params, config), jax.random.key(0), jax.random.key(0))
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    def weight(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = jax.tree_util.keystr(path)
        return draw(*leaf.shape) * (contrast if "torgb" in name and "style" not in name else 1.0)

    return Generator(
        config=config,
        params=jax.tree_util.tree_map_with_path(weight, shapes),
        gaussian_fit=GaussianFit(draw(config.latent_dim), 1 + draw(config.latent_dim) ** 2) if fits else None,
        w_avg=draw(config.latent_dim) if fits else None,
    )


def searchable_generator() -> Generator:
    """A generator whose searches succeed at times: initial weights, and a whitening that changes nothing."""
    config = StyleGAN2Config(resolution=8, latent_dim=8, mapping_layers=1, channels=(8, 8))
    key = jax.random.key(0)
    noise = tuple(jnp.zeros((1, *shape)) for shape in config.noise_shapes)
    w = jnp.zeros((1, config.num_layers, 8))
    return Generator(
        config=config,
        params={
            "mapping": stylegan2.Mapping(config).init(key, jnp.zeros((1, 8)))["params"],
            "synthesis": stylegan2.Synthesis(config).init(key, w, noise)["params"],
        },
        w_avg=jnp.zeros(8),
        gaussian_fit=GaussianFit(jnp.zeros(8), jnp.ones(8)),
    )


def perceptual_arrays(widths=(4, 5, 6, 6, 4), seed=0):
    """A VGG16 of a few channels and heads of LPIPS for it, float32, as torchvision and the lpips program name them."""
    rng = np.random.default_rng(seed)
    network, heads = {}, {}
    places, before = iter((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)), 3
    for block, (width, count) in enumerate(zip(widths, (2, 2, 3, 3, 3), strict=True)):
        for place in (next(places) for _ in range(count)):
            kernel = rng.standard_normal((width, before, 3, 3)) * (2 / (9 * before)) ** 0.5
            network[f"features.{place}.weight"] = kernel.astype(np.float32)
            network[f"features.{place}.bias"] = (0.1 * rng.standard_normal(width)).astype(np.float32)
            before = width
        heads[f"lin{block}.model.1.weight"] = rng.random((1, width, 1, 1)).astype(np.float32)
    return network, heads


def tiny_perceptual(dtype=jnp.float32, **options):
    """The same as `pulse_jax` takes it."""
    network, heads = perceptual_arrays(**options)
    kernels = [array.transpose(2, 3, 1, 0) for key, array in network.items() if key.endswith("weight")]
    biases = [array for key, array in network.items() if key.endswith("bias")]
    parts = (kernels, biases, [head.reshape(-1) for head in heads.values()])
    return Perceptual(*(tuple(jnp.asarray(array, dtype) for array in part) for part in parts))
