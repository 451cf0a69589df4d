"""The page of a run, `index.html`: of whole runs, of those that go on, of what failed, never over somebody's own."""

import json
import re

import pytest

from tests.cli.fake_engine import draw, run, summary_of


def page_of(out):
    """The page's text, and the data in it."""
    text = (out / "index.html").read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return text, json.loads(block)


@pytest.mark.parametrize("words", [[], ["--no-sheets"]], ids=["sheets", "plain"])
def test_a_run_ends_with_a_page_of_all_its_files(fake, inputs, tmp_path, capsys, words):
    hostile = "<img src=x onerror=alert(1)>\u2028\"'.png"
    draw(inputs / hostile, seed=1)
    draw(inputs / "b.png", seed=2)
    (inputs / "<b>bad.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert run("upsample", inputs, "--output", out, "--restarts", 2, *words) == 1
    text, data = page_of(out)
    assert "<img src=x" not in text and "\u2028" not in text and "&lt;b&gt;bad.png" in text and "<b>bad" not in text
    assert "1 input could not be used" in text and "index.html" in capsys.readouterr().out
    assert data["eps"] == summary_of(out)["config"]["eps"]
    for item, record in zip(data["items"], summary_of(out)["inputs"], strict=True):
        paths = [item["solved"], item["latents"], *([item["sheet"]] if item["sheet"] else [])]
        paths += [one[key] for one in item["solutions"] for key in ("image", "downscaled")]
        assert all((out / path).is_file() for path in paths) and len(item["solutions"]) == 2
        for one, entry in zip(item["solutions"], record["solutions"], strict=True):
            assert {key: entry[key] for key in one} == one and one["command"].startswith("pulse-jax upsample ")


def test_the_page_goes_with_the_run_and_is_never_written_over_somebody_elses(fake, inputs, tmp_path, capsys):
    draw(inputs / "a.png", seed=1)
    out = tmp_path / "out"
    words = ["upsample", inputs, "--output", out]
    assert run(*words) == 0
    assert len(page_of(out)[1]["items"]) == 1 and "index.html" in summary_of(out)["files"]
    draw(inputs / "b.png", seed=2)
    assert run(*words) == 0
    assert len(page_of(out)[1]["items"]) == 2
    # As an earlier version left it, and somebody then put a page of their own there.
    summary = summary_of(out)
    (out / "summary.json").write_text(json.dumps(summary | {"files": [*filter("index.html".__ne__, summary["files"])]}))
    (out / "index.html").write_text("mine")
    draw(inputs / "c.png", seed=3)
    assert run(*words) == 2 and "in the way" in capsys.readouterr().err
    assert (out / "index.html").read_text() == "mine" and not (out / "c").exists()


def test_the_page_of_a_demo_shows_the_originals(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "package" / "data" / "demo" / "head.png", 4, 0)
    truth = draw(tmp_path / "package" / "data" / "demo" / "truth" / "head.png", 16, 0)
    assert truth is not None and run("demo", "--restarts", 1) == 0
    (item,) = page_of(tmp_path / "pulse-demo")[1]["items"]
    assert item["original"] == "head/original.png" and (tmp_path / "pulse-demo" / item["original"]).is_file()
    assert item["original"] in summary_of(tmp_path / "pulse-demo")["files"]
