"""The options of `upsample`."""

import re
from dataclasses import fields
from typing import Annotated, Literal

from tyro.conf import arg

from pulse_jax.cli.options.common import (
    MAX_COUNT,
    MAX_LANES,
    MAX_RESTARTS,
    File,
    Folder,
    GeneratorFolder,
    Label,
    Pictures,
    Preset,
    check_choice,
    check_inputs,
    check_range,
)
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.cli.options.roles import Role, roles
from pulse_jax.cli.words import Bare
from pulse_jax.distributed.cluster import LOCAL
from pulse_jax.generators.architectures import Precision
from pulse_jax.runs.shards import Shard
from pulse_jax.search.presets import DEFAULT, INTERPOLATIONS, PERCEPTUAL
from pulse_jax.system.errors import UsageError
from pulse_jax.system.text import printable

__all__ = ["Upsample"]

_RESTARTS = 4
_ADDRESS = re.compile(r"local|auto|[\w.-]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}")


@options
class Upsample(Everywhere):
    """Find high-resolution pictures that downscale to the given low-resolution ones."""

    inputs: Annotated[Pictures, Role(decides="plan")]
    """Low-resolution pictures (PNG, JPEG, WebP, AVIF, BMP, TIFF; HEIC with pillow-heif), or folders of them."""
    recursive: Annotated[bool, Role(decides="nothing")] = False
    """Search the sub-folders of folders too."""
    output: Annotated[Folder, Role(decides="nothing")]
    """Folder for the results, made if missing: a folder per input, a contact sheet and summary.json."""
    shard: Annotated[str | None, arg(metavar="I/N", help_behavior_hint=""), Role(decides="value")] = None
    """Take only those inputs that fall into shard I of N, by the sha256 of their files: N processes, on any machines,
    share the inputs so, each with an output folder of its own, which merge then joins."""
    ray: Annotated[
        str | None,
        arg(metavar="[ADDRESS]", help_behavior_hint=""),
        Bare(LOCAL),
        Role(decides="nothing", search_only=True),
    ] = None
    """Search on the devices of a Ray cluster, which send their solutions here: the one at HOST:PORT, auto for that
    which this machine belongs to, local or nothing for this machine alone. Needs pip install ".[ray]"."""
    generator: Annotated[GeneratorFolder, Role(decides="plan", repeated="given")] = None
    """Folder of the generator to search."""
    label: Annotated[Label, Role(decides="value", repeated="given", reported=True)] = None
    """The class to draw, from 0; info says how many there are."""
    restarts: Annotated[
        int | None,
        arg(metavar="K", help_behavior_hint=f"(default: {_RESTARTS})"),
        Role(decides="plan", repeated="record", search_only=True),
    ] = None
    """Searches per input, each from another random start: as many solutions."""
    solutions: Annotated[
        int | None, arg(metavar="K", help_behavior_hint=""), Role(decides="plan", search_only=True)
    ] = None
    """Instead of --restarts: search until so many solutions of an input are feasible, and deliver the best K."""
    max_restarts: Annotated[
        int | None, arg(metavar="M", help_behavior_hint="(default: 4 K)"), Role(decides="plan", search_only=True)
    ] = None
    """With --solutions: searches per input, at most."""
    diverse: Annotated[bool, Role(decides="plan", search_only=True)] = False
    """With --solutions and --max-restarts: make all M searches, and deliver the K feasible solutions that differ most
    in what the input does not show."""
    repulsion: Annotated[
        float,
        arg(metavar="W", help_behavior_hint="(default: 0, each by itself)"),
        Role(decides="config", repeated="given", search_only=True),
    ] = 0.0
    """Let an input's searches, two at least, repel each other with this weight, so that their solutions differ more; 2
    suits fast. They then step together, and each depends on how many there are."""
    seed: Annotated[int, arg(metavar="S"), Role(decides="value", repeated="record", reported=True)] = 0
    """What the random starts are drawn from."""
    preset: Annotated[Preset, arg(metavar="NAME"), Role(decides="config", repeated="always", reported=True)] = DEFAULT
    """The search: fast, for the fewest looks; pulse, the paper's method; pulse_2020, its authors' program; srls (as its
    program ran), srls_robust, rls, rls_plus and srls_paper, with a flow as prior of w or near its start; pn, with its
    covariance; brgm, brgm_2, csgm, image2stylegan, ilo, robust and stylegan2_projector, the methods of these names; or
    no search but a plain enlargement, to compare with: bicubic, lanczos or nearest."""
    steps: Annotated[
        int | None,
        arg(metavar="N", help_behavior_hint="(default: the preset's)"),
        Role(decides="config", repeated="always"),
    ] = None
    """Optimiser steps per search, at most."""
    eps: Annotated[
        float | None,
        arg(metavar="E", help_behavior_hint="(default: the preset's)"),
        Role(decides="config", repeated="always"),
    ] = None
    """Largest mean squared error, of [0, 1] pictures, at which a solution counts as feasible."""
    lanes: Annotated[int | Literal["auto"], arg(metavar="N|auto"), Role(decides="plan", repeated="record")] = "auto"
    """Searches that run at once on each device; auto: as many as make it faster and its memory holds. On a CPU one
    for each core at most, and results do not depend on it; elsewhere their last bits do."""
    strict: Annotated[bool, Role(decides="plan", repeated="given", search_only=True)] = False
    """Run each search by itself on every kind of device, so that last bits depend on no lanes; slower on a GPU."""
    other_device: Annotated[bool, Role(decides="nothing", search_only=True)] = False
    """Go on with an unfinished run that another kind of device or CPU began; last bits may be neither one's."""
    fit: Annotated[
        Literal["crop", "pad", "resize"] | None,
        arg(metavar="crop|pad|resize", help_behavior_hint="(default: such an input is refused)"),
        Role(decides="value"),
    ] = None
    """What to do with an input whose size does not fit the generator."""
    input_size: Annotated[int | None, arg(metavar="N", help_behavior_hint=""), Role(decides="value")] = None
    """Downscale larger pictures, photographs for instance, to inputs of N x N pixels first: their centre squares, by
    the downscaling that solutions are held against."""
    factor: Annotated[int | None, arg(metavar="F", help_behavior_hint=""), Role(decides="value")] = None
    """The same by how many pixels of a solution become one of its input, along each side."""
    align: Annotated[bool, Role(decides="value")] = False
    """Take the inputs for photographs: every face in them is cut out upright, as align does, and becomes an input."""
    at: Annotated[
        int | None, arg(metavar="N", help_behavior_hint="(default: what the face has)"), Role(decides="value")
    ] = None
    """With --align: downscale faces to inputs of N x N pixels, by the downscaling that solutions are held against."""
    face: Annotated[
        int | None, arg(metavar="N", help_behavior_hint="(default: every face)"), Role(decides="nothing")
    ] = None
    """With --align: of each photograph the face with this number alone, from the left."""
    largest: Annotated[bool, Role(decides="nothing")] = False
    """With --align: of each photograph the largest face alone."""
    landmarks: Annotated[File, Role(decides="contents")] = None
    """With --align: take landmarks from this JSON file instead of finding faces."""
    init: Annotated[File, Role(decides="contents", repeated="given", reported=True, search_only=True)] = None
    """Start from the solutions in this solutions.npz, restart by restart, as many at most; or from the w in a
    projected_w.npz, .npy or .pt."""
    perceptual: Annotated[File, Role(decides="contents", repeated="given", reported=True)] = None
    """With presets whose programs compare by LPIPS too, whose loss then has that term: the network that convert
    --perceptual wrote."""
    degradation: Annotated[
        str | None,
        arg(metavar="CHAIN", help_behavior_hint="(default: bicubic)"),
        Role(decides="config", repeated="given", search_only=True),
    ] = None
    """What has become of the pictures that are looked for, if more than bicubic downscaling: blur(2)|bicubic,
    mask(0.3,0.4,0.7,0.6), gray ... from left to right; see the guide."""
    exact: Annotated[bool, Role(decides="config", repeated="given")] = False
    """Move each solution, as little as needed, to where it downscales to the input to rounding; it then is no longer
    quite what the generator draws, and the sheet says by how much."""
    output_size: Annotated[
        int | None,
        arg(metavar="N", help_behavior_hint="(default: the generator's)"),
        Role(decides="config", repeated="given"),
    ] = None
    """Side of the delivered pictures: smaller ones from a larger generator."""
    precision: Annotated[
        Precision | Literal["auto"],
        arg(metavar="auto|float32|tf32|bfloat16"),
        Role(decides="config", repeated="always", search_only=True),
    ] = "auto"
    """Arithmetic of the generator's convolutions; tf32 is float32 whose products a GPU rounds to 11 bits, auto is tf32
    on GPUs and float32 elsewhere."""
    noise_samples: Annotated[int, arg(metavar="N"), Role(decides="value", repeated="given", search_only=True)] = 0
    """Draw the noise of each feasible solution anew N times, and keep what is feasible as its variations."""
    save_intermediate: Annotated[bool, Role(decides="value", search_only=True)] = False
    """Write animations too: the search for each input's best solution, and its two best going over into each other."""
    format: Annotated[
        Literal["png", "webp", "jpeg"], arg(metavar="png|webp|jpeg"), Role(decides="value", repeated="given")
    ] = "png"
    """Format of the solutions: png, webp (lossless) or jpeg, whose pixels as they are read again are judged."""
    compress_level: Annotated[
        int | None, arg(metavar="0..9", help_behavior_hint="(default: 1, of webp 0)"), Role(decides="nothing")
    ] = None
    """How hard png and webp compress: the pixels are the same, smaller files take longer."""
    no_noise: Annotated[bool, Role(decides="value", search_only=True)] = False
    """Leave the noise inputs out of solutions.npz, at 1024x1024 most of its bytes; where they are needed, they are
    drawn again from its keys."""
    rank: Annotated[
        Literal["loss", "plausible"], arg(metavar="loss|plausible"), Role(decides="value", search_only=True)
    ] = "loss"
    """What an input's solutions are sorted by, the feasible ones first: their loss; or how plausible their pictures
    are, the share of the generator's own samples that are less usual."""
    no_sheets: Annotated[bool, Role(decides="nothing")] = False
    """Draw no contact sheets: many small inputs are done much sooner."""
    config: Annotated[File, Role(decides="nothing")] = None
    """Take options that are not given from this TOML file; every run writes one, run.toml, that repeats it."""
    overwrite: Annotated[bool, Role(decides="nothing")] = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    @property
    def counts(self) -> tuple[int, int]:
        """Solutions of each input, and searches of each input at most."""
        if self.solutions is not None:
            most = min(4 * self.solutions, MAX_RESTARTS) if self.max_restarts is None else self.max_restarts
            return self.solutions, most
        restarts = _RESTARTS if self.restarts is None else self.restarts
        return restarts, restarts

    def check(self) -> None:
        """Check options of each by itself and together; steps and eps are the search's own to check.

        Raises:
            UsageError: An option is out of range or has no meaning with the others.
        """
        if self.ray is not None and not _ADDRESS.fullmatch(self.ray):
            got = printable(self.ray)
            raise UsageError(f"--ray: expected HOST:PORT, auto, local or nothing, got {got!r}; name inputs before it")
        check_inputs(self.inputs)
        if self.shard is not None:
            try:
                Shard.parse(self.shard)
            except ValueError as error:
                raise UsageError(f"--shard: {error}, got {printable(self.shard)!r}") from None
        if self.preset in INTERPOLATIONS:
            self._check_nothing_searched()
        if self.perceptual is not None and self.preset not in PERCEPTUAL:
            raise UsageError(f"--perceptual: has a meaning with --preset {', '.join(PERCEPTUAL)} only")
        if self.input_size is not None and self.factor is not None:
            raise UsageError("--factor: has no meaning with --input-size, which says the same")
        if self.fit is not None and (self.input_size is not None or self.factor is not None):
            raise UsageError("--fit: has no meaning with --input-size or --factor, which make every picture fit")
        if self.align:
            for name in ("fit", "input_size", "factor"):
                if getattr(self, name) is not None:
                    raise UsageError(f"--{name.replace('_', '-')}: has no meaning with --align; --at says how large")
            check_choice(self.face, largest=self.largest)
        else:
            for name in ("at", "face", "largest", "landmarks"):
                if getattr(self, name) not in (None, False):
                    raise UsageError(f"--{name}: has a meaning with --align only")
        if self.solutions is None and self.max_restarts is not None:
            raise UsageError("--max-restarts: has a meaning with --solutions only")
        if self.solutions is not None and self.restarts is not None:
            raise UsageError(
                "--restarts: has no meaning with --solutions; --max-restarts says how many searches at most"
            )
        if self.diverse and (self.solutions is None or self.max_restarts is None):
            raise UsageError("--diverse: needs --solutions K and --max-restarts M, of whose solutions it chooses K")
        count, searches = self.counts
        check_range("restarts" if self.solutions is None else "solutions", count, 1, MAX_RESTARTS)
        check_range("max-restarts", searches, count, MAX_RESTARTS)
        check_range("seed", self.seed, 0, 2**32 - 1)
        if self.lanes != "auto":
            check_range("lanes", self.lanes, 1, MAX_LANES)
        check_range("noise-samples", self.noise_samples, 0, MAX_COUNT)
        if self.compress_level is not None:
            check_range("compress-level", self.compress_level, 0, 9)
            if self.format == "jpeg":
                raise UsageError("--compress-level: has no meaning with --format jpeg")
        if self.repulsion:
            if searches < 2:
                raise UsageError("--repulsion: needs searches that repel each other, --restarts 2 or more, got 1")
            if self.solutions is not None and not self.diverse:
                raise UsageError("--repulsion: has no meaning with --solutions, without --diverse; use --restarts")
            if self.save_intermediate:
                raise UsageError("--save-intermediate: has no meaning with --repulsion, which no search has by itself")
        if self.no_noise and self.init is not None:
            raise UsageError("--no-noise: has no meaning with --init, whose noise no key draws again")

    def _check_nothing_searched(self) -> None:
        named = roles(type(self))
        for field in fields(self):
            value = getattr(self, field.name)
            # The command that makes a solution again names its one restart.
            given = value != field.default and (field.name, value) != ("restarts", 1)
            if given and named[field.name].search_only:
                raise UsageError(
                    f"--{field.name.replace('_', '-')}: has no meaning with --preset {self.preset}, which searches "
                    "nothing and makes one solution of each input"
                )
