"""Pages: they parse, show every picture and every text as it is, and load nothing from elsewhere."""

import html.parser
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

import pytest

from pulse_jax.reports.page import Page, PageTile

NASTY = """<script>alert("&amp;'")</script>"""
VOID = {"meta", "img", "br"}


class Reader(html.parser.HTMLParser):
    """What a page shows: texts, pictures, and whether every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.pictures = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))
        for name, value in attrs:
            assert name != "href" and not name.startswith("on"), f"{name}={value}"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())


def test_a_page_shows_what_it_was_given_in_order():
    page = Page("A title")
    page.paragraph("First.")
    page.heading("A heading")
    page.table(["", "error"], [["pulse", "0.5"], ["nearest", "0.7"]])
    tiles = [PageTile(PurePath("in", "a.png"), "a", "8 x 8", crisp=True), PageTile(PurePath("b.png"), "ok", "", True)]
    page.pictures(["input", "result", "other"], [[*tiles, "not yet"]])
    read = Reader(page.html())
    assert not read.open
    shown = ["A title", "A title", "First.", "A heading", "error", "pulse", "0.5", "nearest", "0.7"]
    assert read.texts == [*shown, "input", "result", "other", "a", "8 x 8", "ok", "not yet"]
    assert [picture["src"] for picture in read.pictures] == ["in/a.png", "b.png"]
    assert [picture.get("class") for picture in read.pictures] == ["crisp", None]
    assert 'class="good">ok<' in page.html() and "missed" not in page.html().partition("</style>")[2]


def test_any_text_is_shown_and_never_run():
    page = Page(NASTY)
    page.heading(NASTY)
    page.paragraph(NASTY)
    page.table([NASTY], [[NASTY]])
    page.pictures([NASTY], [[PageTile(PurePath("a.png"), NASTY, NASTY)], [NASTY]])
    read = Reader(page.html())
    assert "script" not in read.tags
    assert read.texts == [NASTY] * len(read.texts) and len(read.texts) == 10
    assert [picture["alt"] for picture in read.pictures] == [NASTY]


@pytest.mark.parametrize(
    "name", ["a b.png", "100%.png", "x?y#z.png", 'q"uote.png', "https://example.org/x.png", "javascript:x", "ü字.png"]
)
def test_a_picture_is_found_whatever_its_name(name):
    page = Page("t")
    page.pictures(["p"], [[PageTile(PurePath(name))]])
    (picture,) = Reader(page.html()).pictures
    source = urlsplit(picture["src"])
    assert not source.scheme and not source.netloc and not source.query and not source.fragment
    assert unquote(source.path) == PurePath(name).as_posix()


@pytest.mark.parametrize("path", ["/etc/a.png", "//example.org/a.png"])
def test_pictures_elsewhere_are_refused(path):
    with pytest.raises(ValueError, match="expected a path relative to the page's folder"):
        Page("t").pictures(["p"], [[PageTile(PurePath(path))]])


def test_nothing_is_loaded_but_pictures_beside_the_page():
    page = Page("t")
    page.pictures(["p"], [[PageTile(PurePath("a.png"))]])
    text = page.html()
    assert set(Reader(text).tags) == {
        "html",
        "meta",
        "title",
        "style",
        "h1",
        "table",
        "tr",
        "th",
        "td",
        "img",
        "span",
        "br",
    }
    assert "url(" not in text and "@import" not in text and "//" not in text
