"""A page for a browser on which inputs, their solutions and failures are looked at, compared, filtered and sorted.

One file that loads nothing but the pictures beside it, and those only where they are scrolled to; written while entries
pass by, so that many need no memory. Its style and script are in `data/page/`.
"""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeVar

from pulse_jax.reports.templates import asset, replaced, script_json

__all__ = ["GalleryHead", "GalleryItem", "GallerySolution", "passing"]

T = TypeVar("T")
_MARK = "{data}"


class GallerySolution(TypedDict, total=False):
    """A solution as the page shows it; `image`, `downscaled` and `feasible` are needed, paths relative to the page.

    Numbers `plausibility` and `latent_plausibility`, in percent, are shown if there are any, and the first is sorted by
    and marked where it is below 1. A `curve` is of errors at looks as `search.curve` spaces them. Solutions of several
    presets have a `preset` and `latents` of their own, in which they are the `row`; `measures` are names and values of
    more numbers.
    """

    image: str
    downscaled: str
    feasible: bool
    downscaling_error: float | None
    loss: float | None
    steps: int
    status: str
    restart: int
    curve: Sequence[float | None]
    moved: float
    plausibility: float
    latent_plausibility: float
    command: str
    variations: list[str]
    preset: str
    latents: str
    row: int
    measures: Sequence[tuple[str, str]]


class GalleryItem(TypedDict, total=False):
    """An input as the page shows it, paths relative to the page.

    All but `original`, `latents`, `preset`, `group` and `sheet` are needed.
    """

    title: str
    notes: Sequence[str]
    size: int
    solved: str
    original: str
    latents: str
    sheet: str | None
    preset: str
    group: str
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
        sections: HTML above the solutions, whose texts are escaped.
    """

    title: str
    lead: str
    notice: str
    eps: float
    stats: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    failures: Sequence[tuple[str, str]] = ()
    sections: str = ""


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
        page.write(f'{{"eps":{script_json(head.eps)},"items":[')
        for number, (entry, item) in enumerate(entries):
            page.write(",\n" if number else "\n")
            page.write(script_json(item))
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
        "{sections}": head.sections,
        "{css}": asset("page/page.css"),
        "{js}": asset("page/page.js"),
    }
    return _fill(asset("page/page.html"), filled)


def _fill(template: str, filled: Mapping[str, str]) -> tuple[str, str]:
    """The two parts; what is filled in is never looked at for marks of its own."""
    before, after = template.split(_MARK)
    return replaced(before, filled), replaced(after, filled)


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
