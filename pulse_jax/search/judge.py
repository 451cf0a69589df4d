"""The verdict on what a search delivers: D in float64 on the 8-bit picture."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from pulse_jax.images.back_projection import back_projected
from pulse_jax.images.rounding import from_uint8
from pulse_jax.search.config import UpsamplingConfig
from pulse_jax.search.curve import points_of
from pulse_jax.search.degradation import degradation_of
from pulse_jax.search.problems import Problem, Solution, Status

__all__ = ["Result", "holds", "judge", "judge_again"]

# Of an error that was recorded by another machine: sums may round otherwise.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-9


class Result(NamedTuple):
    """What a lane delivers: the 8-bit picture of its best point, just as it was judged, and what reproduces it.

    Fields are one lane's, or lead with the lanes' axis, as the state did.

    Attributes:
        picture: Picture of the best point.
        loss: Total loss there.
        search_error: Mean squared error of the float image there.
        latent, w, offsets, noise: Searched latent there, what it means to the generator, and every noise input; as in
            `Solution`.
        steps, evaluations, feasible_at, status: As in `Solution`.
        curve: Search errors on the way, as lanes hold them (`search.curve`).
    """

    picture: UInt8[Array, "*lanes h w 3"]
    loss: Float[Array, "*lanes"]
    search_error: Float[Array, "*lanes"]
    latent: Float[Array, "*lanes rows d"]
    w: Float[Array, "*lanes layers d"]
    offsets: dict[int, Float[Array, "*lanes _ _ _"]]
    noise: tuple[Float[Array, "*lanes _ _ 1"], ...]
    steps: Int[Array, "*lanes"]
    evaluations: Int[Array, "*lanes"]
    feasible_at: Int[Array, "*lanes"]
    curve: Float[Array, "*lanes slots"]
    status: Int[Array, "*lanes"]


def judge(problem: Problem, restart: int, result: Result, config: UpsamplingConfig, key: np.ndarray) -> Solution:
    """Judge what a lane delivers, in float64 on the 8-bit picture, as a reader of its PNG gets it.

    Args:
        problem: Problem that was solved.
        restart: Number of its restart.
        result: What one lane delivers, as NumPy arrays.
        config: Settings that it was made with; ε and D count.
        key: Data of the random key that the start was drawn from.
    """
    picture, moved = np.asarray(result.picture), 0.0
    if config.exact and np.isfinite(result.search_error):  # else black: no look was finite
        degradation = degradation_of(config, len(picture), len(problem.low_res))
        found, picture = picture, back_projected(picture, problem.low_res, degradation)
        moved = float(np.sqrt(np.mean(np.square(picture / 255 - found / 255))))
    downscaled, error = _compared(picture, problem.low_res, config)
    feasible = bool(error <= config.eps)
    return Solution(
        index=problem.index,
        restart=restart,
        image=from_uint8(picture),
        downscaled=downscaled.astype(np.float32),
        loss=float(result.loss),
        downscaling_error=float(error),
        search_error=float(result.search_error),
        feasible=feasible,
        status=Status.FEASIBLE if feasible else Status(int(result.status)),
        steps=int(result.steps),
        evaluations=int(result.evaluations),
        latent=np.asarray(result.latent),
        w=np.asarray(result.w),
        offsets={block: np.asarray(offset) for block, offset in result.offsets.items()},
        noise=tuple(map(np.asarray, result.noise)),
        key=key,
        feasible_at=int(result.feasible_at),
        curve=points_of(np.asarray(result.curve), int(result.steps)),
        moved=moved,
    )


def judge_again(
    solution: Solution, picture: UInt8[np.ndarray, "h w 3"], target: np.ndarray, config: UpsamplingConfig
) -> Solution:
    """Return a solution with another picture in its place, and the verdict on that.

    Args:
        solution: Solution as it was found.
        picture: Picture as it is delivered instead.
        target: Low-resolution image (h, h, 3) that it is for.
        config: Settings that it was made with; ε and D count.
    """
    downscaled, error = _compared(picture, target, config)
    feasible = bool(error <= config.eps)
    status = solution.status
    if feasible != solution.feasible:
        status = Status.FEASIBLE if feasible else Status.MAX_STEPS
    return dataclasses.replace(
        solution,
        image=from_uint8(picture),
        downscaled=downscaled.astype(np.float32),
        downscaling_error=float(error),
        feasible=feasible,
        status=status,
    )


def holds(
    picture: UInt8[np.ndarray, "h w 3"], target: np.ndarray, config: UpsamplingConfig, error: float, *, feasible: bool
) -> bool:
    """Return whether the verdict that was recorded of a picture is true, by judging it again.

    Args:
        picture: Picture as it is delivered.
        target: Low-resolution image (h, h, 3) that it is for.
        config: Settings that it was made with; ε and D count.
        error: Its `downscaling_error`, as recorded.
        feasible: Whether it was called feasible.
    """
    _, found = _compared(picture, target, config)
    return bool(np.isclose(error, found, rtol=_RELATIVE, atol=_ABSOLUTE)) and feasible == (error <= config.eps)


def _compared(picture: np.ndarray, target: np.ndarray, config: UpsamplingConfig) -> tuple[np.ndarray, np.ndarray]:
    """What D makes of an 8-bit picture, and how far that is from the target, in float64."""
    return degradation_of(config, len(picture), len(target)).compare(picture / 255, target)
