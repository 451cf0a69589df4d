"""The options of `sample`."""

from typing import Annotated

from tyro.conf import arg

from pulse_jax.cli.options.common import MAX_COUNT, File, Folder, GeneratorFolder, Label, check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.system.errors import UsageError

__all__ = ["Sample"]

_COUNT, _SEED, _TRUNCATION = 16, 0, 1.0


@options
class Sample(Everywhere):
    """Draw random pictures from a generator, or draw the solutions of an earlier run again."""

    output: Folder
    """Folder for the results; made if missing."""
    generator: GeneratorFolder = None
    """Folder of the generator."""
    label: Label = None
    """The class to draw, from 0; info says how many there are."""
    count: Annotated[int | None, arg(metavar="N", help_behavior_hint=f"(default: {_COUNT})")] = None
    """How many pictures."""
    seed: Annotated[int | None, arg(metavar="S", help_behavior_hint=f"(default: {_SEED})")] = None
    """What they are drawn from; a picture depends on the seed and its number alone."""
    truncation: Annotated[float | None, arg(metavar="T", help_behavior_hint=f"(default: {_TRUNCATION})")] = None
    """Below 1, pictures are drawn towards the average: more regular, less varied."""
    latents: File = None
    """Draw what is in this solutions.npz instead, all of it as it is; or the w in a projected_w.npz, .npy or .pt."""
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
        """Raise `UsageError` for what is out of range or has no meaning together."""
        if self.latents is not None:
            for flag in ("count", "seed", "truncation"):
                if getattr(self, flag) is not None:
                    raise UsageError(f"--{flag}: has no meaning with --latents, leave one of the two out")
        count, seed, truncation = self.draw
        check_range("count", count, 1, MAX_COUNT)
        check_range("seed", seed, 0, 2**32 - 1)
        if not -2 <= truncation <= 2:
            raise UsageError(f"--truncation: expected -2 to 2, got {truncation}")
