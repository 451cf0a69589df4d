"""Kernels put once into the forms that CPUs convolve fastest with, as the Flax collection `prepared`.

A synthesis module that is applied with `mutable=["prepared"]` gives the collection, and one that is applied with it
uses it; without it, kernels are used as they are.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.generators.networks.fast_convolutions import Upsampling, Winograd, upsampling, winograd
from pulse_jax.system.programs import Program

__all__ = ["COLLECTION", "conv_form", "prepare", "upsampling_form"]

COLLECTION = "prepared"
Kernel = Float[Array, "3 3 i o"]
# As measured: below, the transforms, or a second of compilation, outweigh the products that are saved; above, what is
# transformed no longer fits the caches.
_WINOGRAD_PRODUCTS = 2**24
_WINOGRAD_SIDES = (16, 128)
_UPSAMPLING_SIDE = 128


def _form(module: nn.Module, name: str, kernel: Kernel, make: Callable[[Kernel], Any]) -> Any:
    if module.is_mutable_collection(COLLECTION) and not module.is_initializing():
        module.put_variable(COLLECTION, name, make(kernel))
    return module.get_variable(COLLECTION, name)


def conv_form(module: nn.Module, name: str, kernel: Kernel, size: int) -> Winograd | None:
    """Return the form of a 3×3 kernel for activations of side `size`; None if the module has none or it is no gain."""
    least, most = _WINOGRAD_SIDES
    inputs, outputs = kernel.shape[2:]
    if inputs * outputs * size**2 < _WINOGRAD_PRODUCTS or not least <= size <= most:
        return None
    return _form(module, name, kernel, winograd)


def upsampling_form(module: nn.Module, name: str, kernel: Kernel, size: int) -> Upsampling | None:
    """Return the form of a 3×3 kernel that upsamples to side `size`; None if the module has none or it is no gain."""
    return None if size > _UPSAMPLING_SIDE else _form(module, name, kernel, upsampling)


@functools.partial(Program, static_argnums=0)
def prepare(synthesis: nn.Module, params: Any) -> Any:
    """Return the collection for a synthesis network of `params`."""
    config: Any = synthesis.config  # pyright: ignore[reportAttributeAccessIssue]
    w = jnp.zeros((1, config.num_layers, config.latent_dim))
    noise = tuple(jnp.zeros((1, *shape)) for shape in config.noise_shapes)
    # The picture is not asked for, so XLA leaves it out.
    _, variables = synthesis.apply({"params": params}, w, noise, mutable=[COLLECTION])
    return variables.get(COLLECTION, {})  # a small network may have none
