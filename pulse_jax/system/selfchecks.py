"""When this program last passed its own check, by kind of device and versions; a file of the user's."""

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

import jax
import platformdirs

from pulse_jax.system.devices import kind_of_device, versions
from pulse_jax.system.files import write_whole
from pulse_jax.system.json_text import parse_json

__all__ = ["last_passed", "note_outcome"]


def _file() -> Path:
    return platformdirs.user_state_path("pulse-jax", appauthor=False) / "selfchecks.json"


def _what_computes() -> str:
    named = (f"{name} {version}" for name, version in versions().items())
    return ", ".join([kind_of_device(jax.local_devices()[0]), *named])


def _passed() -> dict[str, str]:
    """Times by what computed; nothing where the file is missing or is none of ours."""
    try:
        stored = parse_json(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    pairs = stored.items() if isinstance(stored, dict) else ()
    return {what: time for what, time in pairs if isinstance(time, str)}


def last_passed() -> str | None:
    """Return when the check last passed on this kind of device with these versions, in ISO 8601; None if never."""
    return _passed().get(_what_computes())


def note_outcome(*, passed: bool) -> None:
    """Write down that the check has passed now, or that it no longer does; where nothing can be written, nothing is."""
    times = _passed()
    times.pop(_what_computes(), None)
    if passed:
        times[_what_computes()] = datetime.now(UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(), lambda file: file.write(json.dumps(times, indent=1).encode()))
