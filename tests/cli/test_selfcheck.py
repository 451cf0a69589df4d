"""`selfcheck`: a line for each promise, an exit code, and a note of when it passed."""

import json
from datetime import UTC, datetime

import pytest

from pulse_jax.cli import generators, selfcheck
from pulse_jax.engine.selfcheck import Finding
from pulse_jax.system import selfchecks
from tests.cli.fake_engine import draw, run, summary_of


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "pulse-jax" / "selfchecks.json"


def check(monkeypatch, *passed):
    findings = [Finding(f"promise{number}", ok, "seen") for number, ok in enumerate(passed)]
    monkeypatch.setattr(generators, "open_generator", lambda folder: None)
    monkeypatch.setattr(selfcheck, "self_check", lambda generator: iter(findings))
    return run("selfcheck")


def test_a_line_for_each_promise_and_an_exit_code(monkeypatch, capsys):
    assert selfchecks.last_passed() is None
    assert check(monkeypatch, True, True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("device        cpu") and lines[-1] == "All is as promised."
    assert lines[1:3] == ["promise0      seen: ok", "promise1      seen: ok"]
    passed = datetime.fromisoformat(selfchecks.last_passed())
    assert abs((datetime.now(UTC) - passed).total_seconds()) < 60
    assert check(monkeypatch, True, False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "promise1      seen: NOT AS PROMISED" and lines[-1].startswith("Not all is as promised")
    assert selfchecks.last_passed() is None


def test_other_devices_and_versions_are_others(monkeypatch, home):
    assert check(monkeypatch, True) == 0
    monkeypatch.setattr(selfchecks, "kind_of_device", lambda device: "gpu NVIDIA")
    assert selfchecks.last_passed() is None
    assert check(monkeypatch, True) == 0
    assert len(json.loads(home.read_text())) == 2


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', "[" * 100_000, "\xff"])
def test_a_damaged_note_is_no_note(monkeypatch, home, text):
    home.parent.mkdir(parents=True)
    home.write_bytes(text.encode("latin-1"))
    assert selfchecks.last_passed() is None
    assert check(monkeypatch, True) == 0
    assert selfchecks.last_passed() is not None


def test_where_nothing_can_be_written_the_check_is_still_one(monkeypatch, home):
    home.parent.parent.write_text("a file where the folder should be")
    assert check(monkeypatch, True) == 0
    assert selfchecks.last_passed() is None


def test_the_summary_says_when_it_last_passed(fake, monkeypatch, inputs, tmp_path):
    draw(inputs / "a.png")
    assert run("upsample", inputs, "--output", tmp_path / "before") == 0
    selfchecks.note_outcome(passed=True)
    assert run("upsample", inputs, "--output", tmp_path / "after") == 0
    assert summary_of(tmp_path / "before")["selfcheck"] is None
    assert summary_of(tmp_path / "after")["selfcheck"] == selfchecks.last_passed()
