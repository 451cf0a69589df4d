"""The losses of a search, for one image: `jax.vmap` maps them over a batch.

Low-resolution images are (h, w, C), nominally in [0, 1]; latents are (L, d), one row per layer of the generator.
Values are scalars in float32, or wider where the inputs are; a NaN in the inputs is a NaN in the value. Source: PULSE
(Menon et al. 2020), section 3.1, and its program; others are named where they stand.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pulse_jax import regularizers
from pulse_jax.degradations import halve
from pulse_jax.flow import forward
from pulse_jax.loss_terms import LossTerm
from pulse_jax.perceptual import lpips
from pulse_jax.regularizers import Priors, check_priors

__all__ = ["gaussian", "geocross", "l1", "l2", "laplace", "mae", "multiscale", "total_loss"]

# Under the roots of squared lengths: keeps gradients finite where two rows coincide.
_SQUARED_LENGTH_FLOOR = 1e-9


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
    """Downscaling loss L2: max(mean((g - y)^2), eps), with zero gradient below eps (PULSE, equation 8 with p = 2).

    Raises:
        ValueError: the shapes differ.
    """
    return _at_least(jnp.mean(jnp.square(_difference(generated_low_res, target))), eps)


def l1(
    generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], eps: float | Float[Array, ""]
) -> Float[Array, ""]:
    """Downscaling loss L1: 10 * max(mean(|g - y|), eps), with zero gradient below eps (PULSE, equation 8 with p = 1).

    The factor 10 is the program's, to bring it to the size of L2.

    Raises:
        ValueError: the shapes differ.
    """
    return 10.0 * _at_least(jnp.mean(_magnitude(_difference(generated_low_res, target))), eps)


def mae(generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"]) -> Float[Array, ""]:
    """MAE: mean(|g - y|), the data term that SRLS's program ran with; L1 is PULSE's, with its factor and floor.

    Raises:
        ValueError: the shapes differ.
    """
    return jnp.mean(_magnitude(_difference(generated_low_res, target)))


def laplace(
    generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], scale: float | Float[Array, ""]
) -> Float[Array, ""]:
    """LAPLACE: −log p(y | g) in nats with independent Laplace noise of this scale (SRLS, section 2: the L1 norm).

    Raises:
        ValueError: the shapes differ.
    """
    difference = _difference(generated_low_res, target)
    return jnp.sum(_magnitude(difference)) / scale + difference.size * jnp.log(2.0 * scale)


def gaussian(
    generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"], scale: float | Float[Array, ""]
) -> Float[Array, ""]:
    """GAUSSIAN: −log p(y | g) in nats with independent Gaussian noise of this standard deviation (the L2 norm).

    Raises:
        ValueError: the shapes differ.
    """
    difference = _difference(generated_low_res, target)
    constant = difference.size * (jnp.log(scale) + 0.5 * math.log(2.0 * math.pi))
    return jnp.sum(jnp.square(difference)) / (2.0 * jnp.square(scale)) + constant


def multiscale(generated_low_res: Float[Array, "h w c"], target: Float[Array, "h w c"]) -> Float[Array, ""]:
    """MULTISCALE: the mean over scales of MAE, the images halved by 2×2 means from one scale to the next.

    Scales end where a side is odd. The pixel part of the multi-resolution loss of "Robust unsupervised StyleGAN image
    restoration" (Poirier-Ginter and Lalonde 2023).

    Raises:
        ValueError: the shapes differ.
    """
    difference = _difference(generated_low_res, target)
    scales = [jnp.mean(_magnitude(difference))]
    while difference.shape[0] % 2 == 0 and difference.shape[1] % 2 == 0:
        difference = halve(difference)
        scales.append(jnp.mean(_magnitude(difference)))
    return jnp.mean(jnp.stack(scales))


def geocross(w: Float[Array, "layers d"]) -> Float[Array, ""]:
    """GEOCROSS: how far the layers' rows of w (L, d) point apart, as a mean squared angle; exactly 0 for L = 1.

    The mean over all pairs of rows, a row with itself included, of 512 * angle^2 / 8, the angle in radians by
    2 * atan2(|wi - wj|, |wi + wj|), which is the angle between rows of equal length. The constant is 512 at any width
    d, as in PULSE's program; the paper has no such term. The gradient is finite everywhere, at equal rows and at zero.

    Raises:
        ValueError: `w` is not a matrix.
    """
    if w.ndim != 2:
        raise ValueError(f"w: expected shape (layers, latent_dim), got {w.shape}")
    w = w.astype(jnp.promote_types(w.dtype, jnp.float32))
    if w.shape[0] == 1:
        return jnp.zeros((), w.dtype)
    # Differences, not inner products: those cancel where rows nearly coincide, which is where the search lives.
    apart = jnp.sqrt(jnp.sum(jnp.square(w[:, None] - w), axis=-1) + _SQUARED_LENGTH_FLOOR)
    together = jnp.sqrt(jnp.sum(jnp.square(w[:, None] + w), axis=-1) + _SQUARED_LENGTH_FLOOR)
    angle = 2.0 * jnp.arctan2(apart, together)
    return jnp.mean(512.0 * jnp.square(angle)) / 8.0


def total_loss(
    terms: Sequence[LossTerm],
    *,
    generated_low_res: Float[Array, "h w c"],
    target: Float[Array, "h w c"],
    w: Float[Array, "rows d"],
    eps: float | Float[Array, ""],
    weights: Sequence[float | Float[Array, ""]] | None = None,
    latent: Float[Array, "rows d"] | None = None,
    noise: Sequence[Float[Array, "_ _ 1"]] = (),
    noise_scale: float | Float[Array, ""] = 1.0,
    priors: Priors | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The weighted sum of `terms` (of `parse_loss`) and each term's value without its weight, by name.

    Args:
        terms: at least one term.
        generated_low_res: the downscaled generated image (h, w, C).
        target: the low-resolution image (h, w, C) that was given.
        w: the rows (L, d) that are compared and judged; one row (1, d) when all layers share it.
        eps: where L2 (a mean squared error) and L1 (a mean absolute error) stop falling.
        weights: instead of the terms' own.
        latent: what is searched; needed for LATENT only.
        noise: the searched noise images, for NOISE.
        noise_scale: of LAPLACE and GAUSSIAN.
        priors: for FLOW, NORM, WPRIOR, PRINCIPAL and LPIPS.

    Raises:
        MissingPrior: a term needs what `priors` lacks.
        ValueError: no terms, or shapes that do not fit, for LPIPS those with a side below 16 too.
    """
    if not terms:
        raise ValueError("terms: expected at least one loss term, got none")
    images = generated_low_res, target
    known: Any = Priors() if priors is None else priors
    check_priors([term.name for term in terms], known)
    searched: Any = latent
    # Once for both losses: XLA would run a loop over the flow's blocks for each.
    through_flow = functools.cache(lambda: forward(known.flow, w))
    losses: dict[str, Callable[[], Array]] = {
        "L2": lambda: l2(*images, eps),
        "L1": lambda: l1(*images, eps),
        "MAE": lambda: mae(*images),
        "LAPLACE": lambda: laplace(*images, noise_scale),
        "GAUSSIAN": lambda: gaussian(*images, noise_scale),
        "MULTISCALE": lambda: multiscale(*images),
        "LPIPS": lambda: lpips(known.perceptual, *images),
        "GEOCROSS": lambda: geocross(w),
        "FLOW": lambda: regularizers.flow_prior(*through_flow()),
        "NORM": lambda: regularizers.flow_norm(through_flow()[0]),
        "CROSS": lambda: regularizers.cross(w),
        "CROSS_SQUARED": lambda: regularizers.cross_squared(w),
        "WPRIOR": lambda: regularizers.w_prior(w, known.w_avg, known.w_std),
        "COLINEAR": lambda: regularizers.colinear(w),
        "PRINCIPAL": lambda: regularizers.principal_prior(w, known.principal),
        "LATENT": lambda: regularizers.squared_norm(searched),
        "NOISE": lambda: regularizers.noise_correlation(noise),
    }
    values = {term.name: losses[term.name]() for term in terms}
    factors = [term.weight for term in terms] if weights is None else weights
    total = jnp.sum(jnp.stack([weight * values[term.name] for weight, term in zip(factors, terms, strict=True)]))
    return total, values
