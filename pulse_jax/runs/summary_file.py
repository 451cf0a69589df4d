"""The file `summary.json` of a folder: reading and writing it."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pulse_jax.runs.formats import FORMAT
from pulse_jax.system.json_text import json_text, parse_json

__all__ = ["SUMMARY_FILE", "can_go_on", "read_summary", "write_summary"]

SUMMARY_FILE = "summary.json"
"""What it is called."""
_PROGRAM = "pulse-jax"
_LIMIT = 4 * 2**30


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary of the run that a folder holds, or None: no run of this program wrote it.

    Args:
        folder: Folder of a run.
    """
    file = folder / SUMMARY_FILE
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _LIMIT:
            return None
        summary = parse_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    if isinstance(summary, dict) and summary.get("program") == _PROGRAM and isinstance(summary.get("files"), list):
        return summary
    return None


def can_go_on(summary: Mapping[str, Any]) -> bool:
    """Return whether a summary is a run's of this program's format, finished or not."""
    # One without a number was written before there was any.
    is_run = isinstance(summary.get("finished"), bool) and isinstance(summary.get("settings"), dict)
    return is_run and summary.get("format", FORMAT) == FORMAT


def write_summary(
    folder: Path,
    summary: Mapping[str, Any],
    files: Sequence[str],
    *,
    inputs: Iterable[Mapping[str, Any]] = (),
    replaced: Sequence[str] | None = None,
) -> None:
    """Write the summary of a run.

    Args:
        folder: Folder to write it into.
        summary: Its entries; `inputs` among them, if it is an empty list, is filled with `inputs`.
        files: Every file of the run.
        inputs: Entries that are read and written one by one, so that many need no memory.
        replaced: What is still to be removed of an earlier run; None where there is none.

    Raises:
        OSError: The disk is full or the like.
    """
    more = {"files": files} | ({} if replaced is None else {"replaced": replaced})
    text = json_text({"program": _PROGRAM, "format": FORMAT, **summary, **more})
    head, empty, tail = text.partition('\n "inputs": []')
    with open(folder / SUMMARY_FILE, "w", encoding="utf-8") as file:
        file.write(head)
        for number, entry in enumerate(inputs):
            file.write(",\n" if number else '\n "inputs": [\n')
            file.write(textwrap.indent(json_text(entry), "  "))
            empty = "\n ]"
        file.write(f"{empty}{tail}\n")
