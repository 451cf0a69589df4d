"""The page of solutions: texts stay texts, links lead nowhere else, and entries pass as they come."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from pulse_jax.reports.gallery import GalleryHead, passing
from tests.reports.browser import CHROMIUM, browser
from tests.reports.gallery_samples import NASTY, head, item, write


def _data(text):
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block.isascii() and "<" not in block
    return json.loads(block)


def test_texts_of_files_come_back_as_they_were_and_are_nowhere_markup(tmp_path):
    text = write(tmp_path, [item(0, title=NASTY, notes=[NASTY], command=NASTY)], failures=[(NASTY, NASTY)], title=NASTY)
    one = _data(text)["items"][0]
    assert one["title"] == one["notes"][0] == one["solutions"][0]["command"] == NASTY
    assert text.count("<script") == text.count("</script>") == 2 and "<img src=x" not in text
    assert "✗ 1 input could not be used" in text and not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_what_is_filled_in_is_not_filled_in_again(tmp_path):
    text = write(tmp_path, [], title="{js}{lead}{data}")
    assert "<h1>{js}{lead}{data}</h1>" in text and _data(text) == {"eps": 1e-3, "items": []}


def test_entries_pass_one_by_one_and_a_number_that_is_none_is_refused(tmp_path):
    taken = []

    def entries():
        for number in range(3):
            taken.append(number)
            yield number, item(number)

    passed = passing(tmp_path / "index.html", head(), entries())
    assert not taken and next(passed) == 0 and taken == [0] and [*passed] == [1, 2]
    bad = item(0)
    bad["solutions"][0]["downscaling_error"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        list(passing(tmp_path / "index.html", head(), [(0, bad)]))


def test_page_is_small(tmp_path):
    assert len(write(tmp_path, []).encode()) < 40_000 and isinstance(head(), GalleryHead)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("dark", [False, True])
def test_page_works_in_a_browser(tmp_path, dark):
    """No complaint, no request but for its own files; filters, sorts, keys, slider, difference and theme work."""
    items = [item(i, title=NASTY if i == 7 else f"picture {i}", plausibility=i % 5) for i in range(60)]
    text = write(tmp_path, items, failures=[(NASTY, "truncated")])
    assert text
    Image.new("RGB", (4, 4), (45, 90, 90)).save(tmp_path / "5" / "s1.png")
    focused = "document.activeElement.closest('.row')?.querySelector('h3').textContent"
    titles = "[...document.querySelectorAll('.row h3')].map(one => one.textContent)"
    with browser(tmp_path / "profile") as tab:
        tab.open(tmp_path / "index.html", dark=dark)
        paper = tab.js("getComputedStyle(document.body).backgroundColor")
        # Inputs without a feasible solution come first.
        assert tab.js(titles)[:3] == ["picture 0", "picture 3", "picture 6"]
        choose = "for (const one of [document.getElementById('{}')]) "
        choose += "{{ one.value = '{}'; one.dispatchEvent(new Event('input')) }}"
        tab.js(choose.format("sort", "listed"))
        assert tab.js(titles)[7] == NASTY and "1 input could not be used" in tab.js("document.body.innerText")
        assert tab.js("document.querySelectorAll('.row').length") < 60  # the others come as one scrolls
        tab.js("scrollTo(0, 1e7)")
        tab.wait("document.querySelectorAll('.row').length > 24")

        tab.js(choose.format("verdict", "none"))
        assert tab.js("document.getElementById('count').textContent") == "20 of 60 inputs, 40 solutions"
        tab.js(choose.format("verdict", ""))
        tab.js(choose.format("sort", "highest"))
        assert tab.js(titles)[0] == "picture 59"
        tab.js(choose.format("sort", "plausible"))
        assert tab.js(titles)[0] == "picture 4"
        tab.js(choose.format("sort", "listed"))
        tab.js(choose.format("find", "picture 5"))
        assert tab.js(titles) == ["picture 5", *(f"picture {i}" for i in range(50, 60))]

        tab.js("document.querySelector('button.tile').focus()")
        for key, code, place in [
            ("ArrowDown", 40, "picture 50"),
            ("ArrowUp", 38, "picture 5"),
            ("ArrowRight", 39, "picture 5"),
        ]:
            tab.press(key, code)
            assert tab.js(focused) == place
        tab.press("Enter", 13, "\r")
        assert tab.js("document.getElementById('dialog-title').textContent") == "picture 5: solution 2 of 2"
        tab.js("document.getElementById('cut').focus()")
        tab.press("ArrowLeft", 37)
        assert tab.js("document.getElementById('stage').style.getPropertyValue('--cut')") == "49%"
        tab.js("document.getElementById('close').focus()")
        tab.press("ArrowRight", 39)
        assert tab.js("document.getElementById('dialog-title').textContent") == "picture 5: solution 1 of 2"
        tab.js("document.getElementById('error-map').click()")
        assert tab.js("getComputedStyle(document.getElementById('b')).mixBlendMode") == "difference"
        assert tab.js("document.getElementById('b').getAttribute('src')") == "./5/d0.png"
        # The curve of the search, with a gap where an error was not finite.
        label = tab.js("document.querySelector('#curve svg').getAttribute('aria-label')")
        assert label == "Error of the search at each of its 3 looks: 0.1 at the first, 6.0e-4 at the last"
        assert tab.js("document.querySelectorAll('#curve polyline')[1].getAttribute('points').split(' ').length") == 2
        # The two solutions are 40 levels of red apart, shown four times as bright.
        tab.js("document.getElementById('free').click()")
        tab.wait("document.getElementById('spread').width === 4")
        corner = "(({x, y}) => [x + scrollX, y + scrollY])(document.getElementById('stage').getBoundingClientRect())"
        x, y = tab.js(corner)
        clip = {"x": x + 50, "y": y + 50, "width": 1, "height": 1, "scale": 1}
        shot = tab.call("Page.captureScreenshot", clip=clip)
        shown = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB").getpixel((0, 0))
        assert np.abs(np.subtract(shown, (160, 0, 0))).max() <= 1
        tab.press("Escape", 27)
        assert not tab.js("document.getElementById('dialog').open") and tab.js(focused) == "picture 5"

        tab.js("document.getElementById('theme').click()")
        assert tab.js("getComputedStyle(document.body).backgroundColor") != paper
        for width in (390, 1440):
            tab.open(tmp_path / "index.html", width=width, dark=dark)
            assert tab.js("document.documentElement.scrollWidth") <= width
        assert tab.complaints == [] and all(url.startswith("file:") for url in tab.requests)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_solutions_of_several_presets_stand_side_by_side_and_are_filtered(tmp_path):
    """As on the page of an evaluation: presets name solutions, kinds of inputs are chosen, tables stand above."""
    items = [item(i) for i in range(6)]
    for number, one in enumerate(items):
        one["group"] = ["8×", "16×"][number % 2]
        for k, solution in enumerate(one["solutions"]):
            solution |= {"preset": ["fast", "bicubic"][k], "row": 0, "latents": f"runs/{k}/solutions.npz"}
            solution["measures"] = [("PSNR [dB]", "21.5")]
    write(tmp_path, items, sections='<section aria-label="Results"><h2>Results</h2></section>')
    choose = "for (const one of [document.getElementById('{}')]) "
    choose += "{{ one.value = '{}'; one.dispatchEvent(new Event('input')) }}"
    with browser(tmp_path / "profile") as tab:
        tab.open(tmp_path / "index.html")
        assert tab.js("document.querySelector('section h2').textContent") == "Results"
        tab.js(choose.format("group", "16×"))
        assert tab.js("document.getElementById('count').textContent") == "3 of 6 inputs, 6 solutions"
        tab.js(choose.format("preset", "bicubic"))
        assert tab.js("document.getElementById('count').textContent") == "3 of 6 inputs, 3 solutions"
        tab.js("document.querySelector('button.tile').click()")
        assert tab.js("document.getElementById('dialog-title').textContent") == "picture: bicubic"
        told = tab.js("document.getElementById('dialog').innerText")
        assert "21.5" in told and "row 0 of solutions.npz" in told
        assert tab.js("[...document.querySelectorAll('#links a')].some(a => a.href.endsWith('runs/1/solutions.npz'))")
        assert not tab.complaints
