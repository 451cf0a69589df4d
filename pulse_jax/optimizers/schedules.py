"""Learning-rate schedules: PULSE's (Menon et al. 2020, its program), the StyleGAN2 projector's and ILO's.

A new one is a function and a row of `SCHEDULES`.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

__all__ = ["SCHEDULES", "schedule"]


def _linear1cycle(fraction: Array) -> Array:
    return (9.0 * (1.0 - 2.0 * jnp.abs(fraction - 0.5)) + 1.0) / 10.0


def _linear1cycledrop(fraction: Array) -> Array:
    drop = 0.1 + (fraction - 0.9) / 0.1 * (0.001 - 0.1)
    return jnp.where(fraction < 0.9, _linear1cycle(fraction / 0.9), drop)


def _ramps(fraction: Array, down: float = 0.25) -> Array:
    up = jnp.minimum(fraction / 0.05, 1.0)
    return up * (0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum((1.0 - fraction) / down, 1.0)))


def _long_ramps(fraction: Array) -> Array:
    return _ramps(fraction, down=0.75)


SCHEDULES: dict[str, Callable[[Array], Array]] = {
    "fixed": jnp.ones_like,
    "linear1cycle": _linear1cycle,
    "linear1cycledrop": _linear1cycledrop,
    "ramps": _ramps,
    "long_ramps": _long_ramps,
}
"""Functions from a fraction of the run, 0 to 1, to the factor on the learning rate, by name (see `schedule`)."""


def schedule(name: str, base: ArrayLike, steps: ArrayLike) -> Callable[[ArrayLike], Float[Array, "..."]]:
    """Return the learning rate (float32) as a function of the update count, from 0; after `steps` it stays as it is.

    `fixed`: base. `linear1cycle`: up from base / 10 to base in the middle of the run and down again.
    `linear1cycledrop`: that within 9/10 of the run, then down to base / 1000 (the PULSE program). `ramps`: up from 0
    within the first 1/20 and down to 0 within the last quarter, along a cosine (StyleGAN2, appendix D). `long_ramps`:
    the same, but down within the last three quarters (ILO, Daras et al. 2021, its program).

    Args:
        name: Key of `SCHEDULES`.
        base: Learning rate that the factor multiplies.
        steps: Length of the run, in updates.

    Raises:
        ValueError: The name is unknown, or `steps` is less than 1.
    """
    if name not in SCHEDULES:
        raise ValueError(f"name: expected one of {', '.join(SCHEDULES)}; got {name!r}")
    if isinstance(steps, int) and steps < 1:  # a traced number cannot be looked at
        raise ValueError(f"steps: expected at least 1, got {steps}")

    def rate(count: ArrayLike) -> Float[Array, "..."]:
        fraction = jnp.minimum(jnp.asarray(count, jnp.float32) / steps, 1.0)
        return jnp.asarray(base, jnp.float32) * SCHEDULES[name](fraction)

    return rate
