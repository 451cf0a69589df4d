"""Spheres, Euclidean spaces and products of them."""

from pulse_jax.manifold.product import *  # noqa: F403
from pulse_jax.manifold.product import __all__ as __all__
