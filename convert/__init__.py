"""StyleGAN checkpoints of any program as generator folders, read with NumPy alone and without running any of it.

`inspect` says what a checkpoint is and `convert` writes it as a folder that `pulse_jax.load_generator` takes;
`export_file` writes a generator as another program's checkpoint;
`read_latents` and `save_latents` are for the latents that programs exchange;
`convert_perceptual` and `read_perceptual` are for the network of the loss LPIPS;
`convert_flow` and `read_flow` are for the normalizing flow of SRLS's program;
`read_inception` is for the network of the Fréchet inception distance.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convert.accounting import Clamp, Plan, fill
from convert.exporting import export, export_file
from convert.flow import convert_flow, read_flow
from convert.inception import read_inception
from convert.latents import Latents, latent_file_names, read_latents, save_latents
from convert.networks import Account, account
from convert.perceptual import convert_perceptual, read_perceptual
from convert.source import CheckpointError, read_source, shown

if TYPE_CHECKING:
    from pulse_jax.generators.generator import Generator

__all__ = [
    "CheckpointError",
    "Inspection",
    "Latents",
    "convert",
    "convert_flow",
    "convert_perceptual",
    "export",
    "export_file",
    "inspect",
    "latent_file_names",
    "read_flow",
    "read_inception",
    "read_latents",
    "read_perceptual",
    "save_latents",
]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What a checkpoint is: the accounts of a conversion, and whether they hold.

    Attributes:
        account: the recognised network, and the plan for each of its arrays.
        fault: why it cannot be converted, or empty.
    """

    account: Account
    fault: str

    @property
    def facts(self) -> dict[str, str]:
        """What it is, line by line, printable."""
        plan = self.account.plan
        config = plan.config
        targets = {entry.target for entry in plan.entries}
        psi, cutoff = plan.truncation
        fit = "to be made" if config.has_mapping else "none"
        facts = {
            "file": self.account.state.where,
            "container": ", ".join(source.container for source in self.account.sources),
            "sha256": ", ".join(source.sha256 for source in self.account.sources),
            "family": plan.family,
            "network": shown(self.account.network) or "the only one",
            **({"left": shown("; ".join(self.account.left), 400)} if self.account.left else {}),
            "pictures": f"{config.resolution}x{config.resolution}",
            "widths": ", ".join(f"{r}: {width}" for r, width in zip(config.blocks, config.channels, strict=True)),
            "latents": f"{config.num_layers} rows of {config.latent_dim}",
            **config.details(),
            "labels": str(config.label_dim or "none"),
            "average w": "yes" if "w_avg" in targets else "none (no truncation)",
            "truncation": f"psi {psi:g}" + ("" if cutoff is None else f" for the first {cutoff} layers"),
            "Gaussian fit": "in the file" if "gaussian_fit/mean" in targets else fit,
            **({"note": plan.note} if plan.note else {}),
        }
        return facts | ({"cannot be converted": self.fault} if self.fault else {})

    @property
    def table(self) -> list[tuple[str, str, str]]:
        """Every array of the network: its key, its shape and type, and where it goes or why it is ignored."""
        plan = self.account.plan
        goes = {entry.key: entry.target for entry in plan.entries}
        goes |= {ignored.key: f"ignored: {ignored.reason}" for ignored in plan.ignored}
        return [
            (shown(key), f"{array.shape!s:.60} {array.dtype.name}", goes.get(key, "unknown"))
            for key, array in self.account.state.arrays.items()
        ]

    def lines(self) -> list[str]:
        """`facts` and `table` as text."""
        widths = [max(map(len, column)) for column in zip(*self.table, strict=True)]
        facts = [f"{name:21}{value}" for name, value in self.facts.items()]
        return [
            *facts,
            *("  ".join(map(str.ljust, row, widths)).rstrip() for row in self.table),
        ]


