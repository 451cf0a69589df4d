"""Folders of small files, written by a process of its own.

Making a few small files costs the system more than making what is in them costs this program, and threads that write
them cost more again, since every call hands the interpreter to and fro.
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from pulse_jax.system import folder_server
from pulse_jax.system.folder_server import DONE, LENGTH, UNKNOWN
from pulse_jax.system.removal import remove_tree

__all__ = ["FolderProcess", "HeldFile", "HeldFolder"]


class HeldFile:
    """A file of a folder in memory, written as a `Path` is.

    Args:
        files: The folder's files.
        name: Name of this one.
    """

    def __init__(self, files: dict[str, bytes], name: str) -> None:
        self._files = files
        self._name = name

    def write_bytes(self, data: bytes) -> int:
        """Keep the bytes as the file."""
        self._files[self._name] = data
        return len(data)


class HeldFolder:
    """A folder in memory, to whose files is written as to those of a `Path`.

    Attributes:
        files: The files by name.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def __truediv__(self, name: str) -> HeldFile:
        """The file of that name."""
        return HeldFile(self.files, name)


class FolderProcess:
    """A process that writes folders, each whole or not at all, in the order in which they are given.

    As a context manager it waits for all of them at the end.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Path, Callable[[], None]]] = deque()
        # Isolated: nothing of the user's decides what it imports.
        words = [sys.executable, "-I", "-S", folder_server.__file__]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._messages: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        os.set_blocking(self._answers.fileno(), False)

    def __enter__(self) -> "FolderProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._messages.close()
            self._process.wait()
            self._hear(ended=error is None)
        finally:
            self._answers.close()

    def write(self, part: Path, place: Path, folder: HeldFolder, then: Callable[[], None]) -> None:
        """Let a folder be written soon; wait while much is waiting already.

        Args:
            part: Where the folder is while it is being written; nothing may be there.
            place: Where it appears once all of it is written.
            folder: Its files.
            then: Called when it is there, by a later call of this or at the end.

        Raises:
            OSError: An earlier folder could not be written; nothing is left of it, and later ones are not begun.
        """
        self._hear()
        pieces = [os.fsencode(part), os.fsencode(place), b"%d" % len(folder.files)]
        for name, data in folder.files.items():
            pieces += [os.fsencode(name), data]
        message = memoryview(b"".join(data for piece in pieces for data in (LENGTH.pack(len(piece)), piece)))
        self._waiting.append((part, then))
        try:
            while message:
                message = message[self._messages.write(message) :]
        except BrokenPipeError:
            self._process.wait()
            self._hear(ended=True)

    def _hear(self, *, ended: bool = False) -> None:
        """Takes note of what has been done; where the process has ended, all must be."""
        for answer in self._answers.read(1 << 16) or b"":
            if answer != DONE:
                self._drop()
                raise OSError(answer, os.strerror(answer)) if answer != UNKNOWN else OSError("a file cannot be written")
            _, then = self._waiting.popleft()
            then()
        if ended and self._waiting:
            self._drop()
            raise OSError(f"the process that writes files ended by itself, exit code {self._process.returncode}")

    def _drop(self) -> None:
        """Removes what is left of the folder that could not be written; those after it were not begun."""
        part, _ = self._waiting[0]
        self._waiting.clear()
        remove_tree(part.parent, part.name)
