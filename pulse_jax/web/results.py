"""What is shown of solutions: their captions, what the input does not fix, the way between two of them, an archive."""

import functools
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import read_image, save_png
from pulse_jax.images.rounding import to_uint8
from pulse_jax.runs.formats import InputRecord, SolutionRecord
from pulse_jax.runs.records import read_record
from pulse_jax.runs.solution_files import read_solutions
from pulse_jax.runs.stored_noise import noise_of
from pulse_jax.runs.summary_file import read_summary
from pulse_jax.search.animations import morph
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.degradation import degradation_of
from pulse_jax.search.plausibility import UNUSUAL
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.files import write_whole
from pulse_jax.system.text import printable, short

__all__ = ["FRAMES", "Shown", "caption"]

FRAMES = 25
"""Pictures on the way between two solutions, both included."""
# Side at which pictures are laid over each other, at least.
_SIDE = 512
_DRAWING = threading.Lock()


class _Point(NamedTuple):
    latent: np.ndarray
    noise: tuple[np.ndarray, ...]


def caption(entry: SolutionRecord, between: str = "\n") -> str:
    """Return the verdict on a solution, its error and how plausible it is, with something between them."""
    error = entry["downscaling_error"]
    words = ["✓ feasible" if entry["feasible"] else "✗ missed", f"error {'–' if error is None else short(error)}"]
    share = entry.get("plausibility")
    if share is not None:
        words.append("⚠ unusual" if share < UNUSUAL else f"plausible {share:.2g} %")
    return between.join(words)


