"""Repulsion between the searches of one image: the second term of Stein variational gradient descent.

Its first term, which averages everybody's gradient by the same kernel, is left out. In some 7,000 dimensions the median
heuristic makes every kernel between two searches about 1/k: an average would add what others' pictures ask for to
what one's own does, and all would become alike. So each search follows its own gradient, and the weight of the
repulsion is free, which in so many dimensions it must be for it to be felt at all (Zhuo et al. 2018, "Message passing
Stein variational gradient descent").

Distances are chords in the space of the latents, all rows of one being a point of the product of their spheres: of
geodesic distances exp(−d²) is not positive definite there, and at antipodes not smooth (Feragen, Lauze and Hauberg
2015, "Geodesic exponential kernels: when curvature and linearity conflict"). Noise inputs have no part in it.

Sources: Liu and Wang 2016, "Stein variational gradient descent", whose kernel and bandwidth these are; Liu and Zhu
2018, "Riemannian Stein variational gradient descent as Bayesian inference".
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from pulse_jax.search.space import Variables

__all__ = ["Repulsion", "median_bandwidth"]

# What is no longer than this is no bandwidth: all searches stand at one point.
_NO_WIDTH = 1e-30


class Repulsion(NamedTuple):
    """What keeps a search away from the others of its image: a term of its loss, weight · the mean of their kernels.

    The others and the bandwidth stand still in it: it belongs to one look.

    Attributes:
        points: Latents of all searches of the image, the search's own among them.
        counts: Which of them are others that repel it.
        bandwidth: h of the kernel exp(−‖x − y‖²/h), positive.
        weight: Weight of the term, 0 or more.
    """

    points: Float[Array, "k rows d"]
    counts: Bool[Array, "k"]
    bandwidth: Float[Array, ""]
    weight: Float[Array, ""]

    def at(self, latent: Float[Array, "rows d"]) -> tuple[Float[Array, ""], Float[Array, "rows d"]]:
        """Return the term for a latent, from 0 to the weight, and its gradient, ambient."""
        away = jnp.where(self.counts[:, None, None], latent - self.points, 0.0)
        kernels = jnp.exp(-jnp.sum(jnp.square(away), axis=(-2, -1)) / self.bandwidth)
        shares = jnp.where(self.counts, self.weight * kernels / jnp.maximum(jnp.sum(self.counts), 1), 0.0)
        slopes = -2.0 / self.bandwidth * shares
        return jnp.sum(shares), jnp.sum(slopes[:, None, None] * away, axis=0)

    def added(
        self, point: Variables, loss: Float[Array, ""], gradient: Variables
    ) -> tuple[Float[Array, ""], Variables]:
        """Return the loss and the ambient gradient at a point, with the term's added to them."""
        value, slope = self.at(point["latent"])
        return loss + value, gradient | {"latent": gradient["latent"] + slope}


def median_bandwidth(points: Float[Array, "k rows d"], present: Bool[Array, "k"]) -> Float[Array, ""]:
    """Return the median of the squared distances between points over the logarithm of their number (Liu and Wang 2016).

    At that distance the kernel is 1 over the number of points.

    Args:
        points: Latents.
        present: Which of them are points; of fewer than two the bandwidth means nothing.
    """
    first, second = jnp.triu_indices(len(points), 1)
    squares = jnp.sum(jnp.square(points[first] - points[second]), axis=(-2, -1))
    counted = present[first] & present[second]
    # Those that do not count come last; what is made of them is still a number.
    largest = jnp.finfo(squares.dtype).max / 4
    ordered = jnp.sort(jnp.where(counted, squares, largest))
    pairs = jnp.maximum(jnp.sum(counted), 1)
    median = 0.5 * ordered[(pairs - 1) // 2] + 0.5 * ordered[pairs // 2]
    return jnp.maximum(median / jnp.log(jnp.maximum(jnp.sum(present), 2)), _NO_WIDTH)
