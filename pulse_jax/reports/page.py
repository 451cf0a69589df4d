"""Pages for a browser: rows of pictures with what is said of them, and tables; one file that loads nothing else."""

import html
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pulse_jax.reports.canvas import AMBER, FAINT, GREEN, INK, PAPER, SOFT

__all__ = ["Page", "PageTile"]

_COLOURS = {"ink": INK, "soft": SOFT, "faint": FAINT, "paper": PAPER, "good": GREEN, "missed": AMBER}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 32px 44px; }
h1 { font-weight: 500; margin: 0 0 4px; } h2 { font-weight: 500; margin: 40px 0 8px; font-size: 20px; }
p { color: var(--soft); max-width: 72em; }
table { border-collapse: collapse; margin-bottom: 16px; }
td, th { font-weight: normal; text-align: right; padding: 3px 10px; }
td:first-child, th:first-child { text-align: left; padding-left: 0; } th { color: var(--soft); }
tr { border-bottom: 1px solid var(--faint); }
.pictures td, .pictures th { text-align: left; padding: 6px 8px 6px 0; vertical-align: top; }
.pictures th { position: sticky; top: 0; background: var(--paper); }
.pictures { font-size: 12.5px; line-height: 1.35; } img { display: block; width: 112px; height: 112px; }
img.crisp { image-rendering: pixelated; }
.good { color: var(--good); } .missed { color: var(--missed); } .soft { color: var(--soft); }
"""


@dataclass(frozen=True)
class PageTile:
    """A picture and what is said of it.

    Attributes:
        source: Its file, relative to the page's folder.
        caption: Main line below it.
        detail: Quieter second line.
        good: Whether it keeps what is promised: the caption is green if it does, amber if not, plain if None.
        crisp: Whether its pixels are shown as squares.
    """

    source: PurePath
    caption: str = ""
    detail: str = ""
    good: bool | None = None
    crisp: bool = False


class Page:
    """A page that grows downwards. Every text is shown as it is, whatever characters it has.

    Args:
        title: Headline, also in the window's title.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Add a heading."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table with headings; its first column holds words, the others numbers."""
        self._parts += ["<table>", _row(map(html.escape, columns), "th")]
        self._parts += [_row(map(html.escape, row), "td") for row in rows]
        self._parts.append("</table>")

    def pictures(self, columns: Sequence[str], rows: Sequence[Sequence[PageTile | str]]) -> None:
        """Add rows of pictures below headings that stay in sight; a text takes the place of a missing picture.

        Raises:
            ValueError: A picture's path is absolute, and would not be found where the folder is copied to.
        """
        self._parts += ['<table class="pictures">', _row(map(html.escape, columns), "th")]
        self._parts += [_row(map(_tile, row), "td") for row in rows]
        self._parts.append("</table>")

    def html(self) -> str:
        """Return the page, to be written as UTF-8."""
        colours = " ".join(f"--{name}: rgb{colour};" for name, colour in _COLOURS.items())
        title = html.escape(self._title)
        head = [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            f"<title>{title}</title>",
            f"<style>:root {{ {colours} }}{_STYLE}</style>",
            f"<h1>{title}</h1>",
        ]
        return "\n".join([*head, *self._parts]) + "\n</html>\n"


def _row(cells: Iterable[str], kind: str) -> str:
    return "<tr>" + "".join(f"<{kind}>{cell}</{kind}>" for cell in cells) + "</tr>"


def _tile(tile: PageTile | str) -> str:
    if isinstance(tile, str):
        return f'<span class="soft">{html.escape(tile)}</span>'
    source = tile.source.as_posix()
    if source.startswith("/"):
        raise ValueError(f"source: expected a path relative to the page's folder, got {source}")
    # No name is taken for another scheme, a query or a fragment.
    source = urllib.parse.quote(source)
    crisp = ' class="crisp"' if tile.crisp else ""
    verdict = {None: "", True: ' class="good"', False: ' class="missed"'}[tile.good]
    caption, detail = html.escape(tile.caption), html.escape(tile.detail)
    return (
        f'<img loading="lazy"{crisp} src="{source}" alt="{caption}"><span{verdict}>{caption}</span>'
        f'<br><span class="soft">{detail}</span>'
    )
