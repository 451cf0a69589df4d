"""The words of a command line before they are parsed: what cannot be meant is told in one line, and what may be."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import Field, fields
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import meant, printable

__all__ = ["Bare", "Given", "check_words", "completed", "given_options", "joined", "unknown_command", "unknown_option"]

_KINDS: dict[type, str] = {int: "a whole number", float: "a number"}
_HELP = "; --help lists all"


class Given(NamedTuple):
    """An option, as words give it.

    Attributes:
        name: Name of its field; "" of words that belong to no option.
        values: Words that are its values.
    """

    name: str
    values: list[str]


class Bare(NamedTuple):
    """In an option's annotation: it may be given without a value.

    Attributes:
        value: What that stands for.
    """

    value: str


def _by_flag(options: type) -> dict[str, Field[Any]]:
    """The fields of a command's options by their flags, `--like-this`; what has no flag is left out."""
    return {f"--{field.name.replace('_', '-')}": field for field in fields(options) if not _is_positional(field)}


def given_options(options: type, words: Sequence[str]) -> Iterator[Given]:
    """Yield what the words after a command's name give, option by option.

    Args:
        options: Dataclass of the command's options.
        words: The words.

    Raises:
        UsageError: A flag is none of the command's.
    """
    known = _by_flag(options)
    hints = get_type_hints(options, include_extras=True)
    left = list(words)
    while left:
        word = left.pop(0)
        flag, _, attached = word.partition("=")
        flag = flag.replace("_", "-")
        if not word.startswith("--") or word == "--":
            yield Given("", [word])
        elif flag in ("--help", "--version"):
            yield Given("", [])
        elif flag not in known:
            raise unknown_option(options, flag)
        else:
            kind = hints[known[flag].name]
            yield Given(known[flag].name, [attached] if "=" in word else _values(kind, left))


def check_words(options: type, words: Sequence[str]) -> None:
    """See that the words after a command's name give options that it has, and values of the right kind.

    Args:
        options: Dataclass of the command's options.
        words: The words.

    Raises:
        UsageError: They do not.
    """
    hints = get_type_hints(options, include_extras=True)
    for given in given_options(options, words):
        if given.name:
            for value in given.values:
                _check_value(f"--{given.name.replace('_', '-')}", hints[given.name], value)


def completed(options: type, words: Sequence[str]) -> list[str]:
    """Return the words with the values of options that are given without one, and may be.

    Args:
        options: Dataclass of the command's options.
        words: The words.
    """
    marks = {flag: getattr(field.type, "__metadata__", ()) for flag, field in _by_flag(options).items()}
    bare = {flag: mark.value for flag, found in marks.items() for mark in found if isinstance(mark, Bare)}
    made = []
    for word, after in zip(words, [*words, "--"][1:], strict=True):
        made += [word, bare[word]] if word in bare and after.startswith("--") else [word]
    return made


def joined(words: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the words with those of a command of two, `study make`, as one.

    Args:
        words: The words; where the second asks for help, nothing is joined.
        known: Names of the commands.

    Raises:
        UsageError: The first one begins such commands, and the second belongs to none of them.
    """
    seconds = [name.partition(" ")[2] for name in known if words and name.startswith(f"{words[0]} ")]
    second = "".join(words[1:2])
    if not seconds or second in ("-h", "--help"):
        return [*words]
    if second not in seconds:
        got = f"{printable(second)}{meant(second, seconds)}" if second else "nothing"
        raise UsageError(f"{words[0]}: expected {' or '.join(seconds)}, got {got}{_HELP}")
    return [f"{words[0]} {second}", *words[2:]]


def unknown_command(word: str, known: Collection[str]) -> UsageError:
    """Return the error that a word is none of the commands."""
    firsts = {name.partition(" ")[0] for name in known}
    return UsageError(f"unknown command {printable(word)}{meant(word, firsts) or _HELP} (all: {', '.join(known)})")


def unknown_option(options: type, flag: str) -> UsageError:
    """Return the error that a flag is none of a command's, whose options these are."""
    return UsageError(f"unknown option {printable(flag)}{meant(flag, _by_flag(options)) or _HELP}")


def _is_positional(field: Field[Any]) -> bool:
    # tyro's mark of what has no flag
    return "Positional" in str(field.type)


def _values(kind: Any, left: list[str]) -> list[str]:
    """Takes an option's values from the words that are left."""
    kinds = list(_kinds(kind))
    if bool in kinds:
        return []
    most = len(left) if any(get_origin(one) is tuple for one in kinds) else 1
    found: list[str] = []
    while left and len(found) < most and not left[0].startswith("--"):
        found.append(left.pop(0))
    return found


def _kinds(kind: Any) -> Iterator[Any]:
    """The alternatives of an annotation."""
    if get_origin(kind) is Annotated:
        yield from _kinds(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            yield from _kinds(one)
    elif kind is not type(None):
        yield kind


def _check_value(flag: str, kind: Any, value: str) -> None:
    kinds = [part for one in _kinds(kind) for part in (_kinds(get_args(one)[0]) if get_origin(one) is tuple else [one])]
    told = []
    for one in kinds:
        if get_origin(one) is Literal:
            choices = [str(choice) for choice in get_args(one)]
            if value in choices:
                return
            told += choices
        elif one in _KINDS:
            try:
                one(value)
                return
            except ValueError:
                told.append(_KINDS[one])
        else:
            return
    listed = " or ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
    raise UsageError(f"{flag}: expected {listed}, got {printable(value)!r}{meant(value, told)}")
