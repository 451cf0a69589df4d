"""The file of JSON lines: entries come back, unfinished lines and other settings do not."""

from pulse_jax.runs.ledger import Ledger


def test_entries_come_back_by_key_and_digest(tmp_path):
    file = tmp_path / "folder" / "one.jsonl"
    ledger = Ledger(file, {"weights": None})
    assert ledger.add("a", "1", {"value": 3}) == {"key": "a", "digest": "1", "value": 3}
    ledger.add("b", "2", {"value": 4})
    ledger.add("a", "3", {"value": 5})
    again = Ledger(file, {"weights": None})
    assert again["a"]["value"] == 5 and again.get("b", "2") == ledger["b"]
    assert again.get("b", "3") is None and again.get("c", "1") is None


def test_a_line_that_a_killed_process_left_is_dropped(tmp_path):
    file = tmp_path / "one.jsonl"
    Ledger(file, {}).add("a", "1", {})
    with open(file, "ab") as written:
        written.write(b'{"key": "b", "dig')
    ledger = Ledger(file, {})
    assert ledger.get("a", "1") and ledger.get("b", "2") is None
    ledger.add("b", "2", {})
    assert Ledger(file, {}).get("b", "2")


def test_other_settings_begin_anew(tmp_path):
    file = tmp_path / "one.jsonl"
    Ledger(file, {"weights": None}).add("a", "1", {})
    assert Ledger(file, {"weights": "abc"}).get("a", "1") is None
    file.write_bytes(b"[1]\nnonsense\n")
    assert Ledger(file, {}).get("a", "1") is None and file.read_bytes() == b'{"settings": {}}\n'
