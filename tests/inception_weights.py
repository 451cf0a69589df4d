"""Weights of Inception drawn from a seed, as a state dict under torchvision's names: goldens store outputs only."""

import numpy as np

from pulse_jax.generators.networks.inception import Layer, layer_shapes


def state_of(shapes, seed=0):
    """Every array of pytorch-fid's file but the classifier's, for kernels of shapes (height, width, c_in, c_out)."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, (height, width, before, after) in shapes.items():
        deviation = (2 / (height * width * before)) ** 0.5
        kernel = rng.standard_normal((after, before, height, width), np.float32) * np.float32(deviation)
        state[f"{name}.conv.weight"] = kernel
        for part, low, high in (("weight", 0.8, 1.2), ("bias", -0.2, 0.2), ("running_mean", -0.2, 0.2)):
            state[f"{name}.bn.{part}"] = rng.uniform(low, high, after).astype(np.float32)
        state[f"{name}.bn.running_var"] = rng.uniform(0.5, 1.5, after).astype(np.float32)
    return state


def network_of(state):
    """The same as our network takes it."""
    parts = ("weight", "bias", "running_mean", "running_var")
    return {
        name: Layer(state[f"{name}.conv.weight"].transpose(2, 3, 1, 0), *(state[f"{name}.bn.{part}"] for part in parts))
        for name in layer_shapes()
    }


def pictures_of(side, count=2):
    """Smooth pictures (n, side, side, 3) in [0, 1], float32, by a formula."""
    y, x, c = np.meshgrid(np.arange(side), np.arange(side), np.arange(3), indexing="ij")
    waves = [np.sin((n + 1) * (x / side * (3 + c) + y / side * (2 + n)) * 2) for n in range(count)]
    return ((np.stack(waves) + 1) / 2).astype(np.float32)