@dataclass(frozen=True)
class Shown:
    """The solutions of one input, best first.

    Attributes:
        root: Folder of its run, or of what there is of one.
        record: The run's record of the input.
        eps: Largest error that counts as feasible.
    """

    root: Path
    record: InputRecord
    eps: float

    @classmethod
    def find(cls, root: Path) -> "Shown":
        """Return the first input of a folder that the server has written.

        Raises:
            RunError: It is damaged.
        """
        summary = read_summary(root)
        try:
            assert summary is not None
            name = summary["inputs"][0]["solved"].partition("/")[0]
            record = read_record(root, name)
            assert record is not None
            return cls(root, record, float(summary["config"]["eps"]))
        except (AssertionError, LookupError, TypeError, AttributeError, ValueError) as error:
            raise RunError("the results are damaged") from error

    def entry(self, number: int) -> SolutionRecord:
        """Return the record of a solution, counted from 1.

        Raises:
            UsageError: There is none.
        """
        count = len(self.record["solutions"])
        if not isinstance(number, int) or not 1 <= number <= count:
            raise UsageError(f"solution: expected 1 to {count}, got {printable(number, 60)}")
        return self.record["solutions"][number - 1]

    @property
    def gallery(self) -> list[tuple[Path, str]]:
        """The pictures' files, with their captions."""
        return [(self.root / entry["image"], caption(entry)) for entry in self.record["solutions"]]

    @functools.cached_property
    def target(self) -> np.ndarray:
        """What was solved (h, h, 3), in [0, 1]."""
        return read_image(self.root / self.record["solved"]).pixels

    def against_input(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the input, pixel by pixel, and a solution, at the same size (S, S, 3) uint8."""
        picture = to_uint8(read_image(self.root / self.entry(number)["image"]).pixels)
        side = max(_SIDE, len(picture))
        smooth = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
        return _enlarged(to_uint8(self.target), side), np.asarray(smooth)

    def unseen(self) -> tuple[np.ndarray, str]:
        """Return where solutions differ in what the input says nothing about, and that in words.

        The picture (S, S) uint8 shows the root mean square over solutions and channels of how far each one's unseen
        part (`Degradation.unseen`) is from their mean; white is the most. Feasible solutions alone are compared.

        Raises:
            UsageError: Fewer than two solutions are feasible.
        """
        entries = [entry for entry in self.record["solutions"] if entry["feasible"]]
        if len(entries) < 2:
            raise UsageError("it takes two feasible solutions to see what the input leaves open")
        pictures = [read_image(self.root / entry["image"]).pixels for entry in entries]
        degradation = degradation_of(self._config, len(pictures[0]), len(self.target))
        parts = np.stack([degradation.unseen(picture) for picture in pictures])
        spread = np.sqrt(np.mean(np.square(parts - parts.mean(0)), axis=(0, 3)))
        most = float(spread.max())
        words = (
            f"How much {len(entries)} feasible solutions differ, pixel by pixel, in what the input says nothing about: "
            f"black is not at all, white is {255 * most:.0f} of 255 levels. All of them downscale to the same input."
        )
        return _enlarged(to_uint8(spread / most if most else spread), max(_SIDE, len(spread))), words

    def way(self, one: int, other: int, place: int, generator: Generator) -> tuple[Path, str]:
        """Return a picture on the shortest way between two solutions' latents, and whether it downscales to the input.

        Args:
            one, other: Numbers of the solutions, counted from 1.
            place: Which of the `FRAMES` pictures, from 0.
            generator: Generator that was searched.

        Raises:
            UsageError: There is no such solution or place, or the search leaves no latents between which a way leads.
        """
        for number in (one, other):
            self.entry(number)
        if not 0 <= place < FRAMES:
            raise UsageError(f"place: expected 0 to {FRAMES - 1}, got {place}")
        folder = self.root.parent / "ways" / f"{self.root.name}-{one}-{other}"
        with _DRAWING:
            if not (folder / f"{FRAMES - 1:02}.png").is_file():
                self._draw_way(one, other, folder, generator)
        file = folder / f"{place:02}.png"
        degradation = degradation_of(self._config, read_image(file).pixels.shape[0], len(self.target))
        error = float(degradation.error(to_uint8(read_image(file).pixels) / 255.0, self.target))
        verdict = "✓ downscales to the input" if error <= self.eps else "✗ does not downscale to the input"
        share = f"{100 * place / (FRAMES - 1):.0f} % of the way from solution {one} to solution {other}"
        return file, f"{share}: {verdict} (error {short(error, self.eps)}, at most {self.eps:g} is feasible)."

    def _draw_way(self, one: int, other: int, folder: Path, generator: Generator) -> None:
        stored = read_solutions(self._latents)
        if stored.offsets:
            raise UsageError("these solutions have offsets beside their latents, between which no way is drawn")
        stored.check(generator, self._latents.name)
        noise = noise_of(stored, generator)
        points = [_Point(stored.latents[k - 1], tuple(layer[k - 1] for layer in noise)) for k in (one, other)]
        folder.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(morph(generator, stored.config, *points, frames=FRAMES)):
            save_png(folder / f"{number:02}.png", picture)

    @property
    def has_latents(self) -> bool:
        """Whether two solutions have latents, between which a way leads."""
        with np.load(self._latents, allow_pickle=False) as stored:
            return stored["latents"].shape[1] > 0 and len(self.record["solutions"]) > 1

    @property
    def _latents(self) -> Path:
        return self.root / self.record["latents"]

    @functools.cached_property
    def _config(self) -> SearchConfig:
        return read_solutions(self._latents).config

    def archive(self, path: Path) -> Path:
        """Write pictures, latents, records and the page into one zip file, and return it.

        Args:
            path: File to write, unless it is there.

        Raises:
            OSError: The disk is full or the like.
        """
        if not path.is_file():
            summary = read_summary(self.root) or {}
            files = [name for name in (*summary.get("files", ()), "summary.json") if (self.root / name).is_file()]

            def fill(file) -> None:
                # Pictures and arrays are as small as they get.
                with zipfile.ZipFile(file, "w") as archive:
                    for name in files:
                        archive.write(self.root / name, f"pulse/{name}")

            write_whole(path, fill)
        return path


def _enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture in 8 bits at another side, its pixels as squares."""
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST))
