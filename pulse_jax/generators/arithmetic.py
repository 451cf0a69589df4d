"""The arithmetics that a synthesis network can be run in, by the names that people choose."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from pulse_jax.generators.architectures import Precision

__all__ = ["ARITHMETICS", "Arithmetic"]


class Arithmetic(NamedTuple):
    """What activations are in, and to what precision products of float32 are computed."""

    dtype: jnp.dtype
    precision: jax.lax.Precision


ARITHMETICS: dict[Precision, Arithmetic] = {
    "float32": Arithmetic(jnp.dtype("float32"), jax.lax.Precision.HIGHEST),
    # On a GPU products round what they multiply to 11 bits, on a TPU they take three passes; a CPU has none such.
    "tf32": Arithmetic(jnp.dtype("float32"), jax.lax.Precision.HIGH),
    "bfloat16": Arithmetic(jnp.dtype("bfloat16"), jax.lax.Precision.HIGHEST),
}
