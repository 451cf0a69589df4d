"""The page in a real browser, over a real server: what visitors meet, from the upload to the download."""

import contextlib
import importlib.util
import json
import signal
import time
import urllib.error
import urllib.request
import zipfile

import numpy as np
import pytest

from pulse_jax.images.files import save_png
from pulse_jax.web.server import MAX_UPLOAD
from tests.layers import PACKAGE
from tests.reports.browser import CHROMIUM, browser
from tests.web.running import Server
from tests.web.test_jobs import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs Gradio"),
]
HEAD = PACKAGE / "data" / "demo" / "head_1.png"
_ALL_DRAWN = (
    "(parts => parts.length > 1 && parts.every(one => one.naturalWidth))([...document.querySelectorAll('PART')])"
)
HOSTILE = "<img src=x onerror=alert(1)>&amp;.png"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("serve"))
    yield running
    if running.process.poll() is None:
        running.end()
    running.trap.close()


@pytest.fixture
def visit(server, tmp_path_factory):
    with contextlib.ExitStack() as stack:

        def open_page(where="", **screen):
            tab = stack.enter_context(browser(tmp_path_factory.mktemp("profile")))
            tab.visit(f"{server.address}/{where}", **screen)
            tab.wait(
                "!!document.querySelector('#solve') && document.querySelectorAll('#examples button').length === 8", 60
            )
            return tab

        yield open_page


def upload(tab, path):
    root = tab.call("DOM.getDocument")["root"]["nodeId"]
    node = tab.call("DOM.querySelector", nodeId=root, selector="#picture input[type=file]")["nodeId"]
    tab.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)


def put(tab, label, value):
    """Type a value into the field with this label."""
    tab.js(
        f"""(() => {{ const field = [...document.querySelectorAll('input, textarea')].find(one =>
        (one.getAttribute('aria-label') || '').includes({json.dumps(label)})
        || one.closest('label, .block')?.textContent.trim().startsWith({json.dumps(label)}));
        field.value = {json.dumps(value)};
        ['input', 'change', 'blur'].forEach(kind => field.dispatchEvent(new Event(kind, {{bubbles: true}}))); }})()"""
    )


def press(tab, part):
    tab.wait(f"document.querySelector('{part}') && !document.querySelector('{part}').disabled")
    tab.js(f"document.querySelector('{part}').click()")


def stands(tab, state, seconds=180.0):
    tab.wait(f"!!document.querySelector('.standing.{state}')", seconds)


def text(tab, part):
    return tab.js(f"document.querySelector('{part}').innerText")


def run_of(tab):
    tab.wait("location.search.startsWith('?run=')")
    return tab.js("new URLSearchParams(location.search).get('run')")


def test_from_the_upload_to_the_download(server, visit, tmp_path):
    picture = tmp_path / HOSTILE
    picture.write_bytes(HEAD.read_bytes())
    tab = visit()
    upload(tab, picture)
    tab.wait("document.body.innerText.includes('8 × 8 pixels')")
    press(tab, "#solve")
    stands(tab, "finished")
    tab.wait("document.querySelectorAll('#gallery .thumbnail-item img').length === 4")
    captions = tab.js("[...document.querySelectorAll('#gallery .caption-label')].map(one => one.innerText)")
    assert all(one.split("\n")[0] in ("✓ feasible", "✗ missed") and "plausible" in one for one in captions)
    tab.wait(_ALL_DRAWN.replace("PART", "#slider img"))
    tab.js("document.querySelectorAll('#gallery .thumbnail-item')[2].click()")
    tab.wait("document.querySelector('.known').innerText.includes('3 of 4')")
    for number, part in ((1, "#unseen img"), (2, "#way img")):
        tab.js(f"document.querySelectorAll('[role=tab]')[{number}].click()")
        tab.wait(f"document.querySelector('{part}')?.naturalWidth > 0", 60)
    assert "way from solution 1 to solution 2" in text(tab, "body")
    tab.js("document.querySelectorAll('[role=tab]')[3].click()")
    tab.wait("!!document.querySelector('#links a')")
    until(lambda: [*server.output.glob("*/run.zip")])
    page, latents = tab.js("[...document.querySelectorAll('#links a')].map(one => one.href)")
    assert tab.js(f"fetch({json.dumps(latents)}).then(answer => answer.status)") == 200
    run = run_of(tab)
    for name in ("../request.json", "summary.json", "%2e%2e/request.json"):
        assert tab.js(f"fetch({json.dumps(f'{server.address}/runs/{run}/run/{name}')}).then(one => one.status)") == 404
    with zipfile.ZipFile(server.output / run / "run.zip") as archive:
        assert "pulse/index.html" in archive.namelist()
    tab.complaints.clear()  # of what was refused just now
    tab.visit(page)
    tab.wait(_ALL_DRAWN.replace("PART", ".tile img"))
    # The same address shows the same request to whoever has it, on any screen, without a sideways scroll.
    for screen in ({"width": 390, "height": 844}, {"dark": True}):
        tab.visit(f"{server.address}/?run={run}", **screen)
        stands(tab, "finished")
        tab.wait("document.querySelectorAll('#gallery img').length === 4")
        assert tab.js("document.documentElement.scrollWidth") <= screen.get("width", 1440)
    assert not tab.complaints and not tab.js("!!document.querySelector('img[src=x]')")
    assert {address.split("/")[2] for address in tab.requests if address.startswith("http")} == {
        server.address.split("/")[2]
    }


