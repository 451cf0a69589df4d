"""The camera: exposure, white balance, sharpness, sensor noise and a mild JPEG."""

import jax
import jax.numpy as jnp
import numpy as np

from .draws import Draws
from .functions import smooth

_BLOCK = 8
# quantisation steps of luminance and colour: ITU-T T.81, tables K.1 and K.2, smooth fits by frequency
_FREQUENCY = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK))
_STEPS = np.stack([10 + 7.5 * _FREQUENCY, np.minimum(17 + 14 * _FREQUENCY, 99)]).astype(np.float32)
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)


def expose(key: jax.Array, picture: jax.Array, skin: jax.Array, head: jax.Array) -> jax.Array:
    """Expose as a camera would: partly for the skin, so that neither light nor dark skin loses its detail."""
    draws = Draws(key, 8)
    luminance = head @ jnp.array([0.2126, 0.7152, 0.0722])
    mean = jnp.sum(luminance * skin) / (jnp.sum(skin) + 1.0)
    gain = jnp.clip(0.34 / (mean + 0.02), 0.5, 4.0) ** 0.42 * jnp.exp(0.1 * draws.normal())
    balance = jnp.exp(jnp.array([0.025, 0.0, 0.025]) * draws.normals(3))
    film = 1 - jnp.exp(-1.25 * gain * balance * picture)
    grey = film.mean(-1, keepdims=True)
    return jnp.clip(grey + jnp.clip(1.12 + 0.08 * draws.normal(), 0.95, 1.3) * (film - grey), 0, 1)


def develop(key: jax.Array, picture: jax.Array) -> jax.Array:
    """Linear light (n, n, 3) in [0, 1] → sRGB in [0, 1], with the faults of a good camera."""
    noise_key, key = jax.random.split(key)
    draws = Draws(key, 6)
    side = picture.shape[0]
    picture = jnp.clip(picture, 0, 1)
    grain = draws.uniform() ** 2 * 0.02
    noise = jax.random.normal(noise_key, picture.shape) * jnp.sqrt(picture + 0.02) * grain
    picture = jnp.clip(picture + noise, 0, 1) ** (1 / 2.2)
    sharpen = draws.uniform(-0.05, 0.35)
    picture = picture + sharpen * (picture - smooth(picture, 1))
    y, x = (jnp.mgrid[0:side, 0:side] + 0.5) / side - 0.5
    picture = picture * (1 - 0.35 * draws.uniform() ** 2 * (x * x + y * y))[..., None]
    quality = draws.uniform(85.0, 98.0)
    return jnp.clip(jnp.where(draws.chance(0.3), _jpeg(picture, quality), picture), 0, 1)


def _jpeg(picture: jax.Array, quality: jax.Array) -> jax.Array:
    """Rounds the cosine transform of 8 × 8 blocks as JPEG does at a quality over 50, without thinning colours out."""
    n = picture.shape[0] // _BLOCK
    if n * _BLOCK != picture.shape[0]:
        raise ValueError(f"the side of a picture must be a multiple of {_BLOCK}, not {picture.shape[0]}")
    k = np.arange(_BLOCK)
    cosines = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / _BLOCK) * np.where(k, 0.5, 0.5**1.5)[:, None]
    to_ycc = jnp.asarray(_TO_YCC)
    blocks = ((255 * picture - 128) @ to_ycc.T).reshape(n, _BLOCK, n, _BLOCK, 3)
    steps = jnp.maximum(jnp.asarray(_STEPS[[0, 1, 1]]) * (2 - quality / 50), 1.0).transpose(1, 2, 0)
    coefficients = jnp.einsum("ui,nimjc,vj->nmuvc", cosines, blocks, cosines)
    rounded = jnp.round(coefficients / steps) * steps
    blocks = jnp.einsum("ui,nmuvc,vj->nimjc", cosines, rounded, cosines)
    return (blocks.reshape(picture.shape) @ jnp.linalg.inv(to_ycc).T + 128) / 255
