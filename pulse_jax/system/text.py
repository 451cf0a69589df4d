"""One printable line each: paths, reasons, durations, errors, differences of settings."""

import difflib
import json
import math
from collections.abc import Iterable
from typing import Any

__all__ = ["differences", "duration", "meant", "pace", "printable", "reason_of", "short"]


def differences(earlier: Any, now: Any, name: str = "") -> list[str]:
    """Return in words what differs between two JSON values, `config.eps was 0.001, is 0.002`.

    Args:
        earlier: Value from before.
        now: Value of now.
        name: What both are called; entries of a dictionary add their keys to it.
    """
    if isinstance(earlier, dict) and isinstance(now, dict):
        keys = {**earlier, **now}
        return [
            told
            for key in keys
            for told in differences(earlier.get(key), now.get(key), f"{name}.{key}" if name else key)
        ]
    return [] if earlier == now else [f"{name} was {_brief(earlier)}, is {_brief(now)}"]


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: object, limit: int = 200) -> str:
    """Return a text on one line, with control, format and undecodable characters escaped as `repr` does.

    Args:
        text: Anything that `str` takes.
        limit: Characters at most; what is longer loses its middle, and an ellipsis stands there.
    """
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
    if len(line) > limit:
        head = limit // 2
        line = f"{line[:head]}…{line[len(line) - (limit - head - 1) :]}"
    return line


def reason_of(error: Exception) -> str:
    """Return why an error came, in one short printable line without the file's name."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return printable(text, 120)


def meant(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean NAME?` where one of the known names is close to a word, else nothing."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def duration(seconds: float) -> str:
    """Return seconds as a person says them: 8 s, 4 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def pace(steps_per_second: float) -> str:
    """Return a speed as a person reads it: 210 steps/s, 4.2 steps/s; of slow networks 12 s/step."""
    if steps_per_second < 1:
        return f"{1 / steps_per_second:.2g} s/step"
    return f"{steps_per_second:.{0 if steps_per_second >= 10 else 1}f} steps/s"


def short(error: float, limit: float | None = None) -> str:
    """Return an error in two digits, 8.7e-4; `no number` if it is not finite.

    Args:
        error: The error.
        limit: What it is held against: as many digits are given as it takes to see on which side of it the error is.
    """
    if not math.isfinite(error):
        return "no number"
    if error == 0:
        return "0"
    digits = 1
    while limit is not None and digits < 8 and (float(f"{error:.{digits}e}") <= limit) != (error <= limit):
        digits += 1
    mantissa, exponent = f"{error:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
