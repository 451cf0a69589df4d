"""Which morph targets are two ends of one detail of the face, and how far people differ in it."""

from collections.abc import Sequence
from typing import NamedTuple

_OPPOSITES = (
    ("-incr", "-decr"),
    ("-up", "-down"),
    ("-in", "-out"),
    ("-forward", "-backward"),
    ("-compress", "-uncompress"),
    ("-concave", "-convex"),
)
_SPREAD = {
    "head": 0.16,
    "forehead": 0.15,
    "eyebrows": 0.15,
    "eyes": 0.16,
    "nose": 0.17,
    "mouth": 0.17,
    "ears": 0.18,
    "chin": 0.18,
    "cheek": 0.2,
    "neck": 0.1,
}
# what would turn the head, age it twice or make it odd rather than different
_LEFT_OUT = (
    "trans-in",
    "trans-out",
    "head-age",
    "head-trans",
    "head-angle",
    "neck-trans",
    "back-scale",
    "jaw-drop",
    "nubian",
    "eye-push",
    "shape-pointed",
)
_NARROW = ("head/head-scale", "mouth/mouth-scale", "nose/nose-scale", "mouth/mouth-trans", "nose/nose-trans")


class Detail(NamedTuple):
    """The targets that apply at a positive and at a negative value, and the values' standard deviation."""

    plus: tuple[str, ...]
    minus: tuple[str, ...]
    spread: float


def detail_pairs(names: Sequence[str]) -> list[Detail]:
    """Group targets into details: opposite ends paired, left and right together."""
    known, seen, details = set(names), set(), []
    for name in names:
        group = name.split("/")[0]
        if group not in _SPREAD or name in seen or any(part in name for part in _LEFT_OUT):
            continue
        plus, minus = _ends(name, known)
        seen.update(plus, minus)
        spread = _SPREAD[group] * (0.6 if name.startswith(_NARROW) else 1.0)
        details.append(Detail(plus, minus, spread))
    return details


def _ends(name: str, known: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    for up, down in _OPPOSITES:
        for end, other in ((up, down), (down, up)):
            opposite = name.removesuffix(end) + other
            if name.endswith(end) and opposite in known:
                ends = (name, opposite) if end == up else (opposite, name)
                return _both_sides(ends[0], known), _both_sides(ends[1], known)
    return _both_sides(name, known), ()


def _both_sides(name: str, known: set[str]) -> tuple[str, ...]:
    mirrored = {name, name.replace("/l-", "/r-"), name.replace("/r-", "/l-")}
    return tuple(sorted(mirrored & known))
