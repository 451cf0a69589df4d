"""StyleGAN checkpoints of any program as generator folders, read with NumPy alone and without running any of it.

`inspect` says what a checkpoint is and `convert` writes it as a folder that `pulse_jax.load_generator` takes;
`convert_perceptual` and `read_perceptual` are for the network of the loss LPIPS.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convert.accounting import Clamp, Entry, Plan, checked, fill
from convert.detect import Account, account
from convert.families import FAMILIES
from convert.perceptual import convert_perceptual, read_perceptual
from convert.source import CheckpointError, read_source, shown

if TYPE_CHECKING:
    from pulse_jax.generators.generator import Generator

__all__ = [
    "CheckpointError",
    "Inspection",
    "convert",
    "convert_perceptual",
    "export",
    "inspect",
    "read_perceptual",
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
        facts = {
            "file": self.account.state.where,
            "container": ", ".join(source.container for source in self.account.sources),
            "sha256": ", ".join(source.sha256 for source in self.account.sources),
            "family": plan.family,
            "network": shown(self.account.network) or "the only one",
            "pictures": f"{config.resolution}x{config.resolution}",
            "widths": ", ".join(f"{r}: {width}" for r, width in zip(config.blocks, config.channels, strict=True)),
            "latents": f"{config.num_layers} rows of {config.latent_dim}",
            **config.details(),
            "labels": str(config.label_dim or "none"),
            "average w": "yes" if "w_avg" in targets else "none (no truncation)",
            "truncation": f"psi {psi:g}" + ("" if cutoff is None else f" for the first {cutoff} layers"),
            "Gaussian fit": "in the file" if "gaussian_fit/mean" in targets else "to be made",
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


def inspect(paths: Paths, *, clamp: Clamp = "file") -> Inspection:
    """What a checkpoint, in one file or several, is and how it would be converted; writes nothing.

    Raises:
        CheckpointError: a file cannot be read, or no supported network is recognised.
    """
    found = account([read_source(path) for path in _each(paths)], clamp)
    try:
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
    overwrite: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
) -> Generator:
    """Convert a checkpoint into a generator folder, whole or not at all.

    Args:
        paths: the file, or all files of a format that splits them (PULSE: synthesis.pt, mapping.pt, gaussian_fit.pt).
        output: the folder to make.
        samples: over how many draws the Gaussian fit is made, where no file holds one; of a network with classes, every
            draw has a class of its own, all equally likely.
        clamp: StyleGAN2's bound on activations: a number or None instead of what the file says.
        overwrite: replace an existing generator folder; anything else is never replaced.
        on_progress: is called while the Gaussian is fitted with how many draws are done, and `samples`.

    Raises:
        CheckpointError: a file cannot be read or is no supported network, or an array is missing, unknown or wrong.
        GeneratorError: the folder exists or cannot be written.
        ValueError: `samples` is less than 2.
    """
    found = account([read_source(path) for path in _each(paths)], clamp)
    if os.path.lexists(output) and not overwrite:
        raise CheckpointError(f"{shown(output, 400)}: exists already; choose another folder")
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


def export(generator: Generator, naming: str | None = None) -> dict[str, np.ndarray]:
    """A generator's arrays under another program's names, shapes and scales, the inverse of a conversion.

    Stored noise is not made up, and filters only where their program's files need them; the Gaussian fit goes as
    `mean` and `std`, as PULSE keeps it.

    Args:
        generator: a StyleGAN; its clamp, epsilon and multiplier are settings that no naming holds.
        naming: a family's name; by default StyleGAN2-ADA's PyTorch program's, or PULSE's for a StyleGAN1.

    Raises:
        ValueError: the generator is a user's own function or has a fixed label, or the naming is unknown, of another
            architecture or without a place for its labels.
    """
    config = generator.config
    if not config.family:
        raise ValueError("generator: expected a StyleGAN, got a user's own function")
    if generator.label is not None:
        raise ValueError("generator: expected one whose label is not fixed, because no naming holds a fixed label")
    offered = [family for family in FAMILIES if family.architecture == config.family and family.entries is not None]
    if not offered:
        raise ValueError(f"generator: no other program's naming is known for {config.family}")
    wanted = naming or max(offered, key=lambda family: family.default).name
    needed = set(config.array_shapes())
    known = {family.name: family.entries(config) for family in offered if family.entries is not None}
    fitting = [name for name, entries in known.items() if needed <= {entry.target for entry in entries}]
    if wanted not in fitting:
        kind = " for these labels" if config.label_dim else ""
        raise ValueError(f"naming: expected one of {', '.join(fitting)}{kind}, got {wanted!r:.80}")
    (family,) = (family for family in offered if family.name == wanted)
    entries = known[wanted]
    if generator.w_avg is None:
        entries = tuple(entry for entry in entries if entry.target != "w_avg")
    elif family.average and all(entry.target != "w_avg" for entry in entries):
        entries = (*entries, Entry(family.average, "w_avg"))
    if generator.gaussian_fit is not None:
        entries = (*entries, *(Entry(name, f"gaussian_fit/{name}") for name in ("mean", "std")))
    checked(Plan(wanted, config, entries))
    written = {}
    for entry in entries:
        if entry.target == "w_avg":
            array = generator.w_avg
        elif entry.target.startswith("gaussian_fit/"):
            assert generator.gaussian_fit is not None
            array = getattr(generator.gaussian_fit, entry.key)
        else:
            array = generator.params
            for part in entry.target.split("/"):
                array = array[part]
        written[entry.key] = entry.change.to_theirs(np.asarray(array))
    for constant in family.constants(config):
        assert constant.value is not None
        written[constant.key] = np.array(constant.value, np.float32)
    return written


def _each(paths: Paths) -> list[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)
