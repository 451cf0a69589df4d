"""Interrupts that wait for the end of a chunk, so that nothing is lost."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from pulse_jax.system.screen import Screen

__all__ = ["Interrupt", "Stopped"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """The user or the system wants the run to end."""


class Interrupt:
    """As a context manager: the first SIGINT or SIGTERM makes `check` raise, a second one ends the run at once.

    Once all searches have ended there is nothing to stop but writing, which the first signal lets go on.

    Args:
        screen: Screen on which the user is told.
        wanted: Says whether the work is to end without a signal too.

    Attributes:
        number: Number of the signal that came; 0 before one did.
    """

    def __init__(self, screen: Screen, wanted: Callable[[], bool] = lambda: False) -> None:
        self.number = 0
        self._screen = screen
        self._wanted = wanted
        self._words = "Stopping; once more to stop without saving what is under way."
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
        self._screen.error(self._words)

    def searched(self) -> None:
        """Say from now on, and at once if a signal has come already, that all searches have ended."""
        self._words = "All searches have ended; writing what is left, once more to stop at once."
        if self.number:
            self._screen.error(self._words)

    def check(self) -> None:
        """Raise `Stopped` if a signal came, or the end is wanted."""
        if self.number or self._wanted():
            raise Stopped