def test_bad_files_are_told_and_nothing_is_asked_for(server, visit, tmp_path):
    before = len([*server.output.glob("*/request.json")])
    tab = visit()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"<svg onload=alert(1)>")
    upload(tab, bad)
    tab.wait("document.body.innerText.includes('bad.png: this is a file of another format (XML or web)')")
    press(tab, "#solve")
    stands(tab, "failed")
    assert "another format" in text(tab, ".standing") and str(server.output) not in text(tab, ".standing")
    large = tmp_path / "large.png"
    with open(large, "wb") as file:
        file.truncate(MAX_UPLOAD + 1)
    tab = visit()
    upload(tab, large)
    tab.wait("/too large|maximum|exceed/i.test(document.body.innerText)", 60)
    tab = visit()
    press(tab, "#solve")
    tab.wait("document.body.innerText.includes('no picture: upload one, or choose an example')")
    assert len([*server.output.glob("*/request.json")]) == before + 1


def test_two_visitors_take_turns_and_stopping_keeps_what_is_there(server, visit):
    one, other = visit(), visit()
    for tab, restarts in ((one, "32"), (other, "2")):
        tab.js("document.querySelectorAll('#examples button')[1].click()")
        tab.wait("document.body.innerText.includes('8 × 8 pixels')")
        put(tab, "Restarts", restarts)
        put(tab, "ε", "1e-5")  # which takes all steps
        press(tab, "#solve")
        stands(tab, "running" if tab is one else "waiting")
    assert "1 request before yours" in text(other, ".standing")
    press(other, "#stop")
    stands(other, "stopped")
    assert "Stopped before it began" in text(other, ".standing")
    one.wait("document.querySelectorAll('#gallery .thumbnail-item').length >= 2", 180)
    press(one, "#stop")
    stands(one, "stopped", 60)
    assert "What they found is kept" in text(one, ".standing")
    result = server.output / run_of(one) / "stopped" / "head_2" / "solutions.json"
    assert 2 <= len(json.loads(result.read_text())["solutions"]) < 32
    press(other, "#go-on")
    stands(other, "finished")


def test_a_killed_server_goes_on_with_what_it_had(server, visit, tmp_path):
    tab = visit()
    upload(tab, HEAD)
    tab.wait("document.body.innerText.includes('8 × 8 pixels')")
    put(tab, "Restarts", "8")
    put(tab, "ε", "1e-5")
    press(tab, "#solve")
    tab.wait("document.querySelectorAll('#gallery .thumbnail-item').length >= 1", 180)
    run = run_of(tab)
    server.end(signal.SIGKILL)
    assert not (server.output / run / "run" / "head_1").exists()
    server.start()
    tab = visit(f"?run={run}")
    stands(tab, "finished")
    assert len(json.loads((server.output / run / "run" / "head_1" / "solutions.json").read_text())["solutions"]) == 8


