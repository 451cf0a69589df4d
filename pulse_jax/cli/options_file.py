"""Options in a TOML file: read into words of the command line, and written so that a run can be repeated."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from pulse_jax.cli.words import given_options, unknown_option
from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import printable, reason_of

__all__ = ["expanded", "options_text"]

_LIMIT = 2**20
# Which file this is, where results go and who searches is said anew each time; overwriting is not repeated unasked.
_NOT_REPEATED = ("config", "output", "overwrite", "quiet", "ray")


def expanded(options: type, words: Sequence[str]) -> list[str]:
    """Return the words after a command's name with those of the file of `--config`, where that is given, before them.

    What is given beside the file counts instead of what the file says.

    Args:
        options: Dataclass of the command's options.
        words: The words.

    Raises:
        UsageError: The file cannot be read, or is not one of the command's options.
    """
    given = list(given_options(options, words))
    files = [one.values for one in given if one.name == "config"]
    if not files or not files[-1]:
        return list(words)
    path = Path(files[-1][0])
    name, known = printable(path), {field.name: field for field in fields(options)}
    beside = {one.name for one in given}
    found: list[str] = []
    for key, value in _read(path, name).items():
        field = known.get(key.replace("-", "_"))
        if field is None:
            raise unknown_option(options, f"--{key}")
        values = value if isinstance(value, list) else [value]
        if any(isinstance(one, dict | list) for one in values):
            raise UsageError(f"{name}: {printable(key)}: expected a value or a list of values, got a table or deeper")
        is_positional = field.name == "inputs"
        if field.name in beside or (is_positional and "" in beside):
            continue
        if isinstance(field.default, bool):
            if not isinstance(value, bool):
                raise UsageError(f"{name}: {printable(key)}: expected true or false, got {printable(value)!r}")
            found += [f"--{key}"] if value else []
        else:
            found += ([] if is_positional else [f"--{key}"]) + [str(one) for one in values]
    # Names of files first: what follows a flag of many values would belong to it.
    return [*found, *words] if "" not in beside else [*words, *found]


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LIMIT:
            raise UsageError(f"{name}: expected a TOML file of options, got one larger than a megabyte")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {name}: cannot be read ({reason_of(error)})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--config {name}: not a TOML file ({reason_of(error)})") from error


def options_text(command: str, options: Any) -> str:
    """Return a TOML file of the options that are other than by default, which repeats the command.

    Args:
        command: Name of the command.
        options: Its options.
    """
    lines = [f"# pulse-jax {command} --config run.toml --output another-folder"]
    for field in fields(options):
        value = getattr(options, field.name)
        is_default = field.default is not MISSING and value == field.default
        if field.name not in _NOT_REPEATED and not is_default:
            lines.append(f"{field.name.replace('_', '-')} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, Path):
        return _toml(str(value.absolute()))
    if isinstance(value, str):
        # JSON's strings are TOML's, but for a character that TOML escapes besides.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
