"""What a run can add to an input's solutions: variations of each, and animations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from pulse_jax.generators.generator import Generator
from pulse_jax.images.rounding import to_uint8
from pulse_jax.search.animations import animation_memory, morph, replay
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.search.variations import redraw, redraw_memory

__all__ = ["Additions", "Animations", "Variations", "save_animation"]

# Milliseconds that a frame is shown, and the picture that a movement ends in.
_FRAME, _END = 60, 1500
_ANIMATION_QUALITY = 90


@dataclass(frozen=True)
class Variations:
    """The noise of each feasible solution drawn anew; what is feasible is kept.

    Attributes:
        generator: Generator that was searched.
        config: Settings of the searches, which leave some noise input to be drawn.
        draws: How often the noise of a solution is drawn, 1 or more.
    """

    generator: Generator
    config: SearchConfig
    draws: int

    def memory(self, side: int) -> int:
        """Return the bytes that they take on the device at once, for inputs of this side; by XLA's account."""
        return redraw_memory(self.generator, self.config, side)

    def picture_names(self, names: tuple[str, str], number: int) -> tuple[str, str]:
        """Return the file names of a variation and its downscaled version: solution_01_noise_02.png.

        Args:
            names: File names of its solution and that one's downscaled version.
            number: Number of its draw, from 1.
        """
        digits = max(2, len(str(self.draws)))
        image, small = (Path(name) for name in names)
        added = f"_noise_{number:0{digits}}"
        return f"{image.stem}{added}{image.suffix}", f"{small.stem}{added}{small.suffix}"

    def of(self, problem: Problem, solution: Solution) -> Iterator[Solution]:
        """Yield the feasible variations of a solution one by one; none of one that is not feasible itself."""
        if solution.feasible:
            numbers = range(1, self.draws + 1)
            yield from (s for s in redraw(self.generator, self.config, problem, solution, numbers) if s.feasible)


@dataclass(frozen=True)
class Animations:
    """The search of an input's best solution, and its two best solutions going over into each other.

    Attributes:
        generator: Generator that was searched.
        config: Settings of the searches.
        names: File names of all animations that an input may have.
    """

    generator: Generator
    config: SearchConfig
    names: ClassVar[tuple[str, ...]] = ("search.webp", "morph.webp")

    def memory(self, side: int) -> int:
        """Return the bytes that they take on the device at once, for inputs of this side; by XLA's account."""
        return animation_memory(self.generator, self.config, side)

    def of(self, problem: Problem, ranked: Sequence[Solution]) -> Iterator[tuple[str, np.ndarray, list[int]]]:
        """Yield names, frames (n, H, W, 3) uint8 and how many milliseconds each is shown.

        The best solution's search ends in the picture that was delivered. The two best go over into each other and
        back, if both are feasible.

        Args:
            problem: What was searched for.
            ranked: Solutions, best first, one at least; the first two are shown.
        """
        best, *others = ranked
        delivered = to_uint8(best.image[None])
        frames = np.concatenate([replay(self.generator, self.config, problem, best.restart, best.steps), delivered])
        yield self.names[0], frames, [_FRAME] * (len(frames) - 1) + [_END]
        if others and others[0].feasible:
            way = morph(self.generator, self.config, best, others[0])
            moving = [_FRAME] * (len(way) - 2)
            yield self.names[1], np.concatenate([way, way[-2:0:-1]]), [_END, *moving, _END, *moving]


@dataclass(frozen=True)
class Additions:
    """What is added to the solutions of each input; by default, nothing.

    Attributes:
        variations: How noise is drawn anew; None if it is not.
        animations: How animations are made; None if there are none.
    """

    variations: Variations | None = None
    animations: Animations | None = None

    def memory(self, side: int) -> int:
        """Return the bytes that additions take on the device at once, for inputs of this side; by XLA's account."""
        return max((made.memory(side) for made in (self.variations, self.animations) if made is not None), default=0)


def save_animation(path: Path, frames: np.ndarray, milliseconds: Sequence[int]) -> None:
    """Write frames as an animated WebP (lossy) that is shown over and over.

    Args:
        path: File to write.
        frames: Pictures (n, H, W, 3) uint8.
        milliseconds: How long each is shown.

    Raises:
        OSError: The disk is full or the like.
    """
    first, *others = map(Image.fromarray, frames)
    with open(path, "wb") as file:
        first.save(
            file,
            format="WEBP",
            save_all=True,
            append_images=others,
            duration=list(milliseconds),
            loop=0,
            quality=_ANIMATION_QUALITY,
        )
