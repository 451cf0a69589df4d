"""Whether samplers draw from the posterior, where it can be told: `python -m examples.benchmarks.sampler_calibration`.

Simulation-based calibration (Talts et al. 2018) on a linear generator: a latent is drawn from the prior, its picture
downscaled, noise of σ added, and the posterior sampled. Among the draws the latent's rank, along any direction, must be
uniform. Chains begin at the latent, itself a draw, so that nothing has to be forgotten; draws are so far apart that
they are nearly independent. Rank histograms of every sampler are drawn into one picture, with the band that holds 99 %
of each bar where ranks are uniform.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
import tyro
from jaxtyping import Array

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.gaussian import GaussianFit
from pulse_jax.images.files import save_png
from pulse_jax.manifold import product
from pulse_jax.reports.canvas import FAINT, GREEN, INK, MARGIN, SOFT, Canvas
from pulse_jax.search.objective import decode, degrade
from pulse_jax.search.posterior import advance, begin_chain, posterior_config, prior_manifold, sampler_of
from pulse_jax.search.samplers.registry import SAMPLERS
from pulse_jax.search.space import Variables, latent_shape
from pulse_jax.system.keys import random_key

RESOLUTION, SIDE, LAYERS, WIDTH = 8, 2, 2, 6
SIGMA = 0.03
DRAWS = 15
# Transitions between draws, by what a sampler needs to forget the draw before.
THINNING = {"geodesic_hmc": 3, "riemannian_langevin": 200, "geodesic_slice": 30, "elliptical_slice": 30}
_HOT = 1.5


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is simulated.

    Attributes:
        output: Picture to write.
        simulations: Posteriors of each sampler.
    """

    output: pathlib.Path = pathlib.Path("calibration.png")
    simulations: int = 1600


def linear_generator() -> Generator:
    """Return a generator whose pictures are linear in its latents."""
    params = jnp.asarray(np.random.default_rng(0).standard_normal((3, RESOLUTION, RESOLUTION, LAYERS, WIDTH)) / 20)

    def picture(params: Array, w: Array, noise: tuple[Array, ...]) -> Array:
        return jnp.einsum("chwld,ld->hwc", params, jnp.where(w > 0, w, 5.0 * w)) + 0.5

    fit = GaussianFit(jnp.zeros(WIDTH), jnp.ones(WIDTH))
    return Generator.from_function(
        picture, params, resolution=RESOLUTION, latent_dim=WIDTH, num_layers=LAYERS, gaussian_fit=fit
    )


def ranks(sampler: str, simulations: int, *, told: float = SIGMA) -> np.ndarray:
    """Return the ranks (simulations, directions) of latents among their posteriors' draws, 0 to `DRAWS`.

    Args:
        sampler: A name in `SAMPLERS`.
        simulations: How many latents are drawn.
        told: σ that the sampler takes the noise to have.
    """
    generator, config = linear_generator(), posterior_config(sampler)
    manifold = prior_manifold(config, WIDTH)
    replicas = sampler_of(sampler, generator, config).replicas
    numbers = {
        "temperature": 2 * told**2 / (3 * SIDE**2) * _HOT ** jnp.arange(replicas),
        "learning_rate": jnp.full(replicas, 0.15),
        "leapfrogs": jnp.int32(10),
        "looks": jnp.int32(1_000_000),
        "thinning": jnp.int32(THINNING.get(sampler, 2)),
    }

    def simulated(key: Array) -> tuple[Array, Array]:
        for_latent, for_noise, for_chain = jax.random.split(key, 3)
        like = Variables(latent=jax.ShapeDtypeStruct(latent_shape(generator, config), jnp.float32), noise=())
        latent = product.random_uniform(manifold, for_latent, like)
        clean = degrade(config, decode(generator, config, latent, ())[0], SIDE)
        target = clean + SIGMA * jax.random.normal(for_noise, clean.shape)
        state = begin_chain(generator, config, sampler, target, for_chain, DRAWS)
        state = state._replace(
            point=jax.tree.map(lambda one, all: jnp.broadcast_to(one, all.shape), latent, state.point)
        )
        state = advance(generator, config, sampler, target, (), numbers, state)
        return latent["latent"], state.draws["latent"]

    run = jax.jit(functools.partial(jax.lax.map, simulated, batch_size=64))
    latents, draws = run(jax.random.split(random_key(5), simulations))
    directions = jnp.asarray(np.random.default_rng(0).standard_normal((4, *latents.shape[1:])))
    along = functools.partial(jnp.einsum, "...ld,kld->...k")
    return np.asarray(jnp.sum(along(draws, directions) < along(latents, directions)[:, None], axis=1))


def histograms(found: dict[str, np.ndarray]) -> np.ndarray:
    """Draw the histograms of all directions' ranks, uint8 (h, w, 3)."""
    bar, height, gap = 14, 110, 40
    wide = (DRAWS + 1) * bar
    canvas = Canvas(2 * MARGIN + len(found) * (wide + gap) - gap, 2 * MARGIN + height + 86)
    canvas.write((MARGIN, MARGIN - 6), "Ranks of latents among their posteriors' draws", 28, INK)
    told = "Uniform where a sampler draws from the posterior; between the lines lie 99 % of bars then."
    canvas.write((MARGIN, MARGIN + 34), told, 16, SOFT)
    bottom = MARGIN + 62 + height
    for place, (sampler, values) in enumerate(found.items()):
        counts = np.bincount(values.reshape(-1), minlength=DRAWS + 1)
        scale = 0.75 * height / counts.mean()
        left = MARGIN + place * (wide + gap)
        for rank, count in enumerate(counts):
            corner = (left + rank * bar, bottom - float(count * scale))
            canvas.rectangle([corner, (corner[0] + bar - 2, bottom)], fill=GREEN)
        # Directions of one simulation are not independent: the band is that of one direction, its bars as wide.
        for quantile in (0.005, 0.995):
            level = scipy.stats.binom.ppf(quantile, len(values), 1 / (DRAWS + 1)) * values.shape[1]
            canvas.line([(left, bottom - level * scale), (left + wide - 2, bottom - level * scale)], INK)
        canvas.line([(left, bottom), (left + wide - 2, bottom)], FAINT)
        canvas.write((left, bottom + 8), sampler, 16, INK)
    return canvas.pixels()


def main(options: Options) -> None:
    """Simulate, draw, and print a chi-squared test of each direction."""
    found = {sampler: ranks(sampler, options.simulations) for sampler in SAMPLERS}
    for sampler, values in found.items():
        each = [scipy.stats.chisquare(np.bincount(column, minlength=DRAWS + 1)).pvalue for column in values.T]
        print(f"{sampler}: uniform with p {', '.join(f'{p:.2f}' for p in each)}")
    save_png(options.output, histograms(found))
    print(f"Look at {options.output}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
