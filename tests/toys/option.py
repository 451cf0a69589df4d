"""A toy option of `upsample`: a word that is written into the summary, and its reader, which greets with it."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from pulse_jax.cli.options.roles import Role
from pulse_jax.cli.options.upsample import Upsample
from pulse_jax.cli.upsample import run_upsample
from pulse_jax.system.screen import Screen


@dataclass(frozen=True, kw_only=True)
class ToyUpsample(Upsample):
    """Upsample, with a word."""

    word: Annotated[
        str, arg(metavar="WORD"), Role(decides="value", repeated="given", reported=True, search_only=True)
    ] = "none"
    """What to greet with."""


def greet(options: ToyUpsample, screen: Screen) -> int:
    """Say the word, then run as ever."""
    screen.note(f"the word is {options.word}")
    return run_upsample(options, screen)
