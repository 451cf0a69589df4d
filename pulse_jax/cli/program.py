"""The program: reads the command line and runs the command; JAX is imported only by commands that run."""

import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from pulse_jax.cli.commands import COMMANDS
from pulse_jax.system.errors import RunError, UsageError

__all__ = ["run_program"]

_DESCRIPTION = """PULSE in JAX: from a low-resolution picture to realistic high-resolution ones that downscale to it. \
It imagines people who do not exist; it identifies nobody."""


def run_program(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: Words after `pulse-jax`; those of the command line by default.

    Returns:
        The exit code: 0 done (infeasible solutions are results too), 1 some input or file failed, 2 wrong usage, 130
        interrupted.
    """
    # Names of files may hold what the terminal's encoding cannot show.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = tyro.extras.subcommand_cli_from_dict(
            {name: command.options for name, command in COMMANDS.items()},
            prog="pulse-jax",
            description=_DESCRIPTION,
            args=args,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
        )
        options.check()
        return _run(options)
    except UsageError as error:
        return _say(error, 2)
    except RunError as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)


def _run(options: Any) -> int:
    from pulse_jax.system import devices
    from pulse_jax.system.screen import Screen

    place = next(command.function for command in COMMANDS.values() if command.options is type(options))
    module, _, name = place.partition(":")
    function = getattr(importlib.import_module(module), name)
    devices.use_compilation_cache()
    return function(options, Screen())


def _say(line: object, code: int) -> int:
    print(f"pulse-jax: {line}", file=sys.stderr)
    return code
