"""The generator of a command: opened, labelled, fitted, and described for `summary.json`."""

import dataclasses
import hashlib
import importlib.resources
from pathlib import Path
from typing import Any

import numpy as np

from pulse_jax.generators import generator as generators
from pulse_jax.generators.architectures import architecture_to_dict
from pulse_jax.generators.folder import GeneratorError
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.bundle import MissingPrior
from pulse_jax.search.config import SearchConfig, UpsamplingConfig
from pulse_jax.search.requirements import check_fits
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable, reason_of

__all__ = ["generator_summary", "open_generator", "with_fit", "with_label", "with_perceptual"]


def open_generator(folder: Path | None) -> Generator:
    """The generator in a folder, or the embedded one; raises `RunError` where it cannot be used."""
    try:
        return generators.load_generator(folder)
    except GeneratorError as error:
        raise RunError(printable(error, 600)) from error
    except OSError as error:
        raise RunError(f"{printable(folder)}: the generator cannot be read ({reason_of(error)})") from error


def with_label(generator: Generator, label: int | None) -> Generator:
    """The generator for the class that `--label` names; raises `UsageError` where it is missing, wrong or unwanted."""
    count = generator.label_dim
    if not count and label is None:
        return generator
    if not count:
        raise UsageError("--label: this generator takes no labels; leave the option out")
    if label is None:
        raise UsageError(f"--label: this generator needs one; choose a class from 0 to {count - 1}")
    if not 0 <= label < count:
        raise UsageError(f"--label: expected 0 to {count - 1}, got {label}")
    return generator.with_label(label)


def with_fit(
    generator: Generator, folder: Path | None, config: UpsamplingConfig, label: int | None, screen: Screen
) -> Generator:
    """The generator with the Gaussian fit that a search of w needs; that of a `label` just chosen is made here.

    Raises:
        RunError: the generator folder lacks something that the search takes, and how to add it; or the label's fit
            cannot be made.
    """
    if not isinstance(config, SearchConfig):
        return generator
    if label is not None and generator.gaussian_fit is None:
        screen.note(f"fitting a Gaussian to the mapping network for label {label} ...")
        try:
            with Count(screen, "fitting") as count:
                generator = generator.fitted(on_progress=count.update)
        except ValueError as error:
            raise RunError(f"{printable(folder)}: the Gaussian fit failed: {printable(error, 600)}") from error
    try:
        check_fits(generator, config)
    except MissingPrior as error:
        name = printable(folder)
        raise RunError(f"{name}: {str(error).replace('GENERATOR', name)}") from error
    return generator


def with_perceptual(generator: Generator, path: Path | None) -> Generator:
    """The generator with the network of the loss LPIPS that a file holds; raises `RunError` if it cannot be used."""
    if path is None:
        return generator
    # Here, because the package of converters imports this one.
    import convert

    try:
        return dataclasses.replace(generator, perceptual=convert.read_perceptual(path))
    except convert.CheckpointError as error:
        raise RunError(printable(error, 600)) from error


def generator_summary(generator: Generator, folder: Path | None) -> dict[str, Any]:
    """Which generator it is: where from, its architecture, and a sha256.

    The hash is that of its description with all files' hashes, and of the label where one is fixed: solutions of two
    labels are those of two generators.
    """
    home = folder or importlib.resources.files("pulse_jax") / "data" / "heads64"
    digest = hashlib.sha256((home / "config.json").read_bytes())
    if generator.label is not None:
        digest.update(np.asarray(generator.label).tobytes())
    return {
        "folder": "embedded" if folder is None else str(folder.absolute()),
        "sha256": digest.hexdigest(),
        "architecture": architecture_to_dict(generator.config),
    }
