"""What a search asks of a latent and its noise beside the downscaling loss, for one image.

Rows of w are (L, d), one per layer or per filter; values are float32 scalars with finite gradients, rows that coincide
included. Sources: SRLS (Gheisari and Genovesio 2022, section 2) and its program, BRGM (Marinescu et al. 2021), CSGM
(Bora et al. 2017), II2S (Zhu et al. 2020), StyleGAN2 (Karras et al. 2020, appendix D).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pulse_jax import sphere
from pulse_jax.degradations import halve
from pulse_jax.flow import Flow, log_density
from pulse_jax.perceptual import Perceptual
from pulse_jax.principal import PrincipalFit, w_to_principal

__all__ = [
    "MissingPrior",
    "Priors",
    "check_priors",
    "colinear",
    "cross",
    "cross_squared",
    "flow_norm",
    "flow_prior",
    "how_to_fit",
    "noise_correlation",
    "principal_prior",
    "squared_norm",
    "w_prior",
]

_SMALLEST_NOISE = 8  # the side below which noise is not halved again


class Priors(NamedTuple):
    """What losses take from outside the search, as far as it is there: see `pulse_jax.generator.Generator`."""

    flow: Flow | None = None
    principal: PrincipalFit | None = None
    w_avg: Array | None = None
    w_std: Array | None = None
    perceptual: Perceptual | None = None


class MissingPrior(ValueError):
    """A search needs something that has not been fitted to the generator's w, or not been given."""


_NEEDED = {
    "FLOW": ("flow",),
    "NORM": ("flow",),
    "WPRIOR": ("w_avg", "w_std"),
    "PRINCIPAL": ("principal",),
    "LPIPS": ("perceptual",),
}
_KINDS = {"flow": "flow", "principal": "pca", "gaussian_fit": "gaussian", "w_avg": "gaussian", "w_std": "gaussian"}


def how_to_fit(name: str) -> str:
    """What to do about a generator that lacks this of its fits."""
    return f"pulse-jax fit-prior GENERATOR --kind {_KINDS[name]} makes it"


def check_priors(names: Sequence[str], priors: Priors) -> None:
    """See that all is there that the losses of these `names` take.

    Raises:
        MissingPrior: something is not, and how to get it.
    """
    for name in names:
        for field in _NEEDED.get(name, ()):
            if getattr(priors, field) is not None:
                continue
            if field == "perceptual":
                raise MissingPrior(
                    f"the loss {name} needs a VGG16 with the heads of LPIPS, which do not come with this package; "
                    "give --perceptual FILE, or Generator.perceptual in Python"
                )
            raise MissingPrior(f"the loss {name} needs this generator's {field}; {how_to_fit(field)}")


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


def principal_prior(w: Float[Array, "rows d"], principal: PrincipalFit) -> Float[Array, ""]:
    """PRINCIPAL, of II2S: the mean over rows of ‖v‖², v being w whitened with its full covariance (its P_N space)."""
    return jnp.mean(jnp.sum(jnp.square(w_to_principal(w, principal)), axis=-1))


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
