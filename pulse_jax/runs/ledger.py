"""A file of JSON lines that only grows: what is in it is whole, whenever its process was killed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pulse_jax.system.json_text import parse_json

__all__ = ["Ledger"]


class Ledger:
    """Entries by their keys, kept in a file as they are added; the last of a key counts.

    Args:
        path: The file, made if missing, its folder too.
        settings: What entries depend on, JSON values by name; a file of other settings is begun anew.

    Raises:
        OSError: The file cannot be read or written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._entries: dict[str, dict[str, Any]] = {}
        head = {"settings": json.loads(json.dumps(settings))}
        path.parent.mkdir(parents=True, exist_ok=True)
        # What a killed process did not finish ends with no line end.
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
        entries = [*_objects(lines)]
        if entries[:1] == [head]:
            self._entries = {entry["key"]: entry for entry in entries[1:] if isinstance(entry.get("key"), str)}
            path.write_bytes(b"".join(line + b"\n" for line in lines))
        else:
            path.write_bytes(_line(head))

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._entries[key]

    def get(self, key: str, digest: str) -> dict[str, Any] | None:
        """Return what is known of a key, if it was found of the same bytes."""
        entry = self._entries.get(key)
        return entry if entry is not None and entry.get("digest") == digest else None

    def add(self, key: str, digest: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Keep what was found, and return it.

        Args:
            key: What it is of.
            digest: Hash of the bytes that it was found of.
            entry: JSON values by name.

        Raises:
            OSError: The disk is full or the like.
        """
        kept = {"key": key, "digest": digest, **entry}
        with open(self._path, "ab") as file:
            file.write(_line(kept))
        self._entries[key] = kept
        return kept


def _objects(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    """The entries, up to the first line that is none."""
    for line in lines:
        try:
            entry = parse_json(line)
        except ValueError:
            return
        if not isinstance(entry, dict):
            return
        yield entry


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, allow_nan=False).encode() + b"\n"
