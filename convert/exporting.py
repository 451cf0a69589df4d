"""Generators as other programs' checkpoints, which those programs' own strict loading takes."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.accounting import Entry, Family, Plan, checked
from convert.class_arguments import class_arguments
from convert.families import FAMILIES
from convert.safetensors_file import save_safetensors
from convert.source import CheckpointError, shown
from convert.torch_writing import save_torch
from pulse_jax.generators.architectures import RARE_SETTINGS, StyleGAN2Config

if TYPE_CHECKING:
    from pulse_jax.generators.generator import Generator

__all__ = ["NAMINGS", "export", "export_file"]

NAMINGS = {family.short: family for family in FAMILIES if family.short}
"""The namings of whole files, by their short names."""
_SUFFIXES = (".safetensors", ".pt", ".pth")


def export(generator: Generator, naming: str | None = None) -> dict[str, np.ndarray]:
    """A generator's arrays under another program's names, shapes and scales, the inverse of a conversion.

    Stored noise is not made up, and filters only where their program's files need them; the Gaussian fit goes as
    `mean` and `std`, as PULSE keeps it.

    Args:
        generator: a StyleGAN; its clamp, epsilon and multiplier are settings that no naming holds.
        naming: a family's name; by default StyleGAN2-ADA's PyTorch program's, or PULSE's for a StyleGAN1.

    Raises:
        ValueError: the generator is a user's own function, has a fixed label or one of `RARE_SETTINGS`, or the naming
            is unknown, of another architecture or without a place for its labels.
    """
    config = generator.config
    if not config.family:
        raise ValueError("generator: expected a StyleGAN, got a user's own function")
    if generator.label is not None:
        raise ValueError("generator: expected one whose label is not fixed, because no naming holds a fixed label")
    for name in RARE_SETTINGS:
        if getattr(config, name, False):
            raise ValueError(f"generator: expected one without {name}, because no program that is written to has it")
    offered = [family for family in FAMILIES if family.architecture == config.family and family.entries is not None]
    if not offered:
        raise ValueError(f"generator: no other program's naming is known for {config.family}")
    wanted = naming or max(offered, key=lambda family: family.default).name
    needed = set(config.array_shapes())
    known = {family.name: family.entries(config) for family in offered if family.entries is not None}
    fitting = [name for name, entries in known.items() if needed <= {entry.target for entry in entries}]
    if wanted not in fitting:
        kind = " for these labels" if config.label_dim else ""
        listed = ", ".join(f"{name}{_short_of(name)}" for name in fitting)
        raise ValueError(f"naming: expected one of {listed}{kind}, got {wanted!r:.80}{_short_of(wanted)}")
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


def _short_of(name: str) -> str:
    """A naming's short name in brackets, where it has one."""
    return next((f" ({short})" for short, family in NAMINGS.items() if family.name == name), "")


def export_file(
    generator: Generator, path: str | os.PathLike[str], naming: str, *, overwrite: bool = False, seed: int = 0
) -> dict[str, Any]:
    """Write a generator as a checkpoint that another program's own class loads strictly; whole or not at all.

    Filters and noise images, which the program keeps with its weights, are there too; the noise is drawn anew. In a
    torch file the networks stand where the program looks for them (`g_ema`, `params_ema`, `generator_smooth`), in a
    safetensors file the same names stand before a dot.

    Args:
        generator: a StyleGAN2 without a fixed label; its clamp and multiplier are settings that no file of these holds.
        path: file to write: `.safetensors`, or `.pt` or `.pth` for a zip file as torch writes it.
        naming: one of `NAMINGS`.
        overwrite: replace a file that stands there.
        seed: the noise is drawn from it.

    Returns:
        The arguments that the program's class is to be made with, by name.

    Raises:
        ValueError: the naming is unknown or has no place for this generator, whose widths no arguments of its class
            give, which knows no mean of w that the file needs, has no mapping network or holds NaN or infinity.
        CheckpointError: the file has another suffix, exists, or cannot be written.
    """
    target = pathlib.Path(path)
    where = shown(target, 400)
    if target.suffix not in _SUFFIXES:
        raise CheckpointError(f"{where}: expected a name that ends with {', '.join(_SUFFIXES)}")
    if naming not in NAMINGS:
        raise ValueError(f"naming: expected one of {', '.join(NAMINGS)}, got {naming!r:.80}")
    if os.path.lexists(target) and not (overwrite and target.is_file()):
        raise CheckpointError(f"{where}: exists already; choose another file")
    family = NAMINGS[naming]
    if generator.config.family != family.architecture:
        raise ValueError(
            f"naming: {naming} is of {family.architecture}, this generator is {generator.config.family or 'a function'}"
        )
    config = generator.config
    if not isinstance(config, StyleGAN2Config) or not config.has_mapping:
        raise ValueError("generator: expected one with its mapping network, without which no class loads a file")
    if generator.w_avg is None and _needs_average(family, config):
        raise ValueError("generator: expected one that knows the mean of its w; pulse-jax fit-prior makes it")
    arguments = class_arguments(config, naming)
    arrays = _strict(generator, family, seed)
    odd = next((key for key, array in arrays.items() if not np.isfinite(array).all()), None)
    if odd is not None:
        raise ValueError(f"generator: its weights hold NaN or infinity, in what becomes '{odd}'")
    beside = {family.average: arrays.pop(family.average)} if family.average in arrays and family.place else {}
    if target.suffix == ".safetensors":
        prefix = f"{family.place}." if family.place else ""
        save_safetensors(target, {f"{prefix}{key}": array for key, array in arrays.items()} | beside)
    else:
        save_torch(target, {family.place: arrays, **beside} if family.place else arrays)
    return arguments


def _needs_average(family: Family, config: StyleGAN2Config) -> bool:
    """Whether the program's class keeps the mean of w among what it loads."""
    assert family.entries is not None
    return any(entry.target == "w_avg" for entry in family.entries(config))


def _strict(generator: Generator, family: Family, seed: int) -> dict[str, np.ndarray]:
    """All that the program's own class has, and nothing else."""
    arrays = export(generator, family.name)
    for name in ("mean", "std"):
        arrays.pop(name, None)
    rng = np.random.default_rng(seed)
    for buffer in family.buffers(generator.config):
        assert buffer.shape is not None
        drawn = rng.standard_normal(buffer.shape, np.float32) if buffer.value is None else buffer.value
        arrays[buffer.key] = np.array(drawn, np.float32)
    return arrays
