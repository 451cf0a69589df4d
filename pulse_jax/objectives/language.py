"""The loss language: `100*L2+0.05*GEOCROSS` as data. Standard library only; names are looked up in the table of terms.

That table (`objectives.terms`) needs JAX, so it is imported when a loss is read, not when this module is.
"""

import collections
import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LossTerm", "parse_loss"]

_EXAMPLE = "100*L2+0.05*GEOCROSS"
_FLOAT32_MAX = 3.4028234663852886e38
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# A plus between terms, not the sign of an exponent as in 1e+3.
_PLUS = re.compile(r"(?<![0-9.][eE])\+")


@dataclass(frozen=True, slots=True)
class LossTerm:
    """One term of a loss: `weight` times the loss called `name`.

    Attributes:
        name: Key of the table of terms, `objectives.terms.TERMS`.
        weight: Factor of the term, not negative, finite in float32.

    Raises:
        ValueError: The name is unknown or the weight out of range.
    """

    name: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        known = _known_names()
        if self.name not in known:
            raise ValueError(f"loss: expected terms from {', '.join(known)}, got {self.name!r}")
        # NaN fails every comparison.
        if not 0.0 <= self.weight <= _FLOAT32_MAX:
            raise ValueError(f"loss: expected a weight of 0 to 3.4e38 for {self.name}, got {self.weight!r}")


def _known_names() -> Iterable[str]:
    from pulse_jax.objectives.terms import TERMS

    return TERMS.keys()


def _parse_term(text: str, loss: str) -> LossTerm:
    weight, star, name = (part.strip() for part in text.partition("*"))
    if not star:
        weight, name = "1", weight
    known = _known_names()
    if name not in known:
        raise ValueError(f"loss: expected terms from {', '.join(known)}, such as {_EXAMPLE}, got {name!r} in {loss!r}")
    if not _NUMBER.fullmatch(weight) or float(weight) > _FLOAT32_MAX:
        raise ValueError(f"loss: expected a weight of 0 to 3.4e38 for {name}, got {weight!r} in {loss!r}")
    return LossTerm(name, float(weight))


def parse_loss(text: str) -> tuple[LossTerm, ...]:
    """Read terms `weight*NAME` joined by `+`, as in `100*L2+0.05*GEOCROSS` (PULSE's language); nothing is evaluated.

    A weight is a plain decimal number, 1 when left out; spaces do not matter.

    Raises:
        ValueError: A term is empty, unknown or repeated, or a weight is not a number that float32 holds, 0 at least.
    """
    terms = tuple(_parse_term(term, text) for term in _PLUS.split(text))
    names = [term.name for term in terms]
    repeated = sorted(name for name, count in collections.Counter(names).items() if count > 1)
    if repeated:
        raise ValueError(f"loss: expected each term once, got {', '.join(repeated)} repeated in {text!r}")
    return terms
