"""What JAX computes on: devices, memory of programs, versions, the cache of compiled programs."""

import importlib.metadata
import os
import platform
import stat
import sys
from typing import Any

import jax
import platformdirs

__all__ = [
    "Device",
    "device_summary",
    "free_memory",
    "is_out_of_memory",
    "peak_memory",
    "program_memory",
    "use_compilation_cache",
    "versions",
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


Device = Any
"""A `jax.Device`, which type checkers do not take for a type."""


def program_memory(program: Any) -> int | None:
    """Bytes that a `jax.stages.Compiled` holds while it runs: arguments, results and what is in between.

    By XLA's account; None where it gives none.
    """
    sizes = program.memory_analysis()
    if sizes is None:
        return None
    taken = sizes.temp_size_in_bytes + sizes.argument_size_in_bytes + sizes.output_size_in_bytes
    # What results share with arguments would count twice.
    return taken - sizes.alias_size_in_bytes


def free_memory(device: Device) -> int | None:
    """Bytes that are free on a device, for a CPU in the machine; None where nobody knows."""
    if device.platform == "cpu":
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return None
    statistics = device.memory_stats() or {}
    if "bytes_limit" not in statistics:
        return None
    return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the machine had no memory left."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
