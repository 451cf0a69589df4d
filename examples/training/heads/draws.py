"""Many small random draws from one key: one call of the generator, then arithmetic, which compiles much faster."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


class Draws:
    """Hands out independent random numbers, one after another; `count` is how many there are in all."""

    def __init__(self, key: jax.Array, count: int) -> None:
        self._values = jax.random.uniform(key, (count,), minval=1e-6, maxval=1.0 - 1e-6)
        self._normals = jax.scipy.special.ndtri(self._values)
        self._next = 0

    def uniform(self, low: jax.Array | float = 0.0, high: jax.Array | float = 1.0) -> jax.Array:
        """Return a number between `low` and `high`."""
        return low + (high - low) * self._values[self._take(1)][0]

    def uniforms(self, count: int) -> jax.Array:
        """Return numbers (count,) between 0 and 1."""
        return self._values[self._take(count)]

    def normal(self) -> jax.Array:
        """Return a standard normal number."""
        return self.normals(1)[0]

    def normals(self, count: int) -> jax.Array:
        """Standard normal numbers (count,)."""
        return self._normals[self._take(count)]

    def chance(self, probability: jax.Array | float) -> jax.Array:
        """True with this probability."""
        return self.uniform() < probability

    def among(self, weights: jax.Array | Sequence[float]) -> jax.Array:
        """Return an index, drawn in proportion to the weights (n,)."""
        total = jnp.cumsum(jnp.asarray(weights, jnp.float32))
        return jnp.sum(self.uniform() * total[-1] >= total[:-1]).astype(jnp.int32)

    def pick(self, table: jax.Array) -> jax.Array:
        """Return a row of a table, each equally likely."""
        index = (self.uniform() * len(table)).astype(jnp.int32)
        return table[jnp.minimum(index, len(table) - 1)]

    def _take(self, count: int) -> slice:
        start, self._next = self._next, self._next + count
        if self._next > len(self._values):
            raise ValueError(f"more than the {len(self._values)} draws asked for")
        return slice(start, self._next)
