"""What a run works with: generator, versions, devices and memory, for `summary.json` and `pulse-jax info`."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.resources
import os
import platform
import stat
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import platformdirs

from pulse_jax import generator as generators
from pulse_jax.config import SearchConfig, UpsamplingConfig, architecture_to_dict
from pulse_jax.generator import Generator, GeneratorError
from pulse_jax.images import printable, reason_of
from pulse_jax.objective import check_fits
from pulse_jax.options import RunError, UsageError
from pulse_jax.progress import Count, Screen
from pulse_jax.regularizers import MissingPrior

__all__ = [
    "device_summary",
    "generator_summary",
    "open_generator",
    "peak_memory",
    "use_compilation_cache",
    "versions",
    "with_fit",
    "with_label",
    "with_perceptual",
]

_PACKAGES = {
    "pulse_jax": "pulse-jax",
    "jax": "jax",
    "jaxlib": "jaxlib",
    "flax": "flax",
    "optax": "optax",
    "numpy": "numpy",
}


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's own cache folder, so that the next run need not compile them again.

    A program is run as it lies there: the folder must be the user's, and nobody else's to write to; else, or where
    there is none, every run compiles. A folder that JAX has been told of is left as it is.
    """
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    folder = platformdirs.user_cache_path("pulse-jax", appauthor=False) / "compiled"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return
    if not stat.S_ISDIR(status.st_mode):
        return
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o077):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


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


def versions() -> dict[str, str | None]:
    """The versions that can change a result; None for this package when it runs from a checkout."""
    found: dict[str, str | None] = {}
    for name, package in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return {**found, "python": platform.python_version()}


def device_summary() -> dict[str, Any]:
    """What computes: JAX's platform, the kind of device and how many there are."""
    devices = jax.local_devices()
    return {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}


def peak_memory() -> dict[str, int]:
    """The largest memory use so far in bytes: of the process, and of the first device where it keeps count."""
    peaks: dict[str, int] = {}
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peaks["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics:
        peaks["device"] = statistics["peak_bytes_in_use"]
    return peaks
