"""The options of `convert`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from pulse_jax.cli.options.common import check_range
from pulse_jax.cli.options.everywhere import Everywhere, options
from pulse_jax.generators.architectures import MAX_RESOLUTION
from pulse_jax.system.errors import UsageError

__all__ = ["Convert"]

_DRAWS = 1_000_000


@options
class Convert(Everywhere):
    """Make a generator folder from a StyleGAN checkpoint of another program; nothing in the file is run.

    With --perceptual, make the file that upsample --perceptual takes from a VGG16 instead; with --flow, put the flow of
    SRLS's program into a generator folder that is there.
    """

    paths: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="CHECKPOINT [CHECKPOINT ...] OUTPUT", help_behavior_hint="(required)"),
    ]
    """The checkpoint, or all files of one (PULSE: synthesis.pt, mapping.pt, gaussian_fit.pt), and the folder to make;
    with --inspect checkpoints only."""
    perceptual: bool = False
    """The files are torchvision's vgg16 and the lpips program's vgg.pth; the output is one safetensors file."""
    flow: bool = False
    """The files are best_model.pth and wlatent_face1024.pkl of SRLS's program; the output is a generator folder that
    gets the flow."""
    inspect: bool = False
    """Say what the checkpoint is and list its arrays; write nothing."""
    network: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: the averaged generator)")] = None
    """Which of the networks to take, where a file holds several."""
    clamp: Annotated[float | None, arg(metavar="C", help_behavior_hint="(default: what the file says)")] = None
    """Bound of StyleGAN2's activations, where the file does not say it; 0 for none."""
    resolution: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: the largest trained)")] = None
    """Side of the pictures in pixels, where a file holds networks of several sizes in one (rosinality's StyleGAN)."""
    samples: Annotated[int, arg(metavar="N")] = _DRAWS
    """Draws for the Gaussian fit of the mapping network, where no file holds one."""
    overwrite: bool = False
    """Replace an existing generator folder, with --perceptual an existing file of its kind, with --flow a flow."""

    def check(self) -> None:
        """Raise `UsageError` for what is missing or out of range."""
        if self.perceptual:
            self._check_alone("perceptual", "VGG16, the heads of LPIPS and the file to make")
        if self.flow:
            self._check_alone(
                "flow", "the flow's state dict, the file with mean and spread of w, and a generator folder"
            )
            if len(self.paths) != 3:
                raise UsageError(f"--flow: expected two files and a generator folder, got {len(self.paths)} paths")
        least = 1 if self.inspect else 2
        if len(self.paths) < least:
            raise UsageError(f"expected {'a checkpoint' if self.inspect else 'a checkpoint and the folder to make'}")
        if self.clamp is not None and not 0 <= self.clamp < 1e30:
            raise UsageError(f"--clamp: expected a positive number, or 0 for none, got {self.clamp}")
        side = self.resolution
        if side is not None and not (4 <= side <= MAX_RESOLUTION and side & (side - 1) == 0):
            raise UsageError(f"--resolution: expected a power of two from 4 to {MAX_RESOLUTION}, got {side!s:.80}")
        check_range("samples", self.samples, 2, 100_000_000)

    def _check_alone(self, mode: str, expected: str) -> None:
        for flag, given in (
            ("flow", self.flow and mode != "flow"),
            ("inspect", self.inspect),
            ("network", self.network is not None),
            ("clamp", self.clamp is not None),
            ("resolution", self.resolution is not None),
            ("samples", self.samples != _DRAWS),
        ):
            if given:
                raise UsageError(f"--{flag}: has no meaning with --{mode}, leave one of the two out")
        if len(self.paths) < 2:
            raise UsageError(f"expected {expected}")
