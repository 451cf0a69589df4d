"""The options of every command, and how a command's own are declared beside them."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal, TypeVar, dataclass_transform

from tyro.conf import arg

from pulse_jax.cli.options.roles import Role

__all__ = ["Everywhere", "options"]

_Options = TypeVar("_Options", bound=type)


@dataclass(frozen=True, kw_only=True)
class Everywhere:
    """What every command takes."""

    quiet: Annotated[bool, Role(decides="nothing")] = False
    """Say nothing but results, and what goes wrong."""
    device: Annotated[
        Literal["cpu", "gpu", "tpu"] | None,
        arg(metavar="cpu|gpu|tpu", help_behavior_hint="(default: the fastest that JAX finds)"),
        Role(decides="nothing"),
    ] = None
    """What to compute on."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: _Options) -> _Options:
    """Make a frozen dataclass of keywords of a class that derives from `Everywhere`, its own fields first."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    for field in fields(Everywhere):
        made.__dataclass_fields__[field.name] = made.__dataclass_fields__.pop(field.name)
    return made
