"""Errors that end a command with one line."""

__all__ = ["DeviceError", "RunError", "UsageError"]


class UsageError(ValueError):
    """The command was called in a way that cannot work: one line for the user, nothing was written, exit code 2."""


class RunError(ValueError):
    """Something that the command needs is missing, damaged or full: one line for the user, exit code 1."""


class DeviceError(RunError):
    """JAX cannot start on the device that it is told to use."""
