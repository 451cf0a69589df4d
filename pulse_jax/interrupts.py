"""Interrupts that wait for the end of a chunk, so that nothing is lost."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from pulse_jax.progress import Screen

__all__ = ["Interrupt", "Stopped"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """The user or the system wants the run to end."""


class Interrupt:
    """As a context manager: the first SIGINT or SIGTERM makes `check` raise, a second one ends the run at once.

    Attributes:
        number: of the signal that came; 0 before one did.
    """

    def __init__(self, screen: Screen) -> None:
        self.number = 0
        self._screen = screen
        self._before: list[Any] = []

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = [signal.signal(number, self._note) for number in _SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=False):
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number
        self._screen.error("Stopping after these steps; once more to stop at once.")

    def check(self) -> None:
        """Raises `Stopped` if a signal came."""
        if self.number:
            raise Stopped
