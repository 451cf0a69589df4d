"""Shards of a run: which inputs fall to which of several processes that know nothing of each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Part", "Shard"]

_WORDS = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run's inputs.

    Attributes:
        number: Which of them, from 1.
        count: How many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that is written so, `2/3`.

        Raises:
            ValueError: It is none.
        """
        match = _WORDS.fullmatch(text)
        if match is None or int(match[1]) > int(match[2]):
            raise ValueError("expected I/N with whole numbers 1 <= I <= N, 2/3 for instance")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, sha256: str) -> bool:
        """Whether an input falls into it: by the hash of its file alone, so that everybody decides alike.

        Args:
            sha256: Hash of the input's file, hexadecimal digits.
        """
        return int(sha256, 16) % self.count == self.number - 1


@dataclass(frozen=True)
class Part:
    """What a process has of a run that is split.

    Attributes:
        shard: Its shard.
        listed: Every file that the command names, those of other shards too: photographs, where faces are the inputs.
        taken: Those of them that fall into the shard.
    """

    shard: Shard
    listed: Sequence[Path]
    taken: Sequence[Path]
