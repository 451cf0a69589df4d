"""A masked autoregressive flow: the density of w, and a map that makes w standard Gaussian.

F(w) standardises its input, either every dimension of w on its own or, which needs far smaller networks, along the
principal components of lrelu_5(w), and then runs through blocks. A block's MADE reads x and gives m and a, of which the
i-th depend on x_1 … x_(i-1) alone, and u = (x − m) · exp(−a); batch normalisation, at evaluation an affine map with the
statistics of a large fixed set, and a reversal of the dimensions follow. So log |det dF/dw| is a plain sum. At the end
may stand a radial map, which moves every vector along its own ray.

Everything is pure, acts on the last axis with any axes before it, and runs in its arguments' precision; products are at
the highest precision on every device. `flow_fitting` fits a flow.

Sources: Papamakarios, Pavlakou and Murray 2017, "Masked Autoregressive Flow for Density Estimation" (sections 3.1 and
3.5, appendix B); Germain et al. 2015 (MADE); SRLS, appendix A.2, which takes five blocks of two hidden layers of 1024.
The radial map: Lyu and Simoncelli 2009, "Nonlinear extraction of independent components of natural images using radial
Gaussianization".
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from pulse_jax.generators.priors.moments import SLOPE
from pulse_jax.generators.priors.principal import PrincipalFit, principal_to_w, w_to_principal

__all__ = [
    "MAX_LOG_SCALE",
    "MOST_LOG_SCALE",
    "Flow",
    "autoregress",
    "forward",
    "init_blocks",
    "inverse",
    "log_density",
    "log_prob",
    "standardize",
]

MAX_LOG_SCALE = 6.0
"""a = 6 · tanh(a' / 6), so that exp(∓a) lies between 1/403 and 403, and nothing overflows however far w is from the
samples that the flow was fitted to (the original does not bound it; see `Flow.blocks`)."""
MOST_LOG_SCALE = 80.0
"""Where a of an unbounded flow is cut off: float32 holds exp(80)."""
_INNER = 0.1  # of √d: how far from the origin a radial map is linear


class Flow(NamedTuple):
    """A fitted flow, k blocks on vectors of width d; a pytree of arrays, so it can be an argument of jitted functions.

    Attributes:
        mean, std: Mean and standard deviation of the standardisation, (d,).
        basis: None where every dimension of w is standardised on its own, as (w − mean) / std. With a matrix (d, d), w
            goes through `principal.w_to_principal` with the fit (mean, basis, std).
        blocks: Parameters of every block's MADE, as `init_blocks` makes them, along a first axis of k. Flows of SRLS's
            program hold two entries more: `degrees` (k, hidden), those of the hidden units where they are not evenly
            spread, and `limit` (k,), at which a is cut off instead of being bounded smoothly.
        scale, shift: Batch normalisation as x · scale + shift, (k, d), scale positive.
        radial: None where nothing follows the blocks. With two numbers (gain, power), (2,), positive, power at most 1,
            what the blocks make of w, of norm r, becomes as long as gain · r^power; within √d / 10, where no sample is,
            the map is linear, since a power would let the density grow without end towards the origin.
    """

    mean: Float[Array, " d"]
    std: Float[Array, " d"]
    basis: Float[Array, "d d"] | None
    blocks: dict[str, Float[Array, "..."]]
    scale: Float[Array, "k d"]
    shift: Float[Array, "k d"]
    radial: Float[Array, "2"] | None = None

    @property
    def is_srls(self) -> bool:
        """Whether it is of the kind that SRLS's program has: of single dimensions of w, without a radial map."""
        return self.basis is None and self.radial is None


class _MADE(nn.Module):
    """x (…, d) -> m and a' (…, d), through two hidden layers with ReLU.

    Inputs have the degrees 0 … d − 1, hidden units degrees spread evenly over 0 … d − 2 if no others are given. A
    hidden unit reads what has at most its own degree, output i what has less than i.
    """

    hidden: int

    @nn.compact
    def __call__(self, x: Array, degrees: Array | None = None) -> tuple[Array, Array]:
        d = x.shape[-1]
        inputs = jnp.arange(d)
        hidden = jnp.arange(self.hidden) * max(d - 1, 1) // self.hidden if degrees is None else degrees
        first, zeros = nn.initializers.he_normal(), nn.initializers.zeros
        x = nn.relu(self._masked("1", x, inputs[:, None] <= hidden, first))
        x = nn.relu(self._masked("2", x, hidden[:, None] <= hidden, first))
        # The last layers begin with zeros, and the flow with no more than the standardisation.
        mask = hidden[:, None] < inputs
        return self._masked("mean", x, mask, zeros), self._masked("log_scale", x, mask, zeros)

    def _masked(self, name: str, x: Array, mask: Array, kernel: nn.initializers.Initializer) -> Array:
        # What is masked is 0 from the start and gets no gradient: it stays 0.
        weight = self.param(f"weight_{name}", lambda *args: kernel(*args) * mask, mask.shape)
        bias = self.param(f"bias_{name}", nn.initializers.zeros, mask.shape[1:])
        return jnp.dot(x, weight * mask, precision=jax.lax.Precision.HIGHEST) + bias


def init_blocks(key: PRNGKeyArray, blocks: int, hidden: int, width: int) -> dict[str, Array]:
    """Return the parameters of `blocks` MADEs on vectors of `width`, random but for the last layers, which are 0.

    `weight_1` (blocks, width, hidden), `weight_2` (blocks, hidden, hidden), `weight_mean` and `weight_log_scale`
    (blocks, hidden, width) and the biases beside them, all float32.
    """
    x = jnp.zeros((width,), jnp.float32)
    parameters: Any = jax.vmap(lambda key: _MADE(hidden).init(key, x)["params"])(jax.random.split(key, blocks))
    return parameters


def autoregress(block: dict[str, Array], x: Float[Array, "*batch d"]) -> tuple[Array, Array]:
    """Return u = (x − m) · exp(−a) of one block's MADE, and its log-determinant −Σ a: (…, d) -> (…, d), (…)."""
    mean, log_scale = _conditions(block, x)
    return (x - mean) * jnp.exp(-log_scale), -jnp.sum(log_scale, axis=-1)


def _conditions(block: dict[str, Array], x: Array) -> tuple[Array, Array]:
    module: Any = _MADE(block["bias_1"].shape[-1])
    mean, log_scale = module.apply({"params": block}, x, block.get("degrees"))
    if "limit" in block:
        return mean, jnp.clip(log_scale, -block["limit"], block["limit"])
    return mean, MAX_LOG_SCALE * jnp.tanh(log_scale / MAX_LOG_SCALE)


def standardize(
    mean: Float[Array, " d"], std: Float[Array, " d"], basis: Float[Array, "d d"] | None, w: Float[Array, "*batch d"]
) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch"]]:
    """Return what a flow's blocks start from, and log |det| of the way there: (…, d) -> (…, d), (…)."""
    log_det = jnp.broadcast_to(-jnp.sum(jnp.log(std)), w.shape[:-1])
    if basis is None:
        return (w - mean) / std, log_det
    # Undoing the leaky ReLU stretches every negative dimension.
    log_det = log_det - jnp.sum(w < 0, axis=-1) * math.log(SLOPE)
    return w_to_principal(w, PrincipalFit(mean, basis, std)), log_det


def forward(flow: Flow, w: Float[Array, "*batch d"]) -> tuple[Float[Array, "*batch d"], Float[Array, "*batch"]]:
    """Return u = F(w), nominally standard Gaussian, and log |det dF/dw|: (…, d) -> (…, d), (…).

    Raises:
        ValueError: w has another width than the flow.
    """
    _check_width(flow, "w", w)

    start = standardize(flow.mean, flow.std, flow.basis, w)
    u, log_det = jax.lax.scan(_through_block, start, (flow.blocks, flow.scale, flow.shift))[0]
    if flow.radial is None:
        return u, log_det
    gain, power = flow.radial
    inner = _INNER * math.sqrt(u.shape[-1])
    log_stretch, outside = _log_stretch(gain, power, inner, u)
    # Across the ray all d − 1 directions grow like the vector itself, along it `power` times as much.
    log_det = log_det + u.shape[-1] * log_stretch + jnp.where(outside, jnp.log(power), 0.0)
    return u * jnp.exp(log_stretch)[..., None], log_det


# Outside of the functions that loop over them: called without `jit`, those would compile a loop of their own each time.
def _through_block(carry: tuple[Array, Array], layer: tuple[Any, Array, Array]) -> tuple[tuple[Array, Array], None]:
    x, log_det = carry
    parameters, scale, shift = layer
    u, block_log_det = autoregress(parameters, x)
    log_det = log_det + block_log_det + jnp.sum(jnp.log(scale))
    return ((u * scale + shift)[..., ::-1], log_det), None


def _back_through_block(y: Array, layer: tuple[Any, Array, Array]) -> tuple[Array, None]:
    parameters, scale, shift = layer
    u = (y[..., ::-1] - shift) / scale

    def dimension(x: Array, i: Array) -> tuple[Array, None]:
        mean, log_scale = _conditions(parameters, x)
        # Later dimensions wait as zeros; left wild, they could overflow and 0 · inf would reach this one.
        return jnp.where(jnp.arange(u.shape[-1]) == i, u * jnp.exp(log_scale) + mean, x), None

    return jax.lax.scan(dimension, jnp.zeros_like(u), jnp.arange(u.shape[-1]))[0], None


def _log_stretch(gain: Array, power: Array, inner: Array | float, u: Array) -> tuple[Array, Array]:
    """log(gain · r^(power − 1)), r the norm of u or, if that is more, `inner`; and whether u is outside of that."""
    squared_norm = jnp.sum(jnp.square(u), axis=-1)
    bound = jnp.square(inner)
    return jnp.log(gain) + 0.5 * (power - 1) * jnp.log(jnp.maximum(squared_norm, bound)), squared_norm > bound


def inverse(flow: Flow, u: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
    """Return w = F⁻¹(u): (…, d) -> (…, d). One dimension follows another, d times the work of `forward`.

    Raises:
        ValueError: u has another width than the flow.
    """
    _check_width(flow, "u", u)
    if flow.radial is not None:
        gain, power = flow.radial
        inner = gain * (_INNER * math.sqrt(u.shape[-1])) ** power
        u = u * jnp.exp(_log_stretch(gain ** (-1 / power), 1 / power, inner, u)[0])[..., None]

    x, _ = jax.lax.scan(_back_through_block, u, (flow.blocks, flow.scale, flow.shift), reverse=True)
    if flow.basis is None:
        return x * flow.std + flow.mean
    return principal_to_w(x, PrincipalFit(flow.mean, flow.basis, flow.std))


def log_prob(flow: Flow, w: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
    """Return log p(w) = log N(F(w); 0, I) + log |det dF/dw| (SRLS, equation 5): (…, d) -> (…).

    Raises:
        ValueError: w has another width than the flow.
    """
    return log_density(*forward(flow, w))


def log_density(u: Float[Array, "*batch d"], log_det: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Return log p(w) from what `forward` gives: log N(u; 0, I) + log |det dF/dw| (SRLS, equation 5)."""
    return log_det - 0.5 * (jnp.sum(jnp.square(u), axis=-1) + u.shape[-1] * math.log(2 * math.pi))


def _check_width(flow: Flow, name: str, x: Array) -> None:
    if x.shape[-1:] != flow.mean.shape:
        raise ValueError(f"{name}: expected shape (…, {flow.mean.shape[0]}), got {x.shape}")
