"""Losses of the low-resolution image, for one image: `jax.vmap` maps them over a batch.

Images are (h, w, C), nominally in [0, 1]. Values are scalars in float32, or wider where the inputs are; a NaN in the
inputs is a NaN in the value. PULSE's other loss, GEOCROSS, is one of the latent (see `regularizers`) and is offered
here too. Source: PULSE (Menon et al. 2020), section 3.1, and its program; others are named where they stand: SRLS
(Gheisari and Genovesio 2022).
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax.generators.networks.lpips import Perceptual, lpips
from pulse_jax.images.pyramid import halve
from pulse_jax.objectives.regularizers import geocross

__all__ = ["coarse_mae", "gaussian", "geocross", "l1", "l2", "laplace", "mae", "multiscale_lpips", "squares"]

# Of the loss over scales: the width that ends them, and how many there are at most before that one.
_COARSE, _MOST_HALVINGS = 16, 6


def _difference(generated_low_res: Array, target: Array) -> Array:
    # Broadcasting a grey target over RGB would be a silent mistake.
    if generated_low_res.shape != target.shape:
        raise ValueError(
            f"target: expected shape {generated_low_res.shape} (the generated image's), got {target.shape}"
        )
    dtype = jnp.promote_types(jnp.result_type(generated_low_res, target), jnp.float32)
    return generated_low_res.astype(dtype) - target.astype(dtype)


def _at_least(error: Array, eps: float | Array) -> Array:
    # Not `maximum`: that halves the gradient at a tie.
    return jnp.where(error < eps, jnp.asarray(eps, error.dtype), error)


def _magnitude(difference: Array) -> Array:
    # |x| with gradient 0 where x is 0, as the original has it; that of `abs` is 1 there.
    return difference * jax.lax.stop_gradient(jnp.sign(difference))


def l2(
    generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], eps: float | Float[Array, ""]
) -> Float[Array, ""]:
    """L2, downscaling loss: max(mean((g - y)^2), eps), with zero gradient below eps (PULSE, equation 8 with p = 2).

    Raises:
        ValueError: The shapes differ.
    """
    return _at_least(jnp.mean(jnp.square(_difference(generated_low_res, target))), eps)


def l1(
    generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], eps: float | Float[Array, ""]
) -> Float[Array, ""]:
    """L1, downscaling loss: 10 * max(mean(|g - y|), eps), with zero gradient below eps (PULSE, equation 8 with p = 1).

    The factor 10 is the program's, to bring it to the size of L2.

    Raises:
        ValueError: The shapes differ.
    """
    return 10.0 * _at_least(jnp.mean(_magnitude(_difference(generated_low_res, target))), eps)


def mae(generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"]) -> Float[Array, ""]:
    """MAE: mean(|g - y|), the data term that SRLS's program ran with; L1 is PULSE's, with its factor and floor.

    Raises:
        ValueError: The shapes differ.
    """
    return jnp.mean(_magnitude(_difference(generated_low_res, target)))


def laplace(
    generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], scale: float | Float[Array, ""]
) -> Float[Array, ""]:
    """LAPLACE: −log p(y | g) in nats with independent Laplace noise of this scale (SRLS, section 2: the L1 norm).

    Raises:
        ValueError: The shapes differ.
    """
    difference = _difference(generated_low_res, target)
    return jnp.sum(_magnitude(difference)) / scale + difference.size * jnp.log(2.0 * scale)


def gaussian(
    generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], scale: float | Float[Array, ""]
) -> Float[Array, ""]:
    """GAUSSIAN: −log p(y | g) in nats with independent Gaussian noise of this standard deviation (the L2 norm).

    Raises:
        ValueError: The shapes differ.
    """
    difference = _difference(generated_low_res, target)
    constant = difference.size * (jnp.log(scale) + 0.5 * math.log(2.0 * math.pi))
    return jnp.sum(jnp.square(difference)) / (2.0 * jnp.square(scale)) + constant


def squares(generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], factor: float) -> Float[Array, ""]:
    """SQUARES: 4 f² · sum((g − y)²), the squared error of [−1, 1] images summed over high-resolution pixels.

    Each low-resolution pixel stands for the f² that it is the mean of. CSGM's data term (Bora et al. 2017, sections 3
    and 4) for Gaussian measurements of variance 1/m: they keep a picture's squared error on average.

    Args:
        generated_low_res: Downscaled generated image, nominally in [0, 1].
        target: Low-resolution image in [0, 1].
        factor: f, by how many times the generated image's sides were longer.

    Raises:
        ValueError: The shapes differ.
    """
    return 4.0 * factor**2 * jnp.sum(jnp.square(_difference(generated_low_res, target)))


def coarse_mae(generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"]) -> Float[Array, ""]:
    """COARSE_MAE: MAE of the images halved by 2×2 means until they are at most 16 pixels wide.

    The pixels' part of the loss of "Robust unsupervised StyleGAN image restoration" (Poirier-Ginter and Lalonde 2023),
    as its program has it; beside MULTISCALE_LPIPS it weighs 0.1.

    Raises:
        ValueError: The shapes differ.
    """
    return jnp.mean(_magnitude(_halvings(_difference(generated_low_res, target))[-1]))


def multiscale_lpips(
    network: Perceptual, generated_low_res: Float[Array, "h w 3"], target: Float[Array, "h w 3"]
) -> Float[Array, ""]:
    """MULTISCALE_LPIPS: the sum of LPIPS over the images and their halvings that are wider than 16 pixels, six at most.

    The other part of the loss that COARSE_MAE is of; 0 for images that are no wider, as in the program.

    Raises:
        ValueError: The shapes differ.
    """
    _difference(generated_low_res, target)
    scales = zip(_halvings(generated_low_res)[:-1], _halvings(target)[:-1], strict=True)
    return sum((lpips(network, *pair, whole=True) for pair in scales), jnp.zeros(()))


def _halvings(image: Array) -> list[Array]:
    """The image, and its halvings until one is at most 16 pixels wide or has been halved six times."""
    scales = [image]
    while scales[-1].shape[1] > _COARSE and len(scales) <= _MOST_HALVINGS:
        scales.append(halve(scales[-1]))
    return scales
