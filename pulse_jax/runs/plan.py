"""The plan of a run of `upsample`: all that is decided before it begins, made once from its options."""

import functools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from pulse_jax.engine.lanes import by_themselves
from pulse_jax.engine.memory import fitting_lanes
from pulse_jax.generators.generator import Generator
from pulse_jax.images.files import ImageError, ReadImage
from pulse_jax.images.formats import PictureFormat
from pulse_jax.images.inputs import FitMode, fit_low_res, reducible_square
from pulse_jax.images.rounding import from_uint8, to_uint8
from pulse_jax.images.warping import aligned
from pulse_jax.runs.additions import Additions
from pulse_jax.runs.formats import GeneratorRecord, ShardRecord
from pulse_jax.runs.inputs import Input, Quota, read_each, result_names
from pulse_jax.runs.photographs import Alignment, Face
from pulse_jax.runs.shards import Part
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.degradation import as_input, degradation_of
from pulse_jax.search.plausibility import PlausibilityJudge
from pulse_jax.search.problems import Problem, Start
from pulse_jax.search.requirements import admissible_sizes
from pulse_jax.system.text import printable

__all__ = ["AutomaticLanes", "RankOrder", "RunPlan"]

RankOrder = Literal["loss", "plausible"]
"""By total loss, or the most plausible picture first."""

# Side of pictures that are encoded sooner than threads share the work.
_SMALL = 128


@dataclass(frozen=True)
class AutomaticLanes:
    """As many lanes as suit a device, beside what is added to solutions meanwhile.

    Attributes:
        generator: Generator that is searched.
        config: Settings of the searches.
        additions: What is added.
    """

    generator: Generator
    config: SearchConfig
    additions: Additions

    def count(self, side: int, searches: int | None) -> int:
        """Return how many lanes suit the first device.

        Args:
            side: Side of the inputs.
            searches: How many searches there are at most; None if nobody knows.
        """
        device = jax.local_devices()[0]
        # Additions are compiled to be asked what they take: where lanes are a guess, a share of the memory is left.
        beside = 0 if device.platform == "cpu" else self.additions.memory(side)
        return fitting_lanes(self.generator, self.config, device, searches=searches, beside=beside)


