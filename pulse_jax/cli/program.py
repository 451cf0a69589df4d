"""Reads the command line and hands over to the command; JAX is imported only by commands that run."""

import io
import sys
from collections.abc import Sequence

import tyro

from pulse_jax.cli.options import Benchmark, Command, Convert, Demo, Downscale, FitPrior, Info, Sample, Upsample
from pulse_jax.system.errors import RunError, UsageError

__all__ = ["run_program"]

_COMMANDS = {
    "upsample": Upsample,
    "downscale": Downscale,
    "demo": Demo,
    "sample": Sample,
    "convert": Convert,
    "fit-prior": FitPrior,
    "benchmark": Benchmark,
    "info": Info,
}
_DESCRIPTION = """PULSE in JAX: from a low-resolution picture to realistic high-resolution ones that downscale to it. \
It imagines people who do not exist; it identifies nobody."""


def run_program(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        args: the words after `pulse-jax`; those of the command line by default.

    Returns:
        The exit code: 0 done (infeasible solutions are results too), 1 some input or file failed, 2 wrong usage, 130
        interrupted.
    """
    # Names of files may hold what the terminal's encoding cannot show.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options: Command = tyro.extras.subcommand_cli_from_dict(
            _COMMANDS,
            prog="pulse-jax",
            description=_DESCRIPTION,
            args=args,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
        )
        options.check()
        from pulse_jax.cli.dispatch import run

        return run(options)
    except UsageError as error:
        return _say(error, 2)
    except RunError as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)


def _say(line: object, code: int) -> int:
    print(f"pulse-jax: {line}", file=sys.stderr)
    return code
