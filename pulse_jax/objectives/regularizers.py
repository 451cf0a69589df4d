"""Losses of a latent and its noise, beside the downscaling loss, for one image: `jax.vmap` maps them over a batch.

Rows of w are (L, d), one per layer or per filter; values are float32 scalars with finite gradients, rows that coincide
included. Sources: PULSE's program (Menon et al. 2020), SRLS (Gheisari and Genovesio 2022, section 2) and its program,
BRGM (Marinescu et al. 2021), CSGM (Bora et al. 2017), II2S (Zhu et al. 2020), StyleGAN2 (Karras et al. 2020,
appendix D).
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax.generators.priors.flow import log_density
from pulse_jax.generators.priors.principal import PrincipalFit, w_to_principal
from pulse_jax.images.pyramid import halve
from pulse_jax.manifold import sphere

__all__ = [
    "colinear",
    "colinear_sum",
    "cross",
    "cross_squared",
    "flow_norm",
    "flow_prior",
    "geocross",
    "mean_norm",
    "noise_correlation",
    "principal_mean",
    "principal_prior",
    "squared_norm",
    "w_prior",
]

_SMALLEST_NOISE = 8  # the side below which noise is not halved again
# Under the roots of squared lengths: keeps gradients finite where two rows coincide.
_SQUARED_LENGTH_FLOOR = 1e-9


def _pairs(w: Float[Array, "rows d"]) -> tuple[Array, Array]:
    """Every two rows, once."""
    one, other = np.triu_indices(len(w), 1)
    return w[one], w[other]


def flow_prior(u: Float[Array, "rows d"], log_det: Float[Array, " rows"]) -> Float[Array, ""]:
    """FLOW, SRLS's P_w: minus the mean over rows of log p_F(w), in nats; of what `flow.forward` makes of w."""
    return -jnp.mean(log_density(u, log_det))


def flow_norm(u: Float[Array, "rows d"]) -> Float[Array, ""]:
    """NORM, SRLS's P_gaussian: the mean over rows of (‖u‖ − √d)², u = F(w)."""
    return jnp.mean(jnp.square(sphere.norm(u) - u.shape[-1] ** 0.5))


def mean_norm(u: Float[Array, "rows d"]) -> Float[Array, ""]:
    """MEAN_NORM: (mean ‖u‖ − √d)², u = F(w): SRLS's P_gaussian as its program for robustness has it.

    Rows may lie on both sides of the sphere, if they lie on it on average.
    """
    return jnp.square(jnp.mean(sphere.norm(u)) - u.shape[-1] ** 0.5)


def cross(w: Float[Array, "rows d"]) -> Float[Array, ""]:
    """CROSS, SRLS's P_cross as its program has it: the mean distance ‖wi − wj‖ of two rows; 0 for a single row."""
    if len(w) == 1:
        return jnp.zeros(())
    one, other = _pairs(w)
    return jnp.mean(sphere.norm(one - other))


def cross_squared(w: Float[Array, "rows d"]) -> Float[Array, ""]:
    """CROSS_SQUARED, SRLS's P_cross as its paper has it: the sum of ‖wi − wj‖² over all pairs of rows."""
    one, other = _pairs(w)
    return jnp.sum(jnp.square(one - other))


def w_prior(w: Float[Array, "rows d"], mean: Float[Array, " d"], std: Float[Array, ""]) -> Float[Array, ""]:
    """WPRIOR, of BRGM: the mean of ((w − mean) / std)² over all numbers."""
    return jnp.mean(jnp.square((w - mean) / std))


def colinear(w: Float[Array, "rows d"]) -> Float[Array, ""]:
    """COLINEAR, of BRGM: the mean of 1 − cos(wi, wj) over all pairs of rows, a row with itself included."""
    unit = sphere.project(w, radius=1.0)
    # Half a squared chord, which keeps its digits where rows nearly coincide; 1 − cos does not.
    return jnp.mean(jnp.sum(jnp.square(unit[:, None] - unit), axis=-1)) / 2.0


def colinear_sum(w: Float[Array, "rows d"]) -> Float[Array, ""]:
    """COLINEAR_SUM, of BRGM's second program: COLINEAR as a sum over all pairs of rows, each pair in both orders."""
    return len(w) ** 2 * colinear(w)


def principal_prior(w: Float[Array, "rows d"], principal: PrincipalFit) -> Float[Array, ""]:
    """PRINCIPAL, of II2S: the mean over rows of ‖v‖², v being w whitened with its full covariance (its P_N space)."""
    return jnp.mean(jnp.sum(jnp.square(w_to_principal(w, principal)), axis=-1))


def principal_mean(w: Float[Array, "rows d"], principal: PrincipalFit) -> Float[Array, ""]:
    """PRINCIPAL_MEAN, as II2S's program writes PRINCIPAL: the mean of v² over all numbers, 1 for w as they come."""
    return principal_prior(w, principal) / w.shape[-1]


def squared_norm(latent: Float[Array, "rows d"]) -> Float[Array, ""]:
    """LATENT, of CSGM: ‖z‖², the squared norm of what is searched, over all rows."""
    return jnp.sum(jnp.square(latent))


def noise_correlation(noise: Sequence[Float[Array, "r r 1"]]) -> Float[Array, ""]:
    """NOISE, of StyleGAN2's projector: squared correlations of neighbouring noise pixels, over layers and scales.

    Of every image, and of its halvings by 2×2 means down to a side of 8, the mean products with the neighbours to the
    right and below (wrapped around) are squared and added up.
    """
    total = jnp.zeros(())
    for image in noise:
        while True:
            for axis in (0, 1):
                total += jnp.square(jnp.mean(image * jnp.roll(image, 1, axis=axis)))
            if len(image) <= _SMALLEST_NOISE:
                break
            image = halve(image)
    return total


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
