"""The language of chains: `motion(100, 30)|bicubic(8)|gaussian(25)`, what happens to a picture from left to right."""

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["LANGUAGE", "Stage", "parse_chain"]

_STAGE = re.compile(r"\s*([a-z_]+)\s*(?:\(([^()]*)\))?\s*")


class Word(NamedTuple):
    """What a word takes: names of its arguments, how many of the last may be left out, and whether it is linear."""

    arguments: tuple[str, ...]
    optional: int = 0
    is_linear: bool = True


LANGUAGE: Mapping[str, Word] = {
    "bicubic": Word(("factor",), 1),
    "area": Word(("factor",), 1),
    "lanczos": Word(("factor",), 1),
    "blur": Word(("sigma",)),
    "motion": Word(("length", "degrees"), 1),
    "mask": Word(("left", "top", "right", "bottom")),
    "gray": Word(()),
    "gaussian": Word(("sigma",), is_linear=False),
    "salt_pepper": Word(("share",), is_linear=False),
    "jpeg": Word(("quality",), is_linear=False),
}
"""Every word; those that are not linear disturb a picture, and no search knows them."""


class Stage(NamedTuple):
    """One word of a chain and its numbers, those that were left out missing."""

    word: str
    numbers: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.word}({', '.join(f'{number:g}' for number in self.numbers)})" if self.numbers else self.word


def parse_chain(text: str) -> tuple[Stage, ...]:
    """Return the stages of a chain.

    Args:
        text: Words with `|` between them, each with its numbers in parentheses.

    Raises:
        ValueError: A word is unknown or takes other numbers, or the text is none of the language; it says where.
    """
    stages = []
    for place, part in enumerate(text.split("|"), 1):
        found = _STAGE.fullmatch(part)
        word = LANGUAGE.get(found.group(1)) if found else None
        if found is None or word is None:
            listed = ", ".join(map(_shown, LANGUAGE))
            raise ValueError(f"expected one of {listed} with | between them, got {part.strip()!r:.80} in place {place}")
        given = [] if found.group(2) is None or not found.group(2).strip() else found.group(2).split(",")
        least = len(word.arguments) - word.optional
        if not least <= len(given) <= len(word.arguments):
            raise ValueError(f"expected {_shown(found.group(1))}, got {part.strip()!r:.80} in place {place}")
        stages.append(Stage(found.group(1), tuple(_number(one, part, place) for one in given)))
    return tuple(stages)


def _number(text: str, part: str, place: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"expected numbers, got {text.strip()!r:.40} in {part.strip()!r:.80} in place {place}"
        ) from None


def _shown(name: str) -> str:
    word = LANGUAGE[name]
    return f"{name}({', '.join(word.arguments)})" if word.arguments else name