def test_programs_call_the_same_functions(server):
    from gradio_client import Client, handle_file

    with contextlib.closing(Client(server.address, verbose=False)) as client:
        run = client.predict(handle_file(HEAD), "Centre square", "automatic", "fast", 2, "", 0, api_name="/submit")
        *_, (standing, gallery) = client.submit(run, api_name="/follow")
        assert "Finished" in standing and len(gallery) == 2
        result = client.predict(run, api_name="/result")
        assert result["state"] == "finished" and len(result["solutions"]) == 2
        _, words = client.predict(run, 2, 1, 24, api_name="/between")
        assert words.startswith("100 % of the way from solution 2 to solution 1: ")
        pictures, _ = client.predict(run=run, number=2, api_name="/compare")
        assert len(pictures) == 2
        with pytest.raises(Exception, match="solution: expected 1 to 2, got 3"):
            client.predict(run, 3, api_name="/compare")
        with zipfile.ZipFile(client.predict(run, api_name="/archive")) as archive:
            assert "pulse/head_1/solution_02.png" in archive.namelist()
        if all(entry["feasible"] for entry in result["solutions"]):
            _, words = client.predict(run, api_name="/unseen")
            assert "2 feasible solutions differ" in words
        for preset, eps in (("<b>", ""), ("fast", "nan")):
            with pytest.raises(Exception, match=r"expected|not in the list of choices"):
                client.predict(handle_file(HEAD), "Centre square", "automatic", preset, 1, eps, 0, api_name="/submit")
    # By hand, since the client sends files of its own in place of these: neither the server's files, nor what others
    # have, nor what it would have to fetch.
    before = {*server.output.iterdir()}
    for path in ("/etc/passwd", str(server.output / run / "request.json"), "http://127.0.0.1:1/a.png"):
        for more in ({}, {"url": path}, {"is_stream": True}):
            given = {"path": path, **more, "meta": {"_type": "gradio.FileData"}}
            rest = ["Centre square", "automatic", "fast", 1, "", 0]
            for name, data in (("submit", [given, *rest]), ("compare", [given, 1]), ("stop", [given])):
                assert "event: error" in called(server, name, data), (name, given)
    assert {*server.output.iterdir()} == before and not [*server.output.glob("uploads/**/passwd")]
    for place in ("http://127.0.0.1:1/a", "/etc/passwd", f"{server.output}/../log.txt", "etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.address}/gradio_api/file={place}")
        assert refused.value.code == 404
        refused.value.close()
    assert not server.asked_somebody()


def called(server, name, data):
    """What the server answers to a call that no client has checked."""
    place = f"{server.address}/gradio_api/call/{name}"
    asked = urllib.request.Request(place, json.dumps({"data": data}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{place}/{event}") as answer:
        return answer.read().decode()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "evil.example:7860"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_strangers_page_can_neither_take_this_name_nor_ask_for_anything(server, headers, code):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{server.address}/gradio_api/upload", b"", headers))
    assert refused.value.code == code
    refused.value.close()


def test_a_picture_that_no_face_looks_like_is_told_with_what_may_help(server, visit, tmp_path):
    blocks = np.random.default_rng(0).integers(0, 2, (8, 8, 3)).astype(float)
    save_png(tmp_path / "wide.png", np.pad(np.kron(blocks, np.ones((15, 15, 1))), ((0, 0), (5, 5), (0, 0))))
    tab = visit()
    upload(tab, tmp_path / "wide.png")
    tab.wait("document.body.innerText.includes('130 × 120 pixels')")
    put(tab, "Restarts", "1")
    press(tab, "#solve")
    stands(tab, "finished")
    told = text(tab, ".standing")
    assert (
        "0 of 1 solutions are feasible" in told and "cropped from 130x120" in told and "the embedded one draws" in told
    )


def test_nothing_was_written_elsewhere_and_nobody_asked(server):
    time.sleep(1)
    assert server.end() == 0
    assert server.written("work") == server.written("temporary") == []
    assert {name.split("/")[1] for name in server.written("home")} <= {"pulse-jax"}
    assert not server.asked_somebody()
    told = (server.place / "log.txt").read_text()
    assert f"{PACKAGE.name}/" not in told, told  # faults of Gradio's own checks are none
