"""The program of the process that `folder_process` begins: it writes the folders that come through a pipe.

It imports nothing but Python's own, so that it begins in no time, and ends when the pipe does, however its parent did.
"""

import contextlib
import os
import signal
import struct
from typing import IO

__all__ = ["DONE", "LENGTH", "UNKNOWN"]

LENGTH = struct.Struct("<I")
"""What stands before each piece of a message: part, place, count of files, and each file's name and bytes."""
DONE = 255
"""The answer for a folder that is there; others are the number of the system's error, or `UNKNOWN`."""
UNKNOWN = 254


def _piece(source: IO[bytes]) -> bytes:
    """The next piece; raises `EOFError` where the parent has ended, be it in the middle of one."""
    head = source.read(LENGTH.size)
    length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
    data = source.read(length)
    if len(head) < LENGTH.size or len(data) < length:
        raise EOFError
    return data


def _write(part: bytes, place: bytes, files: dict[bytes, bytes]) -> None:
    os.mkdir(part)
    for name, data in files.items():
        with open(os.path.join(part, name), "xb", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
    os.rename(part, place)


def _serve(source: IO[bytes], answers: int) -> None:
    """Writes folder after folder until one cannot be written, or the parent has ended."""
    answer = DONE
    with contextlib.suppress(EOFError, BrokenPipeError):
        while answer == DONE:
            part, place, count = _piece(source), _piece(source), int(_piece(source))
            files = {_piece(source): _piece(source) for _ in range(count)}
            try:
                _write(part, place, files)
            except OSError as error:
                answer = min(error.errno or UNKNOWN, UNKNOWN)
            os.write(answers, bytes([answer]))


if __name__ == "__main__":
    # A terminal's Ctrl-C comes to both; the parent decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(0, "rb", buffering=1 << 20) as stream:
        _serve(stream, 1)
