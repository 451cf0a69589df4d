"""What a run can add to an input's solutions: variations of each, and animations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pulse_jax.generators.generator import Generator
from pulse_jax.images.rounding import to_uint8
from pulse_jax.search.animations import animation_memory, morph, replay
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.problems import Problem, Solution
from pulse_jax.search.variations import redraw, redraw_memory, redrawn_layers

__all__ = ["Extras", "save_animation"]

# Milliseconds that a frame is shown, and the picture that a movement ends in.
_FRAME, _END = 60, 1500


@dataclass(frozen=True)
class Extras:
    """What is added; by default, nothing.

    Attributes:
        generator, config: of the searches.
        samples: variations that are drawn of each feasible solution; those that are feasible are kept.
        animated: whether there are animations.
    """

    generator: Generator
    config: UpsamplingConfig
    samples: int = 0
    animated: bool = False

    @property
    def draws(self) -> int:
        """Variations of each feasible solution that can be drawn: none, if no noise input is left to draw."""
        if not isinstance(self.config, SearchConfig):
            return 0
        return self.samples if redrawn_layers(self.config, len(self.generator.noise_shapes)) else 0

    def memory(self, side: int) -> int:
        """Bytes that what is added takes on the device at once, for inputs of this side; by XLA's account."""
        if not isinstance(self.config, SearchConfig):
            return 0
        drawing = redraw_memory(self.generator, self.config, side) if self.draws else 0
        moving = animation_memory(self.generator, self.config, side) if self.animated else 0
        return max(drawing, moving)

    def picture_names(self, names: tuple[str, str], variation: int) -> tuple[str, str]:
        """A variation's picture and its downscaled version, beside its solution's: solution_01_noise_02.png."""
        digits = max(2, len(str(self.samples)))
        image, small = (f"{name.removesuffix('.png')}_noise_{variation:0{digits}}.png" for name in names)
        return image, small

    @property
    def animation_names(self) -> list[str]:
        """All animations that an input may have."""
        return ["search.webp", "morph.webp"] if self.animated else []

    def variations(self, problem: Problem, solution: Solution) -> Iterator[Solution]:
        """A feasible solution's feasible variations, one by one."""
        if self.draws and solution.feasible and isinstance(self.config, SearchConfig):
            numbers = range(1, self.draws + 1)
            yield from (s for s in redraw(self.generator, self.config, problem, solution, numbers) if s.feasible)

    def animations(self, problem: Problem, ranked: Sequence[Solution]) -> Iterator[tuple[str, np.ndarray, list[int]]]:
        """Names, frames (n, H, W, 3) uint8 and how many milliseconds each is shown.

        The best solution's search ends in the picture that was delivered. The two best go over into each other and
        back, if both are feasible.
        """
        if not self.animated or not isinstance(self.config, SearchConfig):
            return
        best, *others = ranked
        delivered = to_uint8(best.image[None])
        frames = np.concatenate([replay(self.generator, self.config, problem, best.restart, best.steps), delivered])
        yield "search.webp", frames, [_FRAME] * (len(frames) - 1) + [_END]
        if others and others[0].feasible:
            way = morph(self.generator, self.config, best, others[0])
            moving = [_FRAME] * (len(way) - 2)
            yield "morph.webp", np.concatenate([way, way[-2:0:-1]]), [_END, *moving, _END, *moving]


_ANIMATION_QUALITY = 90


def save_animation(path: Path, frames: np.ndarray, milliseconds: Sequence[int]) -> None:
    """Writes frames (n, H, W, 3) uint8, shown for so long each and over and over, as an animated WebP (lossy).

    Raises:
        OSError: the disk is full or the like.
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
