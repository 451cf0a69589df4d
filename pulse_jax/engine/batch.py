"""All problems in, all solutions out, as arrays: `upsample`."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float

from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator
from pulse_jax.search.config import UpsamplingConfig
from pulse_jax.search.problems import Solution, as_problems, rank

__all__ = ["Solutions", "upsample"]


@dataclass(frozen=True, kw_only=True)
class Solutions:
    """k solutions for each of n images, best first: feasible ones, then by total loss; arrays lead with (n, k).

    `restart` tells which restart a solution came from; the rest is as in `Solution`.
    """

    images: np.ndarray
    downscaled: np.ndarray
    loss: np.ndarray
    downscaling_error: np.ndarray
    search_error: np.ndarray
    feasible: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    evaluations: np.ndarray
    feasible_at: np.ndarray
    latents: np.ndarray
    noise: tuple[np.ndarray, ...]
    restart: np.ndarray
    keys: np.ndarray


def upsample(
    generator: Generator,
    low_res: Float[Array, "*n h h 3"] | np.ndarray,
    *,
    restarts: int = 1,
    seed: int = 0,
    lanes: int = 8,
    config: UpsamplingConfig | None = None,
) -> Solutions:
    """From low-resolution images, (h, h, 3) or (n, h, h, 3) in [0, 1], to k solutions for each, best first.

    A result depends on its image, restart number, `seed`, `config`, `lanes` and the device, not on its company.
    See `Problem` and `solve_stream` for the arguments; the latter gives solutions one by one, as they end. Of an
    interpolation k is 1, latents are (n, 1, 0, d) and there is no noise.

    Raises:
        ValueError: an argument is out of range, named with what was expected.
    """
    low_res = np.asarray(low_res)
    if low_res.ndim == 3:
        low_res = low_res[None]
    if not len(low_res):
        raise ValueError("low_res: expected at least one image, got none")
    problems = as_problems(low_res, restarts=restarts, seed=seed)
    by_image: list[list[Solution]] = [[] for _ in problems]
    for solution in solve_stream(problems, generator, lanes=lanes, config=config):
        by_image[solution.index].append(solution)
    ranked = [rank(solutions) for solutions in by_image]

    def stack(name: str) -> np.ndarray:
        return np.stack([np.stack([np.asarray(getattr(s, name)) for s in row]) for row in ranked])

    return Solutions(
        images=stack("image"),
        downscaled=stack("downscaled"),
        loss=stack("loss"),
        downscaling_error=stack("downscaling_error"),
        search_error=stack("search_error"),
        feasible=stack("feasible"),
        status=stack("status"),
        steps=stack("steps"),
        evaluations=stack("evaluations"),
        feasible_at=stack("feasible_at"),
        latents=stack("latent"),
        noise=tuple(
            np.stack([np.stack([s.noise[i] for s in row]) for row in ranked]) for i in range(len(ranked[0][0].noise))
        ),
        restart=stack("restart"),
        keys=stack("key"),
    )
