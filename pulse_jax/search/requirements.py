"""Which sizes and fits a search needs of its generator and input."""

from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.bundle import MissingPrior, what_is_missing
from pulse_jax.images.degradations.bicubic import Bicubic
from pulse_jax.objectives.language import parse_loss
from pulse_jax.objectives.terms import check_priors
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.degradation import low_sides, starts_near

__all__ = ["admissible_sizes", "check_fits", "output_size", "would_be_faster"]


def check_fits(generator: Generator, config: SearchConfig) -> None:
    """See that all has been fitted to the generator's w that the search takes.

    Raises:
        MissingPrior: Something has not; the message says how to make it.
    """
    near = starts_near(config) and generator.surrogate is not None
    needed = {
        "mapping": config.space == "z" or config.start == "mean" or near,
        "gaussian_fit": config.space != "z" and config.coordinates == "whitened",
        "w_avg": config.start == "mean",
        "w_std": config.latent_noise > 0 or (config.start == "mean" and config.mean_offset > 0),
    }
    for name, wanted in needed.items():
        known = generator.config.has_mapping if name == "mapping" else getattr(generator, name) is not None
        if wanted and not known:
            raise MissingPrior(f"the search needs {what_is_missing(name, generator.config.has_mapping)}")
    names = [term.name for term in parse_loss(config.loss)]
    check_priors(names, generator.priors, has_mapping=generator.config.has_mapping)


def would_be_faster(generator: Generator, config: SearchConfig) -> str | None:
    """Return what the search would be faster with, and how to make it; None if it lacks nothing that can be made."""
    lacks = starts_near(config) and generator.surrogate is None
    return what_is_missing("surrogate") if lacks and generator.config.has_mapping else None


def output_size(generator: Generator, config: UpsamplingConfig) -> int:
    """Return the side of the pictures that are delivered, in pixels.

    Raises:
        ValueError: The configured one is no whole part of the generator's resolution, or too small a part for bicubic
            downscaling or for the loss.
    """
    resolution = generator.resolution
    size = resolution if config.output_size is None else config.output_size
    if size not in Bicubic.low_sides(resolution):
        raise ValueError(
            f"output_size: expected {resolution} or a part of it that D can make, {resolution // 2} for instance, "
            f"got {size}"
        )
    for name, least in config.smallest_sides.items():
        if size < least:
            raise ValueError(f"output_size: expected {least} at least for the loss {name}, got {size}")
    return size


def admissible_sizes(resolution: int, config: UpsamplingConfig) -> list[int]:
    """Return the sides that a low-resolution input may have, ascending: those that D and the loss can serve.

    Args:
        resolution: Side of the delivered pictures, in pixels.
        config: Settings of the search or interpolation.
    """
    least = max(config.smallest_sides.values(), default=1)
    return [side for side in low_sides(config, resolution) if side >= least]
