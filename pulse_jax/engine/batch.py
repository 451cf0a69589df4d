"""All problems in, all solutions out, as arrays: `upsample`."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float
from PIL import Image

from pulse_jax.engine.progress import Progress
from pulse_jax.engine.stream import solve_stream
from pulse_jax.generators.generator import Generator
from pulse_jax.images.formats import encoded
from pulse_jax.images.rounding import to_uint8
from pulse_jax.search.config import UpsamplingConfig
from pulse_jax.search.problems import Solution, as_pixels, as_problems, rank

__all__ = ["Solutions", "upsample"]

# Pictures that a notebook shows, along each side, and how large.
_SHOWN, _SHOWN_SIDE = 8, 128


@dataclass(frozen=True, kw_only=True, repr=False)
class Solutions:
    """k solutions for each of n images, best first: feasible ones, then by total loss; arrays lead with (n, k).

    Attributes:
        images: Delivered pictures (n, k, H, W, 3), float32 in [0, 1], multiples of 1/255.
        downscaled: D(image) (n, k, h, w, 3).
        loss: Total loss of the float image.
        downscaling_error: Mean squared error of D(image) against the input, in float64.
        search_error: The same of the float image, before clipping and rounding.
        feasible: Whether `downscaling_error` ≤ ε.
        status: How each search ended, a `Status`.
        steps: Looks taken.
        evaluations: Looks taken and products with the residual's Jacobian: what each search has cost.
        feasible_at: Look, counted from 1, that was the first to be feasible; 0 if none was.
        moved: Root mean square by which `exact` has moved each picture away from what the generator draws.
        latents: Searched latents (n, k, rows, d), in the space of the config.
        w: What `Generator.synthesize` made the pictures of: (n, k, L, d), one row for every layer; of a search in W++
            (n, k, `num_filters`, d), one for every filter.
        offsets: Searched offsets (n, k, r, r, c) to the outputs of blocks, by the blocks' numbers; none of most
            searches.
        noise: Every noise input (n, k, r, r, 1).
        restart: Which restart each solution came from.
        keys: Data of the random keys that the starts were drawn from.
        position_independent: Whether a search's bits do not depend on its place among the lanes; False on a device
            where two steps of one problem were seen to differ, which `strict` avoids.
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
    moved: np.ndarray
    latents: np.ndarray
    w: np.ndarray
    offsets: Mapping[int, np.ndarray]
    noise: tuple[np.ndarray, ...]
    restart: np.ndarray
    keys: np.ndarray
    position_independent: bool = True

    def __repr__(self) -> str:
        """Say in a line what there is; the arrays are long."""
        n, k, height, width, _ = self.images.shape
        return (
            f"Solutions: {n} image{'s' if n > 1 else ''}, {k} solution{'s' if k > 1 else ''} each, {width}x{height}; "
            f"{int(self.feasible.sum())} of {n * k} feasible, median error {np.median(self.downscaling_error):.2g}"
        )

    def _repr_png_(self) -> bytes:
        """The first pictures, a row of solutions for each image, as notebooks show them."""
        rows = self.images[:_SHOWN, :_SHOWN]
        side = min(_SHOWN_SIDE, rows.shape[2])
        sheet = Image.new("RGB", (side * rows.shape[1], side * rows.shape[0]))
        for row, column in np.ndindex(rows.shape[:2]):
            picture = Image.fromarray(to_uint8(rows[row, column]))
            sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (side * column, side * row))
        return encoded(np.asarray(sheet), "png")

    def _repr_html_(self) -> str:
        """The same pictures with the line that `repr` gives."""
        data = base64.b64encode(self._repr_png_()).decode()
        return f'<figure><img src="data:image/png;base64,{data}"><figcaption>{self!r}</figcaption></figure>'


def upsample(
    generator: Generator,
    low_res: Float[Array, "*n h h 3"] | np.ndarray,
    *,
    restarts: int = 1,
    seed: int = 0,
    lanes: int | None = None,
    strict: bool = False,
    config: UpsamplingConfig | str | None = None,
    on_progress: Callable[[Progress], Any] | None = None,
) -> Solutions:
    """Return k solutions for each low-resolution image, best first; `solve_stream` gives them one by one, as they end.

    A result depends on its image, restart number, `seed`, `config` and the kind of device, on other devices than CPUs
    on `lanes` too, and not on its company. Of an interpolation k is 1, latents and w are (n, 1, 0, d), and there is no
    noise.

    Args:
        generator: Generator to search.
        low_res: Images (h, h, 3) or (n, h, h, 3), float in [0, 1].
        restarts: k, how many searches each image gets, each from another random start.
        seed: What the starts are drawn from, together with the pixels: 0 to 2³² − 1.
        lanes: Searches that run at once on each device; None for what suits the generator and the device.
        strict: Run every search as a program by itself on other devices than CPUs too, as `solve_stream` does.
        config: Settings, or a preset's name; `presets.fast()` if None.
        on_progress: Function to call now and then with where all searches stand; what it raises ends them.

    Raises:
        TypeError: An argument is of another kind, or this is called inside `jit`, `vmap` or `grad`.
        ValueError: An argument is out of range, named with what was expected.
    """
    low_res = as_pixels(low_res)
    if low_res.ndim == 3:
        low_res = low_res[None]
    if not len(low_res):
        raise ValueError("low_res: expected at least one image, got none")
    if not np.isfinite(low_res).all():
        raise ValueError("low_res: expected numbers in [0, 1], got NaN or infinite ones")
    problems = as_problems(low_res, restarts=restarts, seed=seed)
    by_image: list[list[Solution]] = [[] for _ in problems]
    seen: list[Progress] = []

    def standing(progress: Progress) -> None:
        seen.append(progress)
        if on_progress is not None:
            on_progress(progress)

    stream = solve_stream(problems, generator, lanes=lanes, strict=strict, config=config, on_chunk=standing)
    for solution in stream:
        by_image[solution.index].append(solution)
    ranked = [rank(solutions) for solutions in by_image]

    def stack(name: str) -> np.ndarray:
        return stacked(lambda solution: getattr(solution, name))

    def stacked(of: Callable[[Solution], Any]) -> np.ndarray:
        return np.stack([np.stack([np.asarray(of(solution)) for solution in row]) for row in ranked])

    first = ranked[0][0]

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
        moved=stack("moved"),
        latents=stack("latent"),
        w=stack("w"),
        offsets={block: stacked(lambda solution, block=block: solution.offsets[block]) for block in first.offsets},
        noise=tuple(stacked(lambda solution, i=i: solution.noise[i]) for i in range(len(first.noise))),
        restart=stack("restart"),
        keys=stack("key"),
        position_independent=all(progress.position_independent for progress in seen),
    )
