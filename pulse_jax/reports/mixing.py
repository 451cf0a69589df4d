"""Whether chains have mixed: R-hat and effective sample sizes of what the input does not fix in their pictures.

Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), "Rank-normalization, folding, and localization", by arviz-stats.
"""

from typing import Any, NamedTuple

import numpy as np
from arviz_stats.base.array import array_stats
from jaxtyping import Float

__all__ = ["MIXED", "Mixing", "mixing"]

MIXED = 1.1
"""R-hat up to which chains are said to have mixed (Gelman et al. 2013, section 11.4)."""
_COMPONENTS = 10
_BLOCK = 4096


class Mixing(NamedTuple):
    """How well chains agree along the principal components of their draws.

    Attributes:
        components: Coordinates (chains, draws, k) of draws along them, the widest first.
        shares: Share of the variance that each one holds.
        r_hat: R-hat of each; NaN with fewer than four draws of a chain or two chains, not finite where all stand still.
        effective: Effective sample size of each, bulk, over all chains.
    """

    components: Float[np.ndarray, "chains draws k"]
    shares: tuple[float, ...]
    r_hat: tuple[float, ...]
    effective: tuple[float, ...]

    @property
    def has_mixed(self) -> bool:
        """Whether no component's R-hat is beyond `MIXED`."""
        return all(one <= MIXED for one in self.r_hat)


def mixing(parts: Float[np.ndarray, "n *picture"], chains: int) -> Mixing:
    """Judge chains by their draws' principal components, at most ten.

    Args:
        parts: What is judged of each draw, chain by chain, such as `search.diversity.unseen_parts`.
        chains: How many chains they are of, as many of each; at least two draws in all.

    Raises:
        ValueError: There are fewer than two draws.
    """
    if len(parts) < 2:
        raise ValueError(f"parts: expected two draws or more, got {len(parts)}")
    flat = parts.reshape(len(parts), -1)
    products = np.zeros((len(flat), len(flat)))
    # In blocks, since the whole may lie in a file that memory does not hold.
    for at in range(0, flat.shape[1], _BLOCK):
        block = np.asarray(flat[:, at : at + _BLOCK], np.float64)
        block -= block.mean(axis=0)
        products += block @ block.T
    values, vectors = np.linalg.eigh(products)
    count = min(_COMPONENTS, len(flat) - 1)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1][:, :count]
    scores = (vectors * np.sqrt(values[:count])).reshape(chains, -1, count)
    total = max(float(values.sum()), np.finfo(float).tiny)
    shares = tuple((values[:count] / total).tolist())
    if scores.shape[1] < 4:
        nothing = (float("nan"),) * count
        return Mixing(scores, shares, nothing, nothing)
    each = [scores[..., component] for component in range(count)]
    # Chains that stand still have no variance to divide by.
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat = [array_stats.rhat(one, chain_axis=0, draw_axis=1, method="rank") for one in each]
        effective = [array_stats.ess(one, chain_axis=0, draw_axis=1, method="bulk") for one in each]
    return Mixing(scores, shares, tuple(map(_number, r_hat)), tuple(map(_number, effective)))


def _number(value: Any) -> float:
    return float(np.asarray(value))
