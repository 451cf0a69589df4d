"""A toy loss term: fourth powers, which look at the worst pixels."""

import jax.numpy as jnp


def fourth_power(inputs):
    """The mean fourth power of the difference."""
    return jnp.mean((inputs.generated_low_res - inputs.target) ** 4)
