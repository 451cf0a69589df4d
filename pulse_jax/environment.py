"""What a run works with: generator, versions, devices and memory, for `summary.json` and `pulse-jax info`."""

import hashlib
import importlib.metadata
import importlib.resources
import platform
import sys
from pathlib import Path
from typing import Any

import jax

from pulse_jax import generator as generators
from pulse_jax.config import SearchConfig, architecture_to_dict
from pulse_jax.generator import Generator, GeneratorError
from pulse_jax.images import printable, reason_of
from pulse_jax.options import RunError

__all__ = ["check_fit", "device_summary", "generator_summary", "open_generator", "peak_memory", "versions"]

_PACKAGES = {
    "pulse_jax": "pulse-jax",
    "jax": "jax",
    "jaxlib": "jaxlib",
    "flax": "flax",
    "optax": "optax",
    "numpy": "numpy",
}


def open_generator(folder: Path | None) -> Generator:
    """The generator in a folder, or the embedded one; raises `RunError` where it cannot be used."""
    try:
        return generators.load_generator(folder)
    except GeneratorError as error:
        raise RunError(printable(error, 600)) from error
    except OSError as error:
        raise RunError(f"{printable(folder)}: the generator cannot be read ({reason_of(error)})") from error


def check_fit(generator: Generator, folder: Path | None, config: SearchConfig) -> None:
    """Raises `RunError` for a generator without the Gaussian fit that a search of w needs, and says how to add it."""
    if config.space != "z" and generator.gaussian_fit is None:
        raise RunError(
            f"{printable(folder)}: this generator folder has no Gaussian fit, which the search needs; add it in Python "
            f"with pulse_jax.Generator.load({str(folder)!r}).fitted().save('NEW')"
        )


def generator_summary(generator: Generator, folder: Path | None) -> dict[str, Any]:
    """Which generator it is: where from, its architecture, and the sha256 of its description with all files' hashes."""
    home = folder or importlib.resources.files("pulse_jax") / "data" / "heads64"
    return {
        "folder": "embedded" if folder is None else str(folder.absolute()),
        "sha256": hashlib.sha256((home / "config.json").read_bytes()).hexdigest(),
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
