"""Plain enlargements in the shape of a search's solutions, and judged like them: what a search has to be better than.

The kernels are Pillow's, applied to floats: Keys' cubic with a = −1/2, a sinc under a Lanczos window of three lobes,
and squares; near the border their weights are scaled to sum to 1.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from pulse_jax.generators.generator import Generator
from pulse_jax.images.rounding import to_uint8
from pulse_jax.search.config import Interpolation, InterpolationConfig
from pulse_jax.search.curve import SLOTS
from pulse_jax.search.degradation import degradation_of
from pulse_jax.search.judge import Result, judge
from pulse_jax.search.problems import Problem, Solution, Status
from pulse_jax.search.requirements import output_size

__all__ = ["enlarge", "interpolate"]

_KERNELS = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def enlarge(
    low_res: Float[np.ndarray, "h w c"], size: int, method: Interpolation
) -> Float[np.ndarray, "{size} {size} c"]:
    """Return an image enlarged to `size`, float32; bicubic and lanczos may leave [0, 1] a little."""
    channels = (Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(low_res, -1, 0))
    return np.stack([np.asarray(channel.resize((size, size), _KERNELS[method])) for channel in channels], axis=-1)


def interpolate(problems: Iterable[Problem], generator: Generator, config: InterpolationConfig) -> Iterator[Solution]:
    """Yield the one solution of each problem, in order; none of a problem whose restart 0 has ended.

    Further restarts would give the same picture. The generator's sizes count and nothing else of it: latents are
    (0, d), there is no noise, no key and no steps; `loss` is the `search_error`.

    Raises:
        ValueError: A problem has given starts.
    """
    size = output_size(generator, config)
    for problem in problems:
        if problem.start is not None:
            raise ValueError("start: expected none, an interpolation starts nowhere")
        if 0 in problem.ended:
            continue
        image = enlarge(problem.low_res, size, config.method)
        if np.isfinite(image).all():
            error = degradation_of(config, size, len(problem.low_res)).error(image, problem.low_res)
            status = Status.MAX_STEPS
        else:  # black, as a search delivers that finds nothing finite
            image, error, status = np.zeros_like(image), np.inf, Status.NONFINITE
        # NumPy's arrays, where lanes have JAX's.
        values: dict[str, Any] = {
            "picture": to_uint8(image),
            "loss": error,
            "search_error": error,
            "latent": np.zeros((0, generator.latent_dim), np.float32),
            "w": np.zeros((0, generator.latent_dim), np.float32),
            "offsets": {},
            "noise": (),
            "steps": 0,
            "evaluations": 0,
            "feasible_at": 0,
            "curve": np.zeros(SLOTS, np.float32),
            "status": status,
        }
        yield judge(problem, 0, Result(**values), config, np.zeros(2, np.uint32))
