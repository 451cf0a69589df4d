"""How a worker process begins: on its own GPU, or on as many cores of the machine as it has been given."""

import os
import socket

import jax

from pulse_jax.system.devices import start_jax, usable_cores, use_compilation_cache
from pulse_jax.system.errors import RunError

__all__ = ["start_worker"]

# Names that this process holds, one for each of its cores, until it ends.
_HELD: list[socket.socket] = []


def start_worker(cores: int | None) -> None:
    """Start JAX in a worker process, before anything else has.

    Args:
        cores: Cores to compute on, of which no other worker on the machine takes any; None to compute on a GPU.

    Raises:
        RunError: JAX cannot start, or sees no GPU.
    """
    if cores is not None:
        jax.config.update("jax_platforms", "cpu")
        _keep_to(cores)
    start_jax()
    if cores is None and jax.default_backend() == "cpu":
        raise RunError(f"{socket.gethostname()}: JAX sees no GPU there; install pulse-jax[cuda12] or [cuda13]")
    use_compilation_cache()


def _keep_to(count: int) -> None:
    """Keeps this thread, and those that it starts, to so many cores; where too few are free, leaves it on all.

    The number decides speed alone: beside others, threads of JAX would wait for each other.
    """
    if not hasattr(os, "sched_setaffinity") or count >= usable_cores():
        return
    taken: dict[int, socket.socket] = {}
    for core in sorted(os.sched_getaffinity(0)):
        name = socket.socket(socket.AF_UNIX)
        try:
            # A name without a file, which goes with the process, however that ends.
            name.bind(f"\0pulse-jax core {core} of {os.getuid()}")
        except OSError:
            name.close()
            continue
        taken[core] = name
        if len(taken) == count:
            os.sched_setaffinity(0, taken)
            _HELD.extend(taken.values())
            return
    for name in taken.values():
        name.close()
