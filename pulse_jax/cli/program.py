"""The program: reads the command line and runs the command; JAX is imported only by commands that run."""

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from pulse_jax.cli.commands import COMMANDS
from pulse_jax.cli.options_file import expanded
from pulse_jax.cli.words import check_words, completed, joined, unknown_command
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.version import __version__

__all__ = ["run_program"]

_DESCRIPTION = """PULSE in JAX: from a low-resolution picture to realistic high-resolution ones that downscale to it. \
It imagines people who do not exist; it identifies nobody."""


def run_program(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: Words after `pulse-jax`; those of the command line by default.

    Returns:
        The exit code: 0 done (infeasible solutions are results too), 1 some input or file failed, 2 wrong usage, 130
        interrupted, 141 where nobody reads its output any more.
    """
    # Names of files may hold what the terminal's encoding cannot show.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _program(list(sys.argv[1:] if args is None else args))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Who read the output has left, as `head` does; Python would complain when it flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _program(words: list[str]) -> int:
    try:
        if words[:1] == ["--version"]:
            print(f"pulse-jax {__version__}")
            return 0
        words = _checked(joined(words, COMMANDS))
        # Help for the first word of several commands is on these.
        several = {name: command for name, command in COMMANDS.items() if words and name.startswith(f"{words[0]} ")}
        options = tyro.extras.subcommand_cli_from_dict(
            {name: command.options for name, command in (several or COMMANDS).items()},
            prog="pulse-jax",
            description=_DESCRIPTION,
            args=words[1:] if several else words,
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
    finally:
        _leave_compilers()


def _checked(words: list[str]) -> list[str]:
    """The words with those of a file of options; raises `UsageError`, in one line where tyro would tell at length."""
    if not words or words[0].startswith("-") or {"-h", "--help"} & {*words}:
        return words
    if words[0] not in COMMANDS:
        raise unknown_command(words[0], COMMANDS)
    options = COMMANDS[words[0]].options
    words = [words[0], *expanded(options, words[1:])]
    check_words(options, words[1:])
    return [words[0], *completed(options, words[1:])]


def _run(options: Any) -> int:
    if getattr(options, "ray", None) is not None:
        # This process needs next to nothing of a GPU's memory, which is a worker's.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    from pulse_jax.system import devices
    from pulse_jax.system.screen import Screen

    if options.device is not None:
        jax.config.update("jax_platforms", options.device)
    place = next(command.function for command in COMMANDS.values() if command.options is type(options))
    module, _, name = place.partition(":")
    function = getattr(importlib.import_module(module), name)
    devices.start_jax()
    devices.use_compilation_cache()
    return function(options, Screen(quiet=options.quiet))


def _leave_compilers() -> None:
    """Ends the process where a compiler is still at work that was not waited for: an orderly end would wait for it."""
    programs = sys.modules.get("pulse_jax.system.programs")
    if programs is not None and programs.is_compiling():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(130)


def _say(line: object, code: int) -> int:
    print(f"pulse-jax: {line}", file=sys.stderr)
    return code
