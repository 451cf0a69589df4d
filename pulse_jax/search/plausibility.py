"""How plausible a solution is: the share of the generator's own samples that are odder (`priors.plausibility`).

A picture that downscales to its input need not look like what the generator draws by itself: PULSE asks for both, and
ε says nothing of the second. All is computed on the host's CPU, one solution at a time, so that a number depends on
the solution alone: neither on what is searched beside it nor on the device that found it.
"""

import threading
from typing import Any, NamedTuple

import jax
import numpy as np

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.oddness import oddness
from pulse_jax.generators.priors.plausibility import root_mean_norm, share_beyond
from pulse_jax.images.rounding import to_uint8
from pulse_jax.search.problems import Solution

__all__ = ["UNUSUAL", "Plausibility", "PlausibilityJudge"]

UNUSUAL = 1.0
"""Below this a picture is told to be hardly plausible: 99 % of the generator's own samples are more usual."""


class Plausibility(NamedTuple):
    """How plausible a solution is; the larger, the more.

    Attributes:
        picture: Share, in percent, of own samples whose pictures are odder than this one.
        oddness: The oddness itself, which still tells pictures apart that are odder than all samples.
        latent: Share, in percent, of own samples whose w has a larger norm under the generator's flow; None without a
            flow.
    """

    picture: float
    oddness: float
    latent: float | None


class PlausibilityJudge:
    """Says how plausible solutions of one generator are.

    Args:
        generator: Generator with a plausibility fit.

    Raises:
        ValueError: It has none.
    """

    def __init__(self, generator: Generator) -> None:
        if generator.plausibility is None:
            raise ValueError("generator: expected one with a plausibility fit, got one without")
        self._fit = jax.tree.map(np.asarray, generator.plausibility)
        self._flow = None
        if generator.flow is not None and self._fit.norms is not None:
            self._flow = jax.device_put(generator.flow, _host())
        # A program of its own for each shape of w; arguments decide where it runs.
        self._norm = jax.jit(root_mean_norm)
        self._compiling = threading.Lock()

    def judge(self, solution: Solution) -> Plausibility:
        """Return how plausible a solution is, of its 8-bit picture and its w."""
        odd = oddness(to_uint8(solution.image))
        latent = None
        if self._flow is not None and len(solution.w):
            w = jax.device_put(np.asarray(solution.w, np.float32), _host())
            with self._compiling:  # once, however many threads judge
                norm = float(self._norm(self._flow, w))
            latent = share_beyond(self._fit.norms, norm)
        return Plausibility(share_beyond(self._fit.oddness, odd), odd, latent)


def _host() -> Any:
    """A CPU, or where JAX was told to do without, the first device."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]