def inspect(
    paths: Paths, *, clamp: Clamp = "file", network: str | None = None, resolution: int | None = None
) -> Inspection:
    """What a checkpoint, in one file or several, is and how it would be converted; writes nothing.

    Args:
        paths, clamp, network, resolution: see `convert`.

    Raises:
        CheckpointError: a file cannot be read, or no supported network is recognised.
    """
    found = account([read_source(path) for path in _each(paths)], clamp, network, resolution)
    try:
        _check_usable(found)
        fill(found.plan, found.state)
    except CheckpointError as error:
        return Inspection(found, str(error))
    return Inspection(found, "")


def convert(
    paths: Paths,
    output: str | os.PathLike[str],
    *,
    samples: int = 1_000_000,
    clamp: Clamp = "file",
    network: str | None = None,
    resolution: int | None = None,
    overwrite: bool = False,
    on_recognised: Callable[[Account], object] | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> Generator:
    """Convert a checkpoint into a generator folder, whole or not at all.

    Args:
        paths: the file, or all files of a format that splits them (PULSE: synthesis.pt, mapping.pt, gaussian_fit.pt).
        output: the folder to make.
        samples: over how many draws the Gaussian fit is made, where no file holds one; of a network with classes, every
            draw has a class of its own, all equally likely.
        clamp: StyleGAN2's bound on activations: a number or None instead of what the file says.
        network: the name of the network to take, where a file holds several, or its last part; None for the averaged
            weights of a generator.
        resolution: the side of the pictures, where a network makes them in several sizes, as rosinality's StyleGAN;
            None for the largest that was trained.
        overwrite: replace an existing generator folder; anything else is never replaced.
        on_recognised: is called with what the checkpoint is, before anything of it is read.
        on_progress: is called while the Gaussian is fitted with how many draws are done, and `samples`.

    Raises:
        CheckpointError: a file cannot be read or is no supported network, or an array is missing, unknown or wrong.
        GeneratorError: the folder exists or cannot be written.
        ValueError: `samples` is less than 2.
    """
    found = account([read_source(path) for path in _each(paths)], clamp, network, resolution)
    if on_recognised is not None:
        on_recognised(found)
    if os.path.lexists(output) and not overwrite:
        raise CheckpointError(f"{shown(output, 400)}: exists already; choose another folder")
    _check_usable(found)
    generator = _generator(found.plan, fill(found.plan, found.state))
    if generator.gaussian_fit is None:
        if samples < 2:
            raise ValueError(f"samples: expected at least 2, got {samples}")
        try:
            generator = generator.fitted(samples=samples, on_progress=on_progress)
        except ValueError as error:
            raise found.state.refuse(f"the Gaussian fit failed: {error}") from error
    generator.save(output, source=found.description, overwrite=overwrite)
    return generator


def _check_usable(found: Account) -> None:
    """Raises `CheckpointError` for a generator that nothing could be searched in."""
    fitted = any(entry.target == "gaussian_fit/mean" for entry in found.plan.entries)
    if not fitted and not found.plan.config.has_mapping:
        raise found.state.refuse("has no mapping network; give its file as well (mapping.pt), or gaussian_fit.pt")


def _generator(plan: Plan, arrays: dict[str, np.ndarray]) -> Generator:
    import jax.numpy as jnp

    from pulse_jax.generators.generator import Generator
    from pulse_jax.generators.priors.gaussian import GaussianFit

    params: dict = {"mapping": {}, "synthesis": {}}
    extras = {}
    for path in list(arrays):
        array = jnp.asarray(arrays.pop(path))
        *parents, leaf = path.split("/")
        if parents[:1] in (["mapping"], ["synthesis"]):
            node = params
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = array
        else:
            extras[path] = array
    fit = None
    if "gaussian_fit/mean" in extras:
        fit = GaussianFit(extras["gaussian_fit/mean"], extras["gaussian_fit/std"])
    return Generator(config=plan.config, params=params, gaussian_fit=fit, w_avg=extras.get("w_avg"))


def _each(paths: Paths) -> list[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)
