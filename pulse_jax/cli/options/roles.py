"""What an option of `upsample` is to a run and its records; said once, in the annotation of its field."""

from dataclasses import dataclass, fields
from typing import Any, Literal

__all__ = ["Role", "roles"]


@dataclass(frozen=True, kw_only=True)
class Role:
    """What an option is to a run.

    Attributes:
        decides: How it decides results. What decides results must be the same for an unfinished run to go on, and
            stands in the run's `settings`: the option's `value`; the `contents` of the file that it names, as their
            sha256; a field of the search's `config`; or something that the `plan` of the run makes of it. `nothing`
            has no part in results.
        repeated: When it stands in the command that makes a solution again: `always`; if it was `given`, other than
            by default; `never`; or as the `record` of the solution writes it.
        reported: Whether its value is an entry of `summary.json`.
        search_only: Whether it has a meaning for searches only, and is refused with an interpolation.
    """

    decides: Literal["value", "contents", "config", "plan", "nothing"]
    repeated: Literal["always", "given", "record", "never"] = "never"
    reported: bool = False
    search_only: bool = False


def roles(options: type) -> dict[str, Role]:
    """Return the role of every option.

    Args:
        options: Dataclass of options whose fields are annotated with a `Role` each.

    Raises:
        TypeError: A field says nothing about its role.
    """
    found = {field.name: _role(field.type) for field in fields(options)}
    silent = [name for name, role in found.items() if role is None]
    if silent:
        raise TypeError(f"{options.__name__}.{silent[0]}: expected a Role in its annotation, found none")
    return {name: role for name, role in found.items() if role is not None}


def _role(annotation: Any) -> Role | None:
    marks = getattr(annotation, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Role)), None)
