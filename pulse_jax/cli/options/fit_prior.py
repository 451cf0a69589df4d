"""The options of `fit-prior`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.system.errors import UsageError

__all__ = ["FitPrior"]

_NOISE = 0.05


@options
class FitPrior(Everywhere):
    """Fit a prior of w to a generator's mapping network, measure it, and put it into the generator folder."""

    generator: Annotated[Positional[Path], arg(metavar="GENERATOR")]
    """Folder of the generator; it gets the prior and a folder with reports."""
    kind: Literal["flow", "srls", "pca", "gaussian", "plausibility"] = "flow"
    """A normalizing flow; the flow of SRLS's program (single dimensions, no noise, scales without bound); a Gaussian
    with all correlations; PULSE's without any; or what samples' pictures and w are like, from which the plausibility of
    solutions is told."""
    samples: Annotated[
        int | None,
        arg(metavar="N", help_behavior_hint="(default: 2000000 flows, 4000 plausibility, else 1000000)"),
    ] = None
    """How many random w it is fitted to; of plausibility, how many pictures are drawn."""
    standardize: Literal["principal", "dimensions"] = "principal"
    """What the flow starts from: principal components, or as in SRLS, and with --kind srls, each dimension of w."""
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
    noise: Annotated[float, arg(metavar="S")] = _NOISE
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
        return {"flow": 2_000_000, "srls": 2_000_000, "plausibility": 4_000}.get(self.kind, 1_000_000)

    def check(self) -> None:
        """Raise `UsageError` for what is out of range."""
        check_range("samples", self.draws, 200 if self.kind == "plausibility" else 20, 100_000_000)
        for flag, value in (("hidden", self.hidden), ("blocks", self.blocks), ("patience", self.patience)):
            check_range(flag, value, 1, 65_536)
        if self.kind != "plausibility":
            check_range("batch", self.batch, 1, self.draws - self.draws // 10)
        if self.epochs is not None:
            check_range("epochs", self.epochs, 1, 1_000_000)
        if not 0 < self.learning_rate < 1e3:
            raise UsageError(f"--learning-rate: expected a positive number, got {self.learning_rate}")
        if not 0 <= self.noise <= 1:
            raise UsageError(f"--noise: expected 0 to 1, got {self.noise}")
        if self.kind == "srls" and self.noise not in (0, _NOISE):
            raise UsageError(f"--noise: has no meaning with --kind srls, which takes none, got {self.noise}")
        check_range("seed", self.seed, 0, 2**32 - 2)
