"""What one file may cost: every count ends in an error long before the machine's memory or a user's patience does.

Pickles can repeat themselves for a byte or two (a memo entry, a name), so that what is cheap once must be counted
wherever it can happen again.
"""

from __future__ import annotations

from convert.nodes import CheckpointError

__all__ = ["Budget"]

_STEPS = 500_000
_SLACK = 2**16
_NAME_BYTES = 2**24
_DISTRUST = "no honest checkpoint does this, do not trust the file"


class Budget:
    """How much work one file may still cause.

    Every method takes its part and raises `CheckpointError` once there is no more.
    """

    __slots__ = ("_encoded", "_names", "_nested", "_steps")

    def __init__(self, file_bytes: int) -> None:
        self._steps = _STEPS
        self._names = _NAME_BYTES
        # Honest files encode each text once, and hold each nested file once.
        self._encoded = self._nested = file_bytes + _SLACK

    def step(self, count: int) -> None:
        """Opcodes, or what takes as long."""
        self._steps -= count
        if self._steps < 0:
            raise CheckpointError(f"more than {_STEPS} pickle operations; {_DISTRUST}")

    def name(self, count: int) -> None:
        """Bytes that become a Python text, of which one rare character makes four of each."""
        self._names -= count
        if self._names < 0:
            raise CheckpointError(f"more than {_NAME_BYTES >> 20} MiB of names and short texts; {_DISTRUST}")

    def encode(self, count: int) -> None:
        """Bytes of a text that is turned into other bytes."""
        self._encoded -= count
        if self._encoded < 0:
            raise CheckpointError(f"texts that are encoded again and again; {_DISTRUST}")

    def nest(self, count: int) -> None:
        """Bytes that are read as a file of their own."""
        self._nested -= count
        if self._nested < 0:
            raise CheckpointError(f"nested files that are read again and again; {_DISTRUST}")
