"""The command line's options: one frozen dataclass per command, from which tyro makes flags and help (no JAX)."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from pulse_jax.generators.architectures import FAMILIES
from pulse_jax.search.presets import INTERPOLATIONS, PRESETS, SEARCHES
from pulse_jax.system.errors import UsageError

__all__ = ["Benchmark", "Command", "Convert", "Demo", "Downscale", "FitPrior", "Info", "Sample", "Upsample"]

_MAX_RESTARTS = 10_000
_MAX_LANES = 65_536
_MAX_COUNT = 1_000
_COUNT, _SEED, _TRUNCATION = 16, 0, 1.0
_RESTARTS = 4
_DRAWS = 1_000_000
# What nothing but a search can use.
_OF_SEARCHES = (
    "restarts",
    "solutions",
    "max_restarts",
    "diverse",
    "init",
    "precision",
    "noise_samples",
    "save_intermediate",
)
_Pictures = Annotated[Positional[tuple[Path, ...]], arg(metavar="FILES_OR_FOLDERS", help_behavior_hint="(required)")]
_Checkpoints = Annotated[
    Positional[tuple[Path, ...]],
    arg(metavar="CHECKPOINT [CHECKPOINT ...] OUTPUT", help_behavior_hint="(required)"),
]
_Folder = Annotated[Path, arg(metavar="DIR")]
_Generator = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: the embedded one)")]
_File = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")]
if TYPE_CHECKING:
    _Search = str
    _Preset = str
    _Family = str
else:  # the choices, which only running tells
    _Search = Literal[tuple(SEARCHES)]
    _Preset = Literal[tuple(PRESETS)]
    _Family = Literal[tuple(FAMILIES)]
_Label = Annotated[int | None, arg(metavar="N", help_behavior_hint="(needed by a generator with classes)")]


def _check_range(flag: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"--{flag}: expected {low} to {high}, got {value}")


def _check_inputs(inputs: tuple[Path, ...]) -> None:
    if not inputs:
        raise UsageError("no inputs: expected picture files, or folders of them")


@dataclass(frozen=True, kw_only=True)
class Upsample:
    """Find high-resolution pictures that downscale to the given low-resolution ones."""

    inputs: _Pictures
    """Low-resolution pictures (PNG, JPEG, WebP, BMP, TIFF), or folders of them."""
    output: _Folder
    """Folder for the results, made if missing: a folder per input, a contact sheet and summary.json."""
    generator: _Generator = None
    """Folder of the generator to search."""
    label: _Label = None
    """The class to draw, from 0; info says how many there are."""
    restarts: Annotated[int | None, arg(metavar="K", help_behavior_hint=f"(default: {_RESTARTS})")] = None
    """Searches per input, each from another random start: as many solutions."""
    solutions: Annotated[int | None, arg(metavar="K", help_behavior_hint="")] = None
    """Instead of --restarts: search until so many solutions of an input are feasible, and deliver the best K."""
    max_restarts: Annotated[int | None, arg(metavar="M", help_behavior_hint="(default: 4 K)")] = None
    """With --solutions: searches per input, at most."""
    diverse: bool = False
    """With --solutions and --max-restarts: make all M searches, and deliver the K feasible solutions that differ most
    in what the input does not show."""
    seed: Annotated[int, arg(metavar="S")] = 0
    """What the random starts are drawn from."""
    preset: Annotated[_Preset, arg(metavar="NAME")] = "pulse"
    """The search: pulse, the paper's method; pulse_2020, its authors' program; srls (as its program ran) and
    srls_paper, with a flow as prior of w; pn, with its covariance; brgm, csgm, image2stylegan, ilo, robust and
    stylegan2_projector, the methods of these names; or no search but a plain enlargement, to compare with: bicubic,
    lanczos or nearest."""
    steps: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the preset's)")] = None
    """Optimiser steps per search, at most."""
    eps: Annotated[float | None, arg(metavar="E", help_behavior_hint="(default: the preset's)")] = None
    """Largest mean squared error, of [0, 1] pictures, at which a solution counts as feasible."""
    lanes: Annotated[int | Literal["auto"], arg(metavar="N|auto")] = 8
    """Searches that run at once on each device; auto: as many as its memory holds. The last bits depend on it."""
    fit: Annotated[
        Literal["crop", "pad", "resize"] | None,
        arg(metavar="crop|pad|resize", help_behavior_hint="(default: such an input is refused)"),
    ] = None
    """What to do with an input whose size does not fit the generator."""
    init: _File = None
    """Start from the solutions in this solutions.npz: restart by restart, as many at most."""
    perceptual: _File = None
    """With --preset brgm, whose loss then has its LPIPS term: the network that convert --perceptual wrote."""
    output_size: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the generator's)")] = None
    """Side of the delivered pictures: smaller ones from a larger generator."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the generator's convolutions."""
    noise_samples: Annotated[int, arg(metavar="N")] = 0
    """Draw the noise of each feasible solution anew N times, and keep what is feasible as its variations."""
    save_intermediate: bool = False
    """Write animations too: the search for each input's best solution, and its two best going over into each other."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    @property
    def counts(self) -> tuple[int, int]:
        """Solutions per input, and searches per input at most."""
        if self.preset in INTERPOLATIONS:
            return 1, 1
        if self.solutions is not None:
            most = min(4 * self.solutions, _MAX_RESTARTS) if self.max_restarts is None else self.max_restarts
            return self.solutions, most
        restarts = _RESTARTS if self.restarts is None else self.restarts
        return restarts, restarts

    def check(self) -> None:
        """Raises `UsageError` for what is out of range; steps and eps are the search's own to check."""
        _check_inputs(self.inputs)
        if self.preset in INTERPOLATIONS:
            self._check_nothing_searched()
        if self.perceptual is not None and self.preset != "brgm":
            raise UsageError("--perceptual: has a meaning with --preset brgm only")
        if self.solutions is None and self.max_restarts is not None:
            raise UsageError("--max-restarts: has a meaning with --solutions only")
        if self.solutions is not None and self.restarts is not None:
            raise UsageError(
                "--restarts: has no meaning with --solutions; --max-restarts says how many searches at most"
            )
        if self.diverse and (self.solutions is None or self.max_restarts is None):
            raise UsageError("--diverse: needs --solutions K and --max-restarts M, of whose solutions it chooses K")
        count, searches = self.counts
        _check_range("restarts" if self.solutions is None else "solutions", count, 1, _MAX_RESTARTS)
        _check_range("max-restarts", searches, count, _MAX_RESTARTS)
        _check_range("seed", self.seed, 0, 2**32 - 1)
        if self.lanes != "auto":
            _check_range("lanes", self.lanes, 1, _MAX_LANES)
        _check_range("noise-samples", self.noise_samples, 0, _MAX_COUNT)

    def _check_nothing_searched(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            # The command that makes a solution again names its one restart.
            if field.name in _OF_SEARCHES and value != field.default and (field.name, value) != ("restarts", 1):
                raise UsageError(
                    f"--{field.name.replace('_', '-')}: has no meaning with --preset {self.preset}, which searches "
                    "nothing and makes one solution of each input"
                )


@dataclass(frozen=True, kw_only=True)
class Downscale:
    """Make low-resolution inputs from pictures, with exactly the downscaling that upsample inverts."""

    inputs: _Pictures
    """Pictures (PNG, JPEG, WebP, BMP, TIFF), or folders of them; of each, the centre square is used."""
    output: _Folder
    """Folder for the results; made if missing."""
    size: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Side of the results, in pixels; this or --factor."""
    factor: Annotated[int | None, arg(metavar="F", help_behavior_hint="")] = None
    """How many pixels become one, along each side; this or --size."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raises `UsageError` for what is missing or out of range."""
        _check_inputs(self.inputs)
        if (self.size is None) == (self.factor is None):
            raise UsageError(f"expected --size or --factor, got {'neither' if self.size is None else 'both'}")
        if self.size is not None:
            _check_range("size", self.size, 2, 4096)
        if self.factor is not None:
            _check_range("factor", self.factor, 1, 4096)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Solve eight inputs that come with the program, verify what was written, and say what to look at."""

    output: _Folder = Path("pulse-demo")
    """Folder for the results; those of an earlier demo are replaced."""
    restarts: Annotated[int, arg(metavar="K")] = 4
    """Solutions per input."""
    overwrite: bool = False
    """Replace the results of any other run in the output folder too; other files are never touched."""

    def check(self) -> None:
        """Raises `UsageError` for what is out of range."""
        _check_range("restarts", self.restarts, 1, _MAX_RESTARTS)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Draw random pictures from a generator, or draw the solutions of an earlier run again."""

    output: _Folder
    """Folder for the results; made if missing."""
    generator: _Generator = None
    """Folder of the generator."""
    label: _Label = None
    """The class to draw, from 0; info says how many there are."""
    count: Annotated[int | None, arg(metavar="N", help_behavior_hint=f"(default: {_COUNT})")] = None
    """How many pictures."""
    seed: Annotated[int | None, arg(metavar="S", help_behavior_hint=f"(default: {_SEED})")] = None
    """What they are drawn from; a picture depends on the seed and its number alone."""
    truncation: Annotated[float | None, arg(metavar="T", help_behavior_hint=f"(default: {_TRUNCATION})")] = None
    """Below 1, pictures are drawn towards the average: more regular, less varied."""
    latents: _File = None
    """Draw the solutions in this solutions.npz instead, all of them as they are."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    @property
    def draw(self) -> tuple[int, int, float]:
        """Count, seed and truncation: as given, or the defaults."""
        return (
            _COUNT if self.count is None else self.count,
            _SEED if self.seed is None else self.seed,
            _TRUNCATION if self.truncation is None else self.truncation,
        )

    def check(self) -> None:
        """Raises `UsageError` for what is out of range or has no meaning together."""
        if self.latents is not None:
            for flag in ("count", "seed", "truncation"):
                if getattr(self, flag) is not None:
                    raise UsageError(f"--{flag}: has no meaning with --latents, leave one of the two out")
        count, seed, truncation = self.draw
        _check_range("count", count, 1, _MAX_COUNT)
        _check_range("seed", seed, 0, 2**32 - 1)
        if not -2 <= truncation <= 2:
            raise UsageError(f"--truncation: expected -2 to 2, got {truncation}")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measure how fast this machine searches, with several lane counts and precisions, and against plainer ways."""

    output: _Folder = Path("pulse-benchmark")
    """Folder for benchmark.json and benchmark.png; those of an earlier benchmark are replaced."""
    generator: _Generator = None
    """Folder of the generator to search."""
    architecture: Annotated[_Family | None, arg(metavar="|".join(FAMILIES), help_behavior_hint="")] = None
    """Instead of --generator: this family with random weights, which are as fast as trained ones."""
    resolution: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 1024)")] = None
    """With --architecture: side of its pictures."""
    channels: Annotated[
        tuple[int, ...], arg(metavar="N [N ...]", help_behavior_hint="(default: the family's own)")
    ] = ()
    """With --architecture: width of each block, from 4x4 up."""
    lanes: Annotated[
        tuple[int, ...],
        arg(metavar="N [N ...]", help_behavior_hint="(default: 1 4 8 16 on a CPU, elsewhere 1 4 16 64 128)"),
    ] = ()
    """Searches at once, each count to be measured."""
    precision: Annotated[
        tuple[Literal["float32", "bfloat16"], ...],
        arg(metavar="float32|bfloat16 [...]", help_behavior_hint="(default: float32 on a CPU, elsewhere both)"),
    ] = ()
    """Arithmetic of the generator's convolutions, each to be measured."""
    factor: Annotated[
        int | None, arg(metavar="F", help_behavior_hint="(default: an eighth of the pictures' side, at most 32)")
    ] = None
    """How many pixels of a picture become one of the inputs, along each side."""
    steps: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the preset's)")] = None
    """Optimiser steps per search, at most."""
    preset: Annotated[_Search, arg(metavar="NAME")] = "pulse"
    """The search, as in upsample."""
    overwrite: bool = False
    """Replace the results of any other run in the output folder too; other files are never touched."""

    def check(self) -> None:
        """Raises `UsageError` for what is out of range or has no meaning together; the rest is checked when used."""
        if self.architecture is not None and self.generator is not None:
            raise UsageError("--architecture: has no meaning with --generator, leave one of the two out")
        if self.architecture is None:
            for flag in ("resolution", "channels"):
                if getattr(self, flag):
                    raise UsageError(f"--{flag}: has a meaning with --architecture only")
        for count in self.lanes:
            _check_range("lanes", count, 1, _MAX_LANES)


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what a generator is and which inputs it takes, and which versions and devices are in use."""

    generator: _Generator = None
    """Folder of the generator."""

    def check(self) -> None:
        """Nothing can be out of range."""


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Make a generator folder from a StyleGAN checkpoint of another program; nothing in the file is run.

    With --perceptual, make the file that upsample --perceptual takes from a VGG16 instead.
    """

    paths: _Checkpoints
    """The checkpoint, or all files of one (PULSE: synthesis.pt, mapping.pt, gaussian_fit.pt), and the folder to make;
    with --inspect checkpoints only."""
    perceptual: bool = False
    """The files are torchvision's vgg16 and the lpips program's vgg.pth; the output is one safetensors file."""
    inspect: bool = False
    """Say what the checkpoint is and list its arrays; write nothing."""
    clamp: Annotated[float | None, arg(metavar="C", help_behavior_hint="(default: what the file says)")] = None
    """Bound of StyleGAN2's activations, where the file does not say it; 0 for none."""
    samples: Annotated[int, arg(metavar="N")] = _DRAWS
    """Draws for the Gaussian fit of the mapping network, where no file holds one."""
    overwrite: bool = False
    """Replace an existing generator folder, or with --perceptual an existing file of its kind."""

    def check(self) -> None:
        """Raises `UsageError` for what is missing or out of range."""
        if self.perceptual:
            self._check_perceptual()
        least = 1 if self.inspect else 2
        if len(self.paths) < least:
            raise UsageError(f"expected {'a checkpoint' if self.inspect else 'a checkpoint and the folder to make'}")
        if self.clamp is not None and not 0 <= self.clamp < 1e30:
            raise UsageError(f"--clamp: expected a positive number, or 0 for none, got {self.clamp}")
        _check_range("samples", self.samples, 2, 100_000_000)

    def _check_perceptual(self) -> None:
        for flag, given in (
            ("inspect", self.inspect),
            ("clamp", self.clamp is not None),
            ("samples", self.samples != _DRAWS),
        ):
            if given:
                raise UsageError(f"--{flag}: has no meaning with --perceptual, leave one of the two out")
        if len(self.paths) < 2:
            raise UsageError("expected VGG16, the heads of LPIPS and the file to make")