@dataclass(frozen=True, kw_only=True, eq=False)
class RunPlan:
    """What a run is to do.

    Attributes:
        command: Command as which the run goes down in `summary.json`.
        output: Folder of the results.
        inputs: Picture files to solve; of faces in photographs those of their own, which do not exist.
        unusable: What is wrong with inputs that are no such files.
        generator: Generator with all that the run needs of it.
        generator_record: What `summary.json` says of the generator.
        config: Settings of the searches, or of the interpolation.
        size: Side of the delivered pictures.
        quota: Which solutions of each input are wanted.
        seed: What the random starts are drawn from.
        lanes: Searches at once on each device, or how that number is found.
        strict: Whether each of them is a program by itself on every kind of device.
        ray: Address of the Ray cluster that searches; None where this process does.
        other_device: Whether an unfinished run goes on where another kind of device began it.
        compiles: Whether programs are compiled before there is any progress to show.
        fit: What is done with an input whose size does not fit the generator; None to refuse it.
        start: Starts of each input's searches; None if they are drawn.
        additions: What is added to the solutions.
        input_size: Side to which larger inputs are downscaled by D; None to take inputs as they are, and faces as
            large as they are in their photographs.
        alignment: Faces in photographs, which the inputs are; None where these are pictures themselves.
        part: What other processes have, where the inputs are those of a shard; None where they are all.
        format: Format of the solutions' pictures.
        compress_level: How hard these are compressed, 0 to 9; None for what is soonest done for its bytes.
        keeps_noise: Whether `solutions.npz` holds the noise inputs.
        plausibility: What says how plausible solutions are; None where nothing can.
        rank: What solutions are sorted by, after feasible ones come first.
        sheets: Whether contact sheets are drawn.
        options: TOML file of the run's options, from which it can be repeated; "" for none.
        originals: Pictures (H, W, 3) that inputs were made from, by the inputs' names, to be shown on the sheets.
        footer: Text at the foot of every sheet.
        versions: Versions of what computes, by name.
        device: What computes: platform, kind of device and count.
        selfcheck: When `pulse-jax selfcheck` last passed on this kind of device with these versions; None if never.
        deciding: Options that decide results by themselves, JSON values by name: a part of the run's `settings`.
        reported: Options that `summary.json` repeats, JSON values by name.
        repeated: Words of the options that a command needs, beside restarts, seed and lanes, to make a solution again.
    """

    command: str
    output: Path
    inputs: Sequence[Path]
    unusable: Sequence[ImageError] = ()
    generator: Generator
    generator_record: GeneratorRecord
    config: UpsamplingConfig
    size: int
    quota: Quota
    seed: int
    lanes: int | AutomaticLanes
    strict: bool = False
    ray: str | None = None
    other_device: bool = False
    compiles: bool
    fit: FitMode | None = None
    start: Start | None = None
    additions: Additions = field(default_factory=Additions)
    input_size: int | None = None
    alignment: Alignment | None = None
    part: Part | None = None
    format: PictureFormat = "png"
    compress_level: int | None = None
    keeps_noise: bool = True
    plausibility: PlausibilityJudge | None = None
    rank: RankOrder = "loss"
    sheets: bool = True
    options: str = ""
    originals: Mapping[str, np.ndarray] = field(default_factory=dict)
    footer: str
    versions: Mapping[str, str | None]
    device: Mapping[str, Any]
    selfcheck: str | None = None
    deciding: Mapping[str, Any]
    reported: Mapping[str, Any]
    repeated: Sequence[str]

    @property
    def searches_by_itself(self) -> bool:
        """Whether every search is a program by itself, so that the number of lanes decides nothing."""
        return by_themselves(self.device["platform"], strict=self.strict)

    @property
    def is_light(self) -> bool:
        """Whether an input is enlarged in less time than it takes to hand it from thread to thread."""
        return not self.compiles and not self.sheets and self.size <= _SMALL

    @functools.cached_property
    def names(self) -> Mapping[Path, str]:
        """What the folder of each input's results is called; the same in a shard as in the whole run."""
        return result_names(self.known)

    @property
    def known(self) -> Sequence[Path]:
        """The inputs of the whole run, of which a shard has some; of faces its own, whose names no others change."""
        return self.inputs if self.part is None or self.alignment is not None else self.part.listed

    @functools.cached_property
    def shard_record(self) -> ShardRecord | None:
        """What `summary.json` says of the shard; None where the inputs are all."""
        if self.part is None:
            return None
        names = result_names(self.part.listed)
        return {"listed": [*names.values()], "taken": [names[path] for path in self.part.taken]}

    def file_of(self, path: Path) -> Path:
        """Return the file that an input is read from: of a face its photograph."""
        return path if self.alignment is None else self.alignment.faces[path].photograph

    def read(self, paths: Sequence[Path]) -> Iterator[Input | ImageError]:
        """Yield each input as it is solved, or what is wrong with it; only one whole picture is ever in memory.

        Args:
            paths: Some of `known`.
        """
        index = {path: number for number, path in enumerate(self.known)}
        sizes = admissible_sizes(self.size, self.config)

        def prepare(path: Path, picture: ReadImage) -> Input:
            if self.alignment is not None:
                fitted, more = self._cut_out(picture.pixels, self.alignment.faces[path], sizes)
            elif self.input_size is None:
                fitted, more = fit_low_res(picture.pixels, self.size, self.fit, sizes=sizes, source=path)
            else:
                fitted, more = self._reduce(picture.pixels, self.input_size, path)
            face = 0 if self.alignment is None else self.alignment.faces[path].number
            # Solved is exactly what input.png holds, so that anybody can check the results against it.
            low_res, name = from_uint8(to_uint8(as_input(self.config, self.size, fitted))), self.names[path]
            renamed = () if name == path.stem else (f"its results are called {name}",)
            notes = (*picture.notes, *more, *map(printable, renamed))
            return Input(index[path], self.file_of(path), name, low_res, notes, face)

        # Four pixels for one: what is resampled then hardly shows that it was reduced before.
        # Where faces are is counted in the pixels of whole photographs.
        is_resampled = (self.fit == "resize" or self.input_size is not None) and self.alignment is None
        shortest_side = 4 * (self.input_size or sizes[-1]) if is_resampled else None
        return read_each(paths, prepare, shortest_side=shortest_side, file_of=self.file_of)

    def _cut_out(self, pixels: np.ndarray, face: Face, sizes: Sequence[int]) -> tuple[np.ndarray, tuple[str, ...]]:
        """A face, upright as solutions are, downscaled by D: by default to no more pixels than the photograph has."""
        fitting = [side for side in sizes if side <= face.side and side < self.size] or sizes[:1]
        side = self.input_size or fitting[-1]
        square = from_uint8(aligned(pixels, face.quad, self.size))
        notes = (f"{face.side:.0f} pixels across",)
        if side == self.size:
            return square, notes
        small = degradation_of(self.config, self.size, side).apply_float64(square)
        return small, (*notes, f"aligned and downscaled to {side}x{side}")

    def _reduce(self, pixels: np.ndarray, side: int, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
        """The centre square of a picture, downscaled by D."""
        square, notes = reducible_square(pixels, side, path)
        if len(square) == side:
            return square, notes
        try:
            small = degradation_of(self.config, len(square), side).apply_float64(square)
        except ValueError as error:
            raise ImageError(
                path, f"cannot be downscaled from {len(square)} to {side} pixels a side; {error}"
            ) from None
        factor = len(square) // side
        return small, (*notes, f"downscaled by {factor} to {side}x{side}")

    def factor(self, one: Input) -> int:
        """Return how many pixels of a delivered picture become one of the input's, along each side."""
        return self.size // len(one.low_res)

    def problem(self, one: Input) -> Problem:
        """Return what is searched for of an input."""
        return Problem(
            low_res=one.low_res,
            index=one.index,
            restarts=self.quota.searches,
            solutions=self.quota.count if self.quota.stops else None,
            seed=self.seed,
            start=self.start,
            ended=dict(one.ended),
        )

    def repeating(self, one: Input, restart: int, lanes: int) -> str:
        """Return the command that makes a solution again, among others: it is the one of the same restart.

        Args:
            one: Input of the solution.
            restart: Number of its restart.
            lanes: Searches at once on each device.
        """
        source = self.output.absolute() / one.name / "input.png"
        # With repulsion each solution depends on all others.
        repel = isinstance(self.config, SearchConfig) and self.config.repulsion > 0
        restarts = self.quota.searches if repel else restart + 1
        words = ["pulse-jax", "upsample", source, "--output", "again", "--restarts", restarts]
        words += ["--seed", self.seed]
        if not self.searches_by_itself:  # a part of what decides last bits
            words += ["--lanes", lanes]
        words += self.repeated
        return shlex.join(map(str, words))
