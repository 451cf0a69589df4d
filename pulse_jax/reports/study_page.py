"""A page on which people rate pictures that they know nothing of, as for a mean opinion score.

One file, `data/study/` filled in, that loads nothing but the pictures beside it; it knows their names and no more of
them. Its policy allows its own style and script by their hashes, and no connection.
"""

import base64
import hashlib
import html
from collections.abc import Sequence
from typing import TypedDict

from pulse_jax.reports.templates import asset, replaced, script_json

__all__ = ["StudyExample", "study_page"]


class StudyExample(TypedDict):
    """A picture that raters see before they begin, and which score it shows: 1 or 5."""

    picture: str
    score: int


def study_page(study: str, pictures: Sequence[str], examples: Sequence[StudyExample]) -> str:
    """Return the page, to be written as UTF-8.

    Args:
        study: What tells this study from others; it goes into every file that the page saves.
        pictures: Names of the pictures that are rated, files beside the page. Every rater sees them in an order of
            their own, which their name and the study decide.
        examples: What is seen first; may be empty.
    """
    css = f"\n{asset('page/page.css')}{asset('study/study.css')}"
    js = f"\n{asset('study/study.js')}"
    count = f"{len(pictures):,} picture{'' if len(pictures) == 1 else 's'}"
    filled = {
        "{title}": "Rate pictures",
        "{count}": html.escape(count),
        "{css}": css,
        "{css_hash}": _hash(css),
        "{js}": js,
        "{js_hash}": _hash(js),
        "{data}": script_json({"study": study, "pictures": [*pictures], "examples": [*examples]}),
    }
    return replaced(asset("study/study.html"), filled)


def _hash(text: str) -> str:
    """What a content security policy calls an inline script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
