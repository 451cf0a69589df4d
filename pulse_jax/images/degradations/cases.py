"""Chains at several factors: the cases of an evaluation, each a way in which inputs are made of pictures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pulse_jax.images.degradations.chain import check_known
from pulse_jax.images.degradations.language import LANGUAGE, Stage, parse_chain
from pulse_jax.images.degradations.registry import DEGRADATIONS

__all__ = ["CLEAN", "Case", "cases_of"]

CLEAN = "bicubic"
"""The degradation that PULSE's inputs come by."""


@dataclass(frozen=True)
class Case:
    """A chain with its factor.

    Attributes:
        factor: How many pixels of a picture become one, along each side.
        degradation: The chain as it was given, without the factor.
        name: What files of the case are called.
    """

    factor: int
    degradation: str
    name: str

    @property
    def chain(self) -> str:
        """The chain with its factor."""
        stages = parse_chain(self.degradation)
        return "|".join(str(Stage(s.word, (float(self.factor),)) if s.word in DEGRADATIONS else s) for s in stages)

    @property
    def known(self) -> str:
        """What of the chain a search can be told: its linear stages.

        Raises:
            ValueError: A search cannot invert them: motion in a direction that is drawn at random.
        """
        text = "|".join(str(stage) for stage in parse_chain(self.degradation) if LANGUAGE[stage.word].is_linear)
        check_known(text)
        return text

    @property
    def is_disturbed(self) -> bool:
        """Whether inputs are other than what pictures merely downscale to."""
        return self.degradation != CLEAN

    @property
    def title(self) -> str:
        """What people know it by."""
        return f"{self.factor}×" + (f", {self.degradation}" if self.is_disturbed else "")


def cases_of(factors: Sequence[int], degradations: Sequence[str]) -> list[Case]:
    """Return every degradation at every factor, factor by factor, each once.

    Args:
        factors: Factors, 1 or more.
        degradations: Chains that downscale once, by a factor that they leave out.

    Raises:
        ValueError: A text is no such chain.
    """
    chains: dict[str, None] = {}
    for text in degradations:
        stages = parse_chain(text)
        downscaling = [stage for stage in stages if stage.word in DEGRADATIONS]
        if len(downscaling) != 1 or downscaling[0].numbers:
            raise ValueError(f"expected one downscaling, without its factor, such as {CLEAN}, got {text!r:.80}")
        chains["|".join(map(str, stages))] = None
    cases: list[Case] = []
    for factor in dict.fromkeys(factors):
        for chain in chains:
            plain = f"{factor}x" + ("" if chain == CLEAN else f"-{_slug(chain)}")
            taken = {case.name for case in cases}
            names = (plain, *(f"{plain}-{number}" for number in range(2, len(chains) + 2)))
            cases.append(Case(factor, chain, next(name for name in names if name not in taken)))
    return cases


def _slug(chain: str) -> str:
    words = [word for word in chain.split("|") if word != CLEAN]
    return re.sub(r"[^a-z0-9.]+", "-", "-".join(words)).strip("-")[:80]
