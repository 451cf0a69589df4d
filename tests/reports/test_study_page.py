"""The page on which pictures are rated: what it knows, what its policy allows, and that it works in a browser."""

import base64
import hashlib
import json
import re

import pytest
from PIL import Image

from pulse_jax.reports.study_page import study_page
from tests.reports.browser import CHROMIUM, browser
from tests.reports.gallery_samples import NASTY

STUDY = "0123456789abcdef"
PICTURES = [f"{number:08x}.png" for number in range(5)]
EXAMPLES = [{"picture": f"example_{score}_01.png", "score": score} for score in (1, 5)]


def _data(text):
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block.isascii() and "<" not in block
    return json.loads(block)


def test_the_page_knows_names_and_nothing_else():
    text = study_page(STUDY, PICTURES, EXAMPLES)
    assert _data(text) == {"study": STUDY, "pictures": PICTURES, "examples": EXAMPLES}
    assert "You will see 5 pictures," in text and not re.search(r"\{[a-z_]+\}", text.partition("<style>")[0])
    assert not re.search(r"https?:", text) and "key.json" not in text and len(text) < 40_000


def test_hostile_names_are_nowhere_markup():
    text = study_page(NASTY, [NASTY, "{js}", "{data}"], [{"picture": NASTY, "score": 5}])
    assert _data(text)["pictures"] == [NASTY, "{js}", "{data}"] and _data(text)["study"] == NASTY
    assert text.count("<script") == text.count("</script>") == 2 and "<img src=x" not in text


def test_the_policy_allows_this_style_and_script_alone_and_no_connection():
    text = study_page(STUDY, PICTURES, EXAMPLES)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "'self' file:" and "unsafe" not in policy
    for kind, tag in (("style", "style"), ("script", "script")):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"


def _begin(tab, rater):
    tab.js(f"document.getElementById('rater').value = {json.dumps(rater)}")
    tab.js("document.querySelector('#begin button').click()")


SHOWN = "['welcome', 'examples', 'rating', 'done'].filter(id => !document.getElementById(id).hidden).join()"
PICTURE = "document.getElementById('picture').getAttribute('src')"
LOADED = "document.getElementById('picture').complete && document.getElementById('picture').naturalWidth > 0"


def _rate_all(tab, scores):
    """Rate picture after picture by the keyboard, and return the pictures' names in the order shown."""
    seen = []
    for score in scores:
        tab.wait(LOADED)
        seen.append(tab.js(PICTURE).removeprefix("./"))
        tab.press(str(score), 48 + score, str(score))
    return seen


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("dark", [False, True])
def test_page_works_in_a_browser(tmp_path, dark):
    """Examples first; keys rate and lead back; ratings outlive the page, are saved, and gone on with elsewhere."""
    home, saved = tmp_path / "rate", tmp_path / "saved"
    home.mkdir()
    saved.mkdir()
    for number, name in enumerate([*PICTURES, *(one["picture"] for one in EXAMPLES)]):
        Image.new("RGB", (16, 16), (30 * number, 90, 90)).save(home / name)
    page = home / "index.html"
    page.write_text(study_page(STUDY, PICTURES, EXAMPLES), encoding="utf-8")
    with browser(tmp_path / "profile") as tab:
        tab.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
        tab.open(page, dark=dark)
        assert tab.js(SHOWN) == "welcome"
        _begin(tab, "  ")
        assert tab.js(SHOWN) == "welcome"
        _begin(tab, NASTY)
        assert tab.js(SHOWN) == "examples"
        tab.wait("[...document.querySelectorAll('#examples img')].every(one => one.naturalWidth > 0)")
        tab.press("3", 51, "3")
        tab.js("document.getElementById('rate-now').click()")
        assert tab.js(SHOWN) == "rating" and NASTY not in tab.js("document.body.innerHTML")
        first = _rate_all(tab, [5, 4])
        tab.press("ArrowLeft", 37)
        assert tab.js(PICTURE) == f"./{first[1]}"
        assert tab.js("document.querySelector('#scores [aria-pressed=true]').textContent") == "4"
        tab.wait(LOADED)
        tab.press("2", 50, "2")
        tab.press("6", 54, "6")
        assert tab.js("document.getElementById('count').textContent") == "Picture 3 of 5 · 2 rated"

        tab.open(page, dark=dark)  # as though closed and opened again
        assert tab.js(SHOWN) == "rating"
        seen = first + _rate_all(tab, [1, 2, 3])
        assert tab.js(SHOWN) == "done" and sorted(seen) == PICTURES
        tab.js("document.getElementById('save-now').click()")
        (file,) = _downloaded(tab, saved)
        told = json.loads(file.read_text(encoding="utf-8"))
        assert told == {
            "program": "pulse-jax",
            "format": 1,
            "study": STUDY,
            "rater": NASTY,
            "ratings": [{"picture": name, "score": score} for name, score in zip(seen, [5, 2, 1, 2, 3], strict=True)],
        }

        # Another rater sees another order; a file leads back to the first, and strange files to nothing.
        tab.js("document.getElementById('another').click()")
        _begin(tab, "Bob")
        tab.js("document.getElementById('rate-now').click()")
        assert _rate_all(tab, [1] * 5) != seen
        tab.js("localStorage.clear()")
        strange = [{"picture": "../../x.png", "score": 5}, {"picture": seen[2], "score": 9}, None]
        told["ratings"] = [*told["ratings"][:2], *strange]
        file.write_text(json.dumps(told))
        tab.open(page, dark=dark)
        (tmp_path / "strange.json").write_text("[")
        _load(tab, tmp_path / "strange.json")
        tab.wait("!document.getElementById('warning').hidden")
        assert tab.js(SHOWN) == "welcome"
        _load(tab, file)
        tab.wait("!document.getElementById('rating').hidden")
        assert tab.js("document.getElementById('count').textContent") == "Picture 3 of 5 · 2 rated"
        assert tab.js("document.getElementById('warning').hidden") and tab.js(PICTURE) == f"./{seen[2]}"

        paper = tab.js("getComputedStyle(document.body).backgroundColor")
        tab.js("document.getElementById('theme').click()")
        assert tab.js("getComputedStyle(document.body).backgroundColor") != paper
        for width in (390, 1440):
            tab.open(page, width=width, dark=dark)
            tab.wait(LOADED)
            assert tab.js("document.documentElement.scrollWidth") <= width
            assert tab.js("document.querySelector('#next').getBoundingClientRect().bottom <= innerHeight")
        assert tab.complaints == [] and all(url.startswith(("file:", "blob:")) for url in tab.requests)


def _downloaded(tab, folder):
    for _ in range(500):
        files = [file for file in folder.iterdir() if file.suffix == ".json"]
        if files:
            return files
        tab.js("new Promise(done => setTimeout(done, 20))")
    raise AssertionError("nothing was saved")


def _load(tab, file):
    found = tab.call("Runtime.evaluate", expression="document.getElementById('load')")["result"]["objectId"]
    tab.call("DOM.setFileInputFiles", files=[str(file)], objectId=found)
