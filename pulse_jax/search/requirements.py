"""Which sizes and fits a search needs of its generator and input."""

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.networks.lpips import SMALLEST_SIDE
from pulse_jax.generators.priors.bundle import MissingPrior, how_to_fit
from pulse_jax.images.degradations import bicubic_matrix
from pulse_jax.objectives.language import parse_loss
from pulse_jax.objectives.terms import check_priors
from pulse_jax.search.config import SearchConfig, UpsamplingConfig

__all__ = ["admissible_sizes", "check_fits", "output_size", "smallest_target"]


def check_fits(generator: Generator, config: SearchConfig) -> None:
    """See that all has been fitted to the generator's w that the search takes.

    Raises:
        MissingPrior: something has not, and how to make it.
    """
    needed = {
        "gaussian_fit": config.space != "z" and config.coordinates == "whitened",
        "w_avg": config.start == "mean",
        "w_std": config.latent_noise > 0,
    }
    for name, wanted in needed.items():
        if wanted and getattr(generator, name) is None:
            raise MissingPrior(f"the search needs this generator's {name}; {how_to_fit(name)}")
    check_priors([term.name for term in parse_loss(config.loss)], generator.priors)


def output_size(generator: Generator, config: UpsamplingConfig) -> int:
    """The side of the pictures that are delivered.

    Raises:
        ValueError: the configured one is no whole part of the generator's resolution, or too small a part for D.
    """
    resolution = generator.resolution
    size = resolution if config.output_size is None else config.output_size
    try:
        if size != resolution:
            bicubic_matrix(resolution, resolution // size if resolution % size == 0 else 0)
    except ValueError:
        raise ValueError(
            f"output_size: expected {resolution} or a part of it that D can make, {resolution // 2} for instance, "
            f"got {size}"
        ) from None
    if size < smallest_target(config):
        raise ValueError(f"output_size: expected {smallest_target(config)} at least for the loss LPIPS, got {size}")
    return size


def smallest_target(config: UpsamplingConfig) -> int:
    """The smallest side of a low-resolution image that the loss can judge."""
    judged = isinstance(config, SearchConfig) and any(term.name == "LPIPS" for term in parse_loss(config.loss))
    return SMALLEST_SIDE if judged else 1


def admissible_sizes(resolution: int, config: UpsamplingConfig) -> list[int]:
    """The sides that a low-resolution input may have, ascending: divisors whose factor D and the loss can serve."""
    sizes = []
    for size in range(smallest_target(config), resolution + 1):
        if resolution % size == 0:
            factor = resolution // size
            try:
                if factor > 1 or config.blur_at_factor_one:
                    bicubic_matrix(resolution, factor)
            except ValueError:
                continue
            sizes.append(size)
    return sizes
