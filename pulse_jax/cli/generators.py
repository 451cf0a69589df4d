"""The generator of a command: opened, labelled, fitted, and described for `summary.json`."""

import contextlib
import dataclasses
import importlib.resources
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pulse_jax.generators import generator as generators
from pulse_jax.generators.architectures import ArchitectureConfig, architecture_to_dict
from pulse_jax.generators.folder import GeneratorError, describe_folder
from pulse_jax.generators.generator import Generator
from pulse_jax.generators.priors.bundle import MissingPrior, what_is_missing
from pulse_jax.runs.formats import GeneratorRecord
from pulse_jax.search.config import SearchConfig
from pulse_jax.search.requirements import check_fits
from pulse_jax.system.errors import RunError, UsageError
from pulse_jax.system.files import sha256_of
from pulse_jax.system.screen import Count, Screen
from pulse_jax.system.text import printable, reason_of

__all__ = [
    "check_mapping",
    "describe_generator",
    "generator_record",
    "open_generator",
    "with_fit",
    "with_label",
    "with_perceptual",
]


def open_generator(folder: Path | None) -> Generator:
    """Load a generator.

    Args:
        folder: Generator folder; None for the embedded generator.

    Raises:
        RunError: The folder is missing, foreign or damaged.
    """
    with _usable(folder):
        return generators.load_generator(folder)


def describe_generator(
    folder: Path | None,
) -> tuple[ArchitectureConfig, dict[str, tuple[int, ...]]]:
    """Return a generator's architecture and the shape of each of its arrays, without reading the arrays.

    Args:
        folder: Generator folder; None for the embedded generator.

    Raises:
        RunError: The folder is missing or foreign, or its files are not those that its `config.json` describes.
    """
    with _usable(folder):
        return describe_folder(_home(folder))


@contextlib.contextmanager
def _usable(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except GeneratorError as error:
        raise RunError(printable(error, 600)) from error
    except OSError as error:
        raise RunError(f"{printable(folder)}: the generator cannot be read ({reason_of(error)})") from error


def _home(folder: Path | None) -> Path:
    return folder or Path(str(importlib.resources.files("pulse_jax") / "data" / "heads64"))


def with_label(generator: Generator, label: int | None) -> Generator:
    """Return the generator for one class.

    Args:
        generator: Generator, with or without classes.
        label: Number of the class, from 0, as `--label` gives it; None if the option was left out.

    Raises:
        UsageError: The label is missing, out of range, or the generator takes none.
    """
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
    generator: Generator, folder: Path | None, config: SearchConfig, label: int | None, screen: Screen
) -> Generator:
    """Return the generator with the Gaussian fit that a search of w needs.

    Args:
        generator: Generator that is to be searched.
        folder: Folder it comes from, for messages; None for the embedded generator.
        config: Settings of the search.
        label: Class that was just chosen, for which the fit is made here; None if there is none.
        screen: Screen on which the fit is told.

    Raises:
        RunError: The generator folder lacks something that the search takes, and how to add it; or the label's fit
            cannot be made.
    """
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


def check_mapping(generator: Generator, folder: Path | None) -> None:
    """See that random styles can be drawn.

    Raises:
        RunError: The generator came without its mapping network.
    """
    if not generator.config.has_mapping:
        raise RunError(f"{printable(folder)}: random styles need {what_is_missing('mapping')}")


def with_perceptual(generator: Generator, path: Path | None) -> Generator:
    """Return the generator with the network of the loss LPIPS.

    Args:
        generator: Generator that is to be searched.
        path: File that `pulse-jax convert --perceptual` wrote; None for no such network.

    Raises:
        RunError: The file cannot be used.
    """
    if path is None:
        return generator
    # Here, because the package of converters imports this one.
    import convert

    try:
        return dataclasses.replace(generator, perceptual=convert.read_perceptual(path))
    except convert.CheckpointError as error:
        raise RunError(printable(error, 600)) from error


def generator_record(generator: Generator, folder: Path | None) -> GeneratorRecord:
    """Return what records say of a generator: where it comes from, its architecture, and a sha256.

    The hash is that of its description with all files' hashes, and of the label where one is fixed: solutions of two
    labels are those of two generators.

    Args:
        generator: Generator as it is used.
        folder: Folder it comes from; None for the embedded generator.
    """
    label = () if generator.label is None else (np.asarray(generator.label).tobytes(),)
    return {
        "folder": "embedded" if folder is None else str(folder.absolute()),
        "sha256": sha256_of(_home(folder) / "config.json", *label),
        "architecture": architecture_to_dict(generator.config),
    }
