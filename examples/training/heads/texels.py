"""Reading textures."""

import jax
import jax.numpy as jnp


def look_up(texture: jax.Array, uv: jax.Array, *index: jax.Array) -> jax.Array:
    """Nearest texel; uv in [0, 1], v upward; `index` picks one of stacked textures."""
    side = texture.shape[-2]
    x = jnp.clip((uv[..., 0] * side).astype(jnp.int32), 0, side - 1)
    y = jnp.clip(((1 - uv[..., 1]) * side).astype(jnp.int32), 0, side - 1)
    return texture[(*index, y, x)].astype(jnp.float32)
