"""What a generator's own samples are like: drawn, looked at one by one, and brought into quantiles."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.oddness import oddness
from pulse_jax.generators.priors.moments import draw_latents
from pulse_jax.generators.priors.plausibility import PlausibilityFit, fit_distribution, root_mean_norm
from pulse_jax.images.rounding import to_uint8

__all__ = ["draw_samples", "fit_plausibility"]

_BATCH = 8


@jax.jit
def _draw(generator: Generator, key: PRNGKeyArray, numbers: Array) -> tuple[Array, Array]:
    """Pictures (n, r, r, 3) and norms (n,); of sample i both depend on `fold_in(key, i)` alone."""
    mapping, width = generator.latent_sampler()
    w = mapping(draw_latents(key, numbers, width))

    def noise_of(number: Array) -> tuple[Array, ...]:
        own = jax.random.fold_in(jax.random.fold_in(key, number), 1)
        return tuple(
            jax.random.normal(jax.random.fold_in(own, layer), shape)
            for layer, shape in enumerate(generator.noise_shapes)
        )

    norms = jnp.zeros(len(numbers)) if generator.flow is None else root_mean_norm(generator.flow, w[:, None])
    rows = jnp.broadcast_to(w[:, None], (len(numbers), generator.num_layers, w.shape[-1]))
    return generator.synthesize(rows, jax.vmap(noise_of)(numbers)), norms


def draw_samples(generator: Generator, key: PRNGKeyArray, numbers: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return some of a generator's own samples, 8-bit pictures (n, r, r, 3), and the norms of their w under the flow.

    Args:
        generator: Generator with its mapping network; norms are 0 without a flow.
        key: Random key.
        numbers: Numbers (n,) of the samples; each depends on the key and its own number alone.
    """
    pictures, norms = _draw(generator, key, numbers)
    return to_uint8(np.asarray(pictures)), np.asarray(norms, np.float64)


def fit_plausibility(
    generator: Generator,
    key: PRNGKeyArray,
    *,
    samples: int,
    state: Sequence[np.ndarray] | None = None,
    on_progress: Callable[[tuple[np.ndarray, np.ndarray], int, int], object] | None = None,
) -> PlausibilityFit:
    """Fit what pictures and w are compared with to `samples` of a generator's own samples.

    Args:
        generator: Generator with its mapping network; norms are left out without a flow.
        key: Random key of the samples.
        samples: How many; the more, the finer what is told of the rarest.
        state: What an earlier fit gave to `on_progress`, to go on from.
        on_progress: Function that is called with the state, how many samples are done and how many there are.

    Raises:
        ValueError: There are too few samples, or not all are finite.
    """
    odd, norms = np.zeros(0), np.zeros(0)
    if state is not None:
        odd, norms = (np.asarray(array, np.float64) for array in state)
    while len(odd) < samples:
        pictures, new = draw_samples(generator, key, jnp.arange(len(odd), len(odd) + _BATCH))
        odd = np.concatenate([odd, [oddness(picture) for picture in pictures]])
        norms = np.concatenate([norms, new])
        if on_progress is not None:
            on_progress((odd, norms), min(len(odd), samples), samples)
    return fit_distribution(odd[:samples], None if generator.flow is None else norms[:samples])
