"""What goes into the engine and comes out of it: problems, and solutions with the proof that they downscale to them."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from pulse_jax.system.checks import check_count, is_whole
from pulse_jax.system.keys import random_key

__all__ = ["Problem", "Solution", "Start", "Status", "as_pixels", "as_problems", "image_number", "problem_key", "rank"]


# How far values may lie outside [0, 1].
_OVERSHOOT = 0.5


class Status(IntEnum):
    """How a lane stands or ended; failures are codes, never exceptions."""

    RUNNING = 0
    FEASIBLE = 1
    MAX_STEPS = 2
    PLATEAU = 3
    NONFINITE = 4
    EMPTY = 5


class Start(NamedTuple):
    """Given starts of k searches.

    Attributes:
        latents: Searched latents (k, rows, d).
        noise: Every noise input (k, r, r, 1); None if they are to be drawn.
    """

    latents: Any
    noise: tuple[Any, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One image, and how many searches it may cost.

    Attributes:
        low_res: Low-resolution image (h, h, 3), float, nominally [0, 1]; not-a-number costs only this image.
        index: The caller's number for the image, another for each; solutions carry it.
        restarts: Most searches that are made, each from another random start; they are numbered from 0.
        solutions: Number of feasible solutions that is enough: another restart begins only while there are fewer; None
            runs all restarts. Which restarts are run depends on their outcomes alone, not on their timing.
        seed: Number from 0 to 2³² − 1 that the starts are drawn from, together with the pixels.
        start: Given starts, one for each restart.
        ended: Restarts whose solutions the caller has from before, and whether they are feasible; not
            delivered again, and not run again but where restarts repel each other.

    Raises:
        ValueError: An attribute is out of range, or the image is not square, RGB and floating-point.
    """

    low_res: np.ndarray
    index: int = 0
    restarts: int = 1
    solutions: int | None = None
    seed: int = 0
    start: Start | None = None
    ended: Mapping[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pixels = as_pixels(self.low_res)
        if pixels.ndim != 3 or pixels.shape[-1] != 3 or pixels.shape[0] != pixels.shape[1]:
            raise ValueError(f"low_res: expected square RGB images (n, h, h, 3), got {pixels.shape} as one of n")
        object.__setattr__(self, "low_res", np.ascontiguousarray(pixels, np.float32))
        for name in ("restarts", "solutions"):
            value = getattr(self, name)
            if value is not None:
                check_count(name, value)
        if not is_whole(self.index):
            raise ValueError(f"index: expected a whole number, got {self.index!r:.80}")
        if not is_whole(self.seed) or not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: expected a whole number from 0 to {2**32 - 1}, got {self.seed!r:.80}")


@dataclass(frozen=True, kw_only=True)
class Solution:
    """One delivered picture and the proof that it downscales to its input.

    Attributes:
        index, restart: Which image and which restart it belongs to.
        image: Delivered picture (H, W, 3), float32 in [0, 1], multiples of 1/255: exactly what a PNG of it holds.
        downscaled: D(image) (h, w, 3), float32.
        loss: Total loss of the float image.
        downscaling_error: Mean squared error of D(image) against the input, in float64.
        search_error: The same of the float image, before clipping and rounding: the original program's criterion.
        feasible: Whether `downscaling_error` ≤ ε.
        status: How the search ended.
        steps: Looks taken, at most the config's `steps`.
        feasible_at: Look, counted from 1, that was the first to be feasible; 0 if none was.
        curve: `search_error` of looks on the way, at most 33 of them (`search.curve.looks_of` says which).
        evaluations: Looks taken, refused ones included, and products with the residual's Jacobian: what the search has
            cost. Equal to `steps` for methods that take no products.
        latent: Searched latent (rows, d); (0, d) of an interpolation.
        w: What the generator made the picture of: (L, d), one row for every layer; of a search in W++
            (`num_filters`, d), one for every filter; (0, d) of an interpolation.
        offsets: Searched offsets (r, r, c) to the outputs of blocks, by the blocks' numbers; none of most searches.
        noise: Every noise input (r, r, 1); none of an interpolation.
        key: Data of the random key that the start was drawn from.
        moved: Root mean square by which back-projection has moved the picture away from what the generator draws, of
            values in [0, 1]; 0 where `exact` is not asked for.
        variation: 0 for what the search found; from 1, the same latent with its other noise: the draw of this number.
    """

    index: int
    restart: int
    image: np.ndarray
    downscaled: np.ndarray
    loss: float
    downscaling_error: float
    search_error: float
    feasible: bool
    status: Status
    steps: int
    latent: np.ndarray
    w: np.ndarray
    noise: tuple[np.ndarray, ...]
    key: np.ndarray
    offsets: Mapping[int, np.ndarray] = field(default_factory=dict)
    variation: int = 0
    feasible_at: int = 0
    curve: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    evaluations: int = 0
    moved: float = 0.0


def as_pixels(low_res: Any) -> np.ndarray:
    """Return low-resolution images as a float32 array, whatever their shape.

    Args:
        low_res: Array of floating-point numbers, nominally in [0, 1]; NaN is let through.

    Raises:
        TypeError: It is no array of numbers, or a tracer.
        ValueError: The numbers are no pixels in [0, 1]: integers, 0 to 255, or -1 to 1.
    """
    if isinstance(low_res, Tracer):
        raise TypeError(
            "low_res: expected pixels, got a tracer; searches compile programs of their own and cannot be called "
            "inside jit, vmap or grad"
        )
    if isinstance(low_res, str | bytes | os.PathLike):
        raise TypeError(f"low_res: expected an array of pixels, got a {type(low_res).__name__}; read the picture first")
    pixels = np.asarray(low_res)
    if not jax.numpy.issubdtype(pixels.dtype, np.floating):
        advice = "; divide by 255" if pixels.dtype == np.uint8 else ""
        kind = ValueError if pixels.dtype.kind in "iub" else TypeError
        raise kind(f"low_res: expected floating-point images in [0, 1], got {pixels.dtype}{advice}")
    pixels = pixels.astype(np.float32)
    finite = pixels[np.isfinite(pixels)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    # What is a little outside may come from resampling.
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        advice = "divide by 255" if low >= 0 and high <= 255 else "shift and scale them"
        raise ValueError(f"low_res: expected values in [0, 1], got {low:.4g} to {high:.4g}; {advice}")
    return pixels


def as_problems(
    low_res: np.ndarray, *, restarts: int = 1, seed: int = 0, start: Start | None = None
) -> Sequence[Problem]:
    """Return one problem for each of n images.

    Args:
        low_res: Low-resolution images (n, h, h, 3).
        restarts, seed: As in `Problem`.
        start: Given starts, its arrays leading with (n, k).

    Raises:
        ValueError: `low_res` has another shape, or an argument is out of range.
    """
    low_res = as_pixels(low_res)
    if low_res.ndim != 4:
        raise ValueError(f"low_res: expected square RGB images (n, h, h, 3), got {low_res.shape}")
    starts = [None if start is None else jax.tree.map(lambda a, i=i: a[i], start) for i in range(len(low_res))]
    return [
        Problem(low_res=image, index=index, restarts=restarts, seed=seed, start=starts[index])
        for index, image in enumerate(low_res)
    ]


def image_number(pixels: np.ndarray) -> int:
    """Return the first 32 bits of the sha256 of an image's shape and float32 pixels."""
    pixels = np.ascontiguousarray(pixels, "<f4")
    digest = hashlib.sha256(np.asarray(pixels.shape, "<i8").tobytes() + pixels.tobytes()).digest()
    return int.from_bytes(digest[:4], "big")


def problem_key(seed: int | Array, number: int | Array, restart: int | Array) -> Array:
    """Return fold_in(fold_in(seed, `image_number`), restart), from which a search's start is drawn."""
    return jax.random.fold_in(jax.random.fold_in(random_key(seed), number), restart)


@runtime_checkable
class Rankable(Protocol):
    """What `rank` looks at of a solution."""

    @property
    def feasible(self) -> bool: ...
    @property
    def loss(self) -> float: ...
    @property
    def restart(self) -> int: ...


_Rankable = TypeVar("_Rankable", bound=Rankable)


def rank(solutions: Sequence[_Rankable], first_by: Callable[[_Rankable], Any] | None = None) -> list[_Rankable]:
    """Sort solutions, best first: feasible ones, then by total loss (a NaN last), then by restart.

    Args:
        solutions: Solutions of one image.
        first_by: Function of a solution whose smaller values come before, whatever the loss is.
    """
    by = first_by or (lambda _: 0)
    return sorted(solutions, key=lambda s: (not s.feasible, by(s), np.isnan(s.loss), s.loss, s.restart))
