"""Several linear degradations, one after another, as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Float64

from pulse_jax.images.degradations.blur import GaussianBlur, MotionBlur
from pulse_jax.images.degradations.iterative import conjugate_gradients
from pulse_jax.images.degradations.language import LANGUAGE, Stage, parse_chain
from pulse_jax.images.degradations.pointwise import Gray, Mask
from pulse_jax.images.degradations.protocol import Degradation
from pulse_jax.images.degradations.registry import DEGRADATIONS

__all__ = ["Chain", "chain_between", "check_known", "low_sides_of"]

_SAME_SIZE: Mapping[str, Any] = {"blur": GaussianBlur, "motion": MotionBlur, "mask": Mask, "gray": Gray}


@dataclass(frozen=True)
class Chain(Degradation):
    """The degradations of `stages`, from first to last.

    Its adjoint is exact; its pseudo-inverse is one stage's own, or comes by conjugate gradients (`iterative`).
    """

    stages: tuple[Degradation, ...]

    @classmethod
    def between(cls, high: int, low: int, *, blur_at_factor_one: bool = False) -> "Chain":
        """See `Degradation.between`.

        Raises:
            ValueError: Always: no two sides tell the stages (`chain_between` takes a text).
        """
        del blur_at_factor_one
        raise ValueError(f"Chain: expected its stages, got sides alone ({high} and {low})")

    @classmethod
    def low_sides(cls, high: int, *, blur_at_factor_one: bool = False) -> list[int]:
        """See `Degradation.low_sides`: unknown without stages (`low_sides_of` takes a text)."""
        del high, blur_at_factor_one
        return []

    def apply(self, image: Float[Array, "*batch high_h high_w c"]) -> Float[Array, "*batch low_h low_w c"]:
        """See `Degradation.apply`."""
        for stage in self.stages:
            image = stage.apply(image)
        return image

    def apply_float64(self, image: np.ndarray) -> Float64[np.ndarray, "*batch low_h low_w c"]:
        """See `Degradation.apply_float64`."""
        for stage in self.stages:
            image = stage.apply_float64(image)
        return np.asarray(image, np.float64)

    def adjoint(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.adjoint`."""
        for stage in reversed(self.stages):
            image = stage.adjoint(image)
        return np.asarray(image, np.float64)

    def pseudo_inverse(self, image: np.ndarray) -> Float64[np.ndarray, "*batch high_h high_w c"]:
        """See `Degradation.pseudo_inverse`."""
        if len(self.stages) == 1:
            return self.stages[0].pseudo_inverse(image)
        return conjugate_gradients(self, image)

    def as_input(self, image: np.ndarray) -> np.ndarray:
        """Return what is solved of a picture that a user brings: without what the last stages leave out of pixels."""
        for stage in reversed(self.stages):
            if not isinstance(stage, Mask | Gray):
                break
            image = stage.as_input(image)
        return image


def check_known(text: str) -> None:
    """See that a text is a chain that a search can invert.

    Raises:
        ValueError: It is none of the language, or disturbs, or draws its direction at random, or downscales twice.
    """
    _stages_between(parse_chain(text), 64, None)


def low_sides_of(text: str, high: int) -> list[int]:
    """Return the sides, ascending, to which a chain can bring pictures of side `high`."""
    stages = parse_chain(text)
    downscaling = [stage for stage in stages if stage.word in DEGRADATIONS]
    if not downscaling:
        return [high]
    (stage,) = downscaling
    sides = DEGRADATIONS[stage.word].low_sides(high)
    return [side for side in sides if not stage.numbers or side * stage.numbers[0] == high]


@lru_cache(maxsize=64)
def chain_between(text: str, high: int, low: int) -> Chain:
    """Return a chain from square pictures of side `high` to those of side `low`; a factor that it leaves out follows.

    Raises:
        ValueError: There is none between these sides, or the text is no chain that a search can invert.
    """
    return Chain(_stages_between(parse_chain(text), high, low))


def _check_factor(stage: Stage) -> None:
    if stage.numbers and not (stage.numbers[0] >= 1 and stage.numbers[0].is_integer()):
        raise ValueError(f"expected a whole factor of 1 or more, got {stage}")


def _stages_between(stages: Sequence[Stage], high: int, low: int | None) -> tuple[Degradation, ...]:
    """The stages from a side to another; to any that there is, if that is None."""
    made: list[Degradation] = []
    side, has_downscaled = high, False
    for stage in stages:
        if not LANGUAGE[stage.word].is_linear:
            raise ValueError(f"expected what a search can invert, got {stage}, which disturbs")
        if stage.word in DEGRADATIONS:
            if has_downscaled:
                raise ValueError(f"expected one downscaling at most, got {stage} as another one")
            has_downscaled = True
            _check_factor(stage)
            if low is None:
                continue
            if stage.numbers and low * stage.numbers[0] != high:
                raise ValueError(f"low: expected {high} divided by {stage.numbers[0]:g}, got {low}")
            made.append(DEGRADATIONS[stage.word].between(side, low))
            side = low
        elif stage.word == "motion" and len(stage.numbers) == 1:
            raise ValueError(f"expected motion(length, degrees) of what a search inverts, got {stage}")
        else:
            made.append(_SAME_SIZE[stage.word](*stage.numbers))
    if low is not None and side != low:
        raise ValueError(f"low: expected {side}, which nothing downscales, got {low}")
    return tuple(made)
