"""Random keys of one kind, whatever JAX's default kind is set to: it decides every start that is drawn."""

import jax
from jaxtyping import Array, PRNGKeyArray, UInt32

__all__ = ["random_key", "wrapped_key"]

_KIND = "threefry2x32"


def random_key(seed: int | Array) -> PRNGKeyArray:
    """Return `jax.random.key` of a seed, of the kind that `JAX_DEFAULT_PRNG_IMPL` does not change."""
    return jax.random.key(seed, impl=_KIND)


def wrapped_key(data: UInt32[Array, "2"]) -> PRNGKeyArray:
    """Return the key of which `jax.random.key_data` gave these two numbers."""
    return jax.random.wrap_key_data(data, impl=_KIND)