@dataclass(frozen=True, kw_only=True)
class FitPrior:
    """Fit a prior of w to a generator's mapping network, measure it, and put it into the generator folder."""

    generator: Annotated[Positional[Path], arg(metavar="GENERATOR")]
    """Folder of the generator; it gets the prior and a folder with reports."""
    kind: Literal["flow", "pca", "gaussian"] = "flow"
    """A normalizing flow, a Gaussian with all correlations, or PULSE's without any."""
    samples: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 2000000 flow, else 1000000)")] = None
    """How many random w it is fitted to."""
    standardize: Literal["principal", "dimensions"] = "principal"
    """What the flow starts from: principal components, or as in SRLS each dimension of w on its own."""
    hidden: Annotated[int, arg(metavar="N")] = 1024
    """Width of the flow's hidden layers."""
    blocks: Annotated[int, arg(metavar="N")] = 5
    """How many blocks the flow has."""
    batch: Annotated[int, arg(metavar="N")] = 100
    """Samples per step; on a CPU take 1000, with a learning rate of 1e-3."""
    learning_rate: Annotated[float, arg(metavar="R")] = 1e-4
    """Adam's; with --epochs it falls to 0."""
    epochs: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: as --patience decides)")] = None
    """How often the flow sees every sample, at most."""
    noise: Annotated[float, arg(metavar="S")] = 0.05
    """Noise on w while the flow learns, as a share of its spread: searches need a density without cliffs. SRLS: 0."""
    patience: Annotated[int, arg(metavar="N")] = 30
    """Epochs without gain on held-out samples after which the flow is done."""
    seed: Annotated[int, arg(metavar="S")] = 0
    """What the samples are drawn from."""
    overwrite: bool = False
    """Replace a prior of this kind that the folder holds."""

    @property
    def draws(self) -> int:
        """Samples: as given, or the default."""
        if self.samples is not None:
            return self.samples
        return 2_000_000 if self.kind == "flow" else 1_000_000

    def check(self) -> None:
        """Raises `UsageError` for what is out of range."""
        _check_range("samples", self.draws, 20, 100_000_000)
        for flag, value in (("hidden", self.hidden), ("blocks", self.blocks), ("patience", self.patience)):
            _check_range(flag, value, 1, 65_536)
        _check_range("batch", self.batch, 1, self.draws - self.draws // 10)
        if self.epochs is not None:
            _check_range("epochs", self.epochs, 1, 1_000_000)
        if not 0 < self.learning_rate < 1e3:
            raise UsageError(f"--learning-rate: expected a positive number, got {self.learning_rate}")
        if not 0 <= self.noise <= 1:
            raise UsageError(f"--noise: expected 0 to 1, got {self.noise}")
        _check_range("seed", self.seed, 0, 2**32 - 2)


Command = FitPrior | Convert | Upsample | Downscale | Demo | Sample | Benchmark | Info
