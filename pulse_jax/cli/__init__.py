"""The program `pulse-jax`: one file per command, and what commands share."""

from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; see `pulse_jax.cli.program.run_program`, which is imported here and not before.

    Args:
        args: Words after `pulse-jax`; those of the command line by default.

    Returns:
        The exit code.
    """
    from pulse_jax.cli.program import run_program

    return run_program(args)
