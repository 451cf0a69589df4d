"""A page for a browser on which inputs, their solutions and failures are looked at, compared, filtered and sorted.

One file that loads nothing but the pictures beside it, and those only where they are scrolled to; written while entries
pass by, so that many need no memory. Its style and script are in `data/page/`.
"""

import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypedDict, TypeVar

__all__ = ["GalleryHead", "GalleryItem", "GallerySolution", "passing"]

T = TypeVar("T")
_MARK = "{data}"


class GallerySolution(TypedDict, total=False):
    """A solution as the page shows it; `image`, `downscaled` and `feasible` are needed, paths relative to the page.

    Numbers `plausibility` and `latent_plausibility`, in percent, are shown if there are any, and the first is sorted by
    and marked where it is below 1.
    """

    image: str
    downscaled: str
    feasible: bool
    downscaling_error: float | None
    loss: float | None
    steps: int
    status: str
    restart: int
    moved: float
    plausibility: float
    latent_plausibility: float
    command: str
    variations: list[str]


class GalleryItem(TypedDict, total=False):
    """An input as the page shows it, paths relative to the page.

    All but `original`, `latents`, `preset` and `sheet` are needed.
    """

    title: str
    notes: Sequence[str]
    size: int
    solved: str
    original: str
    latents: str
    sheet: str | None
    preset: str
    solutions: list[GallerySolution]


@dataclass(frozen=True, kw_only=True)
class GalleryHead:
    """What a page says above and below its solutions.

    Attributes:
        title: Headline, also the window's title.
        lead: What the page shows, in a sentence.
        notice: What is to be minded.
        eps: Largest error that counts as feasible.
        stats: Names and values of the numbers to be seen first.
        facts: Names and values of how it was made.
        failures: What could not be used, and why.
    """

    title: str
    lead: str
    notice: str
    eps: float
    stats: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    failures: Sequence[tuple[str, str]] = ()


def passing(file: Path, head: GalleryHead, entries: Iterable[tuple[T, GalleryItem]]) -> Iterator[T]:
    """Yield the first of each pair, and write the second on a page; it is whole once all have passed.

    Args:
        file: The page to write.
        head: What it says above and below.
        entries: Pairs of what is passed on, and what is shown of it.

    Raises:
        OSError: The disk is full or the like.
    """
    before, after = _template(head)
    with open(file, "w", encoding="utf-8", errors="replace") as page:
        page.write(before)
        page.write(f'{{"eps":{_json(head.eps)},"items":[')
        for number, (entry, item) in enumerate(entries):
            page.write(",\n" if number else "\n")
            page.write(_json(item))
            yield entry
        page.write("\n]}")
        page.write(after)


def _template(head: GalleryHead) -> tuple[str, str]:
    """The page before and after its data."""
    filled = {
        "{title}": html.escape(head.title),
        "{lead}": html.escape(head.lead),
        "{notice}": html.escape(head.notice),
        "{stats}": "".join(f"<div>{_pair(*pair)}</div>" for pair in head.stats),
        "{facts}": "".join(_pair(*pair) for pair in head.facts),
        "{failures}": _failures(head.failures),
        "{css}": _asset("page.css"),
        "{js}": _asset("page.js"),
    }
    return _fill(_asset("page.html"), filled)


def _fill(template: str, filled: Mapping[str, str]) -> tuple[str, str]:
    """The two parts; what is filled in is never looked at for marks of its own."""
    before, after = template.split(_MARK)
    return _replaced(before, filled), _replaced(after, filled)


def _replaced(text: str, filled: Mapping[str, str]) -> str:
    for mark, value in filled.items():
        if mark in text:
            rest = {name: other for name, other in filled.items() if name != mark}
            return value.join(_replaced(part, rest) for part in text.split(mark))
    return text


def _pair(name: str, value: str) -> str:
    return f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"


def _failures(failures: Sequence[tuple[str, str]]) -> str:
    if not failures:
        return ""
    count = f"{len(failures)} input{'s' if len(failures) > 1 else ''}"
    told = "".join(f"<li>{html.escape(name)}: {html.escape(reason)}</li>" for name, reason in failures)
    return (
        f'<section class="failures" aria-labelledby="failed"><h2 id="failed">✗ {count} could not be used</h2>'
        f'<ul tabindex="0" aria-labelledby="failed">{told}</ul></section>'
    )


def _json(value: Any) -> str:
    """JSON in ASCII that no browser reads as the end of a script or as the begin of a comment."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@cache
def _asset(name: str) -> str:
    return (files("pulse_jax") / "data" / "page" / name).read_text(encoding="utf-8")
