"""What a program finds, as `report.md` with pictures beside it, `numbers.json`, and on the terminal."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.images.files import save_png
from pulse_jax.reports.tables import markdown, print_table
from pulse_jax.system.files import write_whole
from pulse_jax.system.text import printable

__all__ = ["PaperReport"]


class PaperReport:
    """A report that is written section by section; tables are printed as they come.

    Args:
        output: Folder for the files, made if missing.
        title: Headline.

    Attributes:
        numbers: JSON values by sections, which `numbers.json` holds.
    """

    def __init__(self, output: Path, title: str) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self.numbers: dict[str, Any] = {}
        self._output = output
        self._parts = [f"# {title}\n"]

    def section(self, title: str, *paragraphs: str) -> None:
        """Begin a section."""
        self._parts += [f"## {title}\n", *(f"{paragraph}\n" for paragraph in paragraphs)]

    def say(self, paragraph: str) -> None:
        """Add a paragraph, and print it."""
        self._parts.append(f"{paragraph}\n")
        print(f"\n{paragraph}", flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table whose first column holds words, and print it under a title."""
        self._parts.append(markdown(columns, rows))
        print(flush=True)
        print_table(title, columns, rows)

    def picture(self, name: str, pixels: np.ndarray, told: str) -> None:
        """Write a picture as PNG, and show it under a line that says what it is."""
        save_png(self._output / name, pixels)
        self._parts.append(f"![{told}]({name})\n\n{told}\n")

    def write(self) -> None:
        """Write the files and say where they are."""
        text = "\n".join(self._parts).encode()
        write_whole(self._output / "report.md", lambda file: file.write(text))
        numbers = (json.dumps(_finite(self.numbers), indent=1, allow_nan=False) + "\n").encode()
        write_whole(self._output / "numbers.json", lambda file: file.write(numbers))
        print(f"\nLook at {printable(self._output / 'report.md')}")


def _finite(value: Any) -> Any:
    """JSON has no number that is none, which the PSNR of equal pictures is."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
