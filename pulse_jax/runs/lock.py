"""The lock of a run's folder: one process at a time writes there, and nobody while it is read as a whole."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from pulse_jax.runs.names import HIDDEN
from pulse_jax.runs.summary_file import SUMMARY_FILE
from pulse_jax.system.errors import UsageError
from pulse_jax.system.removal import remove_file
from pulse_jax.system.text import printable

__all__ = ["FolderLock", "held_still"]

_LOCK = f"{HIDDEN}lock"


class FolderLock:
    """The lock of a folder, held until it is released; it goes with the process, however that ends.

    Args:
        path: Folder.

    Raises:
        UsageError: Another process has it.
        OSError: Nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = filelock.FileLock(path / _LOCK, blocking=False)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise UsageError(
                f"{printable(path)}: another process is writing there; wait until it has ended, or choose another"
            ) from None

    def release(self) -> None:
        """Let other processes in again."""
        with contextlib.suppress(OSError):
            remove_file(self._path, _LOCK)
        self._lock.release()


@contextlib.contextmanager
def held_still(path: Path) -> Iterator[None]:
    """Keep other processes from writing into a run's folder while it is read.

    Args:
        path: Folder of the run; one that cannot be written to, or holds none, needs no keeping.

    Raises:
        UsageError: A process is writing there.
    """
    lock = None
    if (path / SUMMARY_FILE).is_file():
        with contextlib.suppress(OSError):
            lock = FolderLock(path)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
