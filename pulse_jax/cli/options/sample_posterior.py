"""The options of `sample-posterior`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import Folder, GeneratorFolder, Label, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.search.config import SamplerName
from pulse_jax.system.errors import UsageError

__all__ = ["SamplePosterior"]


@options
class SamplePosterior(Everywhere):
    """Draw from all pictures that an input could have come from: how likely each is, and what the input leaves open."""

    input: Annotated[Positional[Path], arg(metavar="FILE")]
    """A low-resolution picture."""
    output: Folder
    """Folder for the results, made if missing: the draws, mean.png, deviation.png, posterior.png and posterior.npz."""
    generator: GeneratorFolder = None
    """Folder of the generator."""
    label: Label = None
    """The class to draw, from 0; info says how many there are."""
    samples: Annotated[int, arg(metavar="N")] = 64
    """Pictures to draw, as many of each chain: rounded up to that."""
    sigma: Annotated[
        float | None, arg(metavar="S", help_behavior_hint="(default: makes the mean error of draws ε)")
    ] = None
    """Standard deviation of the input's values, in [0, 1], around those of a picture that it came from."""
    eps: Annotated[float, arg(metavar="E")] = 1e-3
    """ε, the mean squared error that draws have on average where --sigma is not given."""
    sampler: Annotated[
        SamplerName,
        arg(metavar="NAME"),
    ] = "geodesic_hmc"
    """How: geodesic_hmc, riemannian_langevin and geodesic_slice on spheres, elliptical_slice under a normal prior, or
    parallel_tempering, four chains at rising temperatures for each."""
    chains: Annotated[int, arg(metavar="C")] = 8
    """Independent chains, each from its own random start, by which it is judged whether they have mixed."""
    warm_up: Annotated[int, arg(metavar="N")] = 800
    """Looks of each chain before it draws, by which it finds the pictures in question and its step."""
    thinning: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: some 32 looks)")] = None
    """Every how many transitions of a chain a picture is kept."""
    space: Annotated[Literal["z", "w", "w+"], arg(metavar="z|w|w+")] = "w+"
    """What is drawn: z, of the mapping network; w, one style for all layers; or w+, a style for each, independently."""
    degradation: Annotated[str, arg(metavar="CHAIN")] = "bicubic"
    """How the input came of the picture, as in upsample: bicubic, 'blur(2)|bicubic' ...; the guide has the language."""
    fit: Annotated[
        Literal["crop", "pad", "resize"] | None,
        arg(metavar="crop|pad|resize", help_behavior_hint="(default: such an input is refused)"),
    ] = None
    """What to do with an input whose size does not fit the generator."""
    seed: Annotated[int, arg(metavar="S")] = 0
    """What all is drawn from."""
    overwrite: bool = False
    """Replace the results of an earlier run in the output folder; other files are never touched."""

    def check(self) -> None:
        """Raise `UsageError` for what is out of range."""
        check_range("samples", self.samples, 1, 4_000)
        check_range("chains", self.chains, 2, 256)
        check_range("warm-up", self.warm_up, 1, 1_000_000)
        check_range("seed", self.seed, 0, 2**32 - 1)
        if self.thinning is not None:
            check_range("thinning", self.thinning, 1, 1_000_000)
        for flag, value in (("sigma", self.sigma), ("eps", self.eps)):
            if value is not None and not 0 < value <= 1:
                raise UsageError(f"--{flag}: expected a number in (0, 1], got {value}")
