"""What JAX computes on: devices and their memory, versions, the cache of compiled programs."""

import contextlib
import ctypes
import importlib.metadata
import os
import platform
import stat
import sys
from pathlib import Path
from typing import Any

import jax
import platformdirs

from pulse_jax.system.errors import DeviceError
from pulse_jax.system.text import printable

__all__ = [
    "Device",
    "device_summary",
    "free_memory",
    "give_back_memory",
    "is_out_of_memory",
    "kind_of_device",
    "peak_memory",
    "program_memory",
    "start_jax",
    "usable_cores",
    "use_compilation_cache",
    "versions",
]

Device = Any
"""A `jax.Device`, which type checkers do not take for a type."""

# Instructions that compiled programs and libraries choose their code by, as Linux calls them, on x86 and on ARM.
_VECTORS = {"avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_fp16", "amx_bf16"} | {
    "asimd",
    "asimdhp",
    "bf16",
    "sve",
    "sve2",
    "sme",
}
_PACKAGES = {
    "pulse_jax": "pulse-jax",
    "jax": "jax",
    "jaxlib": "jaxlib",
    "flax": "flax",
    "optax": "optax",
    "numpy": "numpy",
}


def start_jax() -> None:
    """Start JAX on the device that it is told to use, before anything that its failure could be taken for.

    Raises:
        DeviceError: It cannot start, and why.
    """
    try:
        jax.local_devices()
    except Exception as error:  # JAX raises what its plugins raise, among it AssertionError without a word
        wanted = jax.config.jax_platforms or "any device"  # pyright: ignore[reportAttributeAccessIssue]
        told = str(error).strip() or "there is no such device, or JAX is installed without support for it"
        told = told.partition(" (set JAX_PLATFORMS=")[0].rstrip(".")
        raise DeviceError(
            f"JAX cannot start on {printable(wanted)}: {printable(told, 400)}; "
            "JAX_PLATFORMS=cpu computes on the CPU, JAX_PLATFORMS= wherever JAX can"
        ) from error


def device_summary() -> dict[str, Any]:
    """Return what computes: JAX's platform, the kind of device and how many there are."""
    devices = jax.local_devices()
    return {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}


def usable_cores() -> int:
    """Return how many cores of this machine's CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _instructions() -> str:
    """The machine and the vector instructions that its CPU has."""
    found: set[str] = set()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # Linux
        for line in file:
            name, _, flags = line.partition(":")
            if name.strip() in ("flags", "Features"):
                found = _VECTORS & set(flags.split())
                break
    return " ".join([platform.machine() or "unknown", *sorted(found)])


def kind_of_device(device: Device) -> str:
    """Return the platform and kind of a device, and of a CPU the instructions that it has: another kind, other bits."""
    kind = f"{device.platform} {device.device_kind}"
    return f"{kind} ({_instructions()})" if device.platform == "cpu" else kind


def versions() -> dict[str, str | None]:
    """Return the versions that can change a result; None for this package when it runs from a checkout."""
    found: dict[str, str | None] = {}
    for name, package in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return {**found, "python": platform.python_version()}


def use_compilation_cache() -> None:
    """Keep compiled programs in the user's own cache folder, so that the next run need not compile them again.

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


def program_memory(program: Any) -> int | None:
    """Return the bytes that a program holds while it runs: arguments, results and what is in between.

    Args:
        program: A `jax.stages.Compiled`.

    Returns:
        Bytes by XLA's account; None where it gives none.
    """
    sizes = program.memory_analysis()
    if sizes is None:
        return None
    taken = sizes.temp_size_in_bytes + sizes.argument_size_in_bytes + sizes.output_size_in_bytes
    # What results share with arguments would count twice.
    return taken - sizes.alias_size_in_bytes


def free_memory(device: Device) -> int | None:
    """Return the bytes that are free on a device, for a CPU in the machine or container; None where nobody knows."""
    if device.platform == "cpu":
        return min((free for free in (_available_memory(), _containers_memory()) if free is not None), default=None)
    counted = _counted_memory(device)
    return counted["bytes_limit"] - counted.get("bytes_in_use", 0) if "bytes_limit" in counted else None


def _available_memory() -> int | None:
    """What programs may still take of the machine: what caches files counts as free, where Linux tells."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _containers_memory(home: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves to it, where there is one (cgroups of version 2)."""
    try:
        limit, used = (int((home / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such files, or "max": no limit
        return None
    return max(0, limit - used)


def give_back_memory() -> None:
    """Give back to the system what this process has freed: compiling a large program leaves the better part of a GB."""
    with contextlib.suppress(AttributeError, OSError):  # glibc has it, others have not
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> dict[str, int]:
    """Return the largest memory use so far in bytes: of the process, and of the first device where it keeps count."""
    peaks: dict[str, int] = {}
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peaks["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    counted = _counted_memory(jax.local_devices()[0])
    if "peak_bytes_in_use" in counted:
        peaks["device"] = counted["peak_bytes_in_use"]
    return peaks


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the device or the machine had no memory left."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _counted_memory(device: Device) -> dict[str, int]:
    """What a device counts of its memory; nothing where it does not."""
    return device.memory_stats() or {}
